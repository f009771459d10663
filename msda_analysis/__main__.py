"""`python -m msda_analysis` is the command line."""

import sys

from msda_analysis.cli import main

if __name__ == "__main__":
    sys.exit(main())
