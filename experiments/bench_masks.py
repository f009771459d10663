"""How fast are masks and mixing, next to a plain NumPy version and to other packages?

    python experiments/bench_masks.py --out runs/bench

The same as `msda-analysis bench masks`: writes bench_masks_<device>.csv. About four minutes on two CPU cores; --smoke a few
seconds. Wants a quiet machine: ratios hold up under load, times do not. On a machine with a GPU: --device cuda.
Headline: `mask_speedup` of fmix and fmix_released, `mixing_cost`, `peak_memory`.
"""

import sys

from msda_analysis.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "masks", *sys.argv[1:]]))
