"""From images to report on handwritten digits: does the whole line work, and what does it look like?

    python experiments/quickstart.py --out runs/quickstart

The same as `msda-analysis quickstart`. 4 augmentations x 4 seeds; times and results are in experiments/README.md.
`--smoke` takes seconds and means nothing.
"""

import sys

from msda_analysis.cli import main

if __name__ == "__main__":
    sys.exit(main(["quickstart", *sys.argv[1:]]))
