"""How fast are masks and mixing, next to a plain NumPy version and to other packages?

Command: python experiments/bench_masks.py --out experiments/results (as `msda-analysis bench masks`, which writes the same
bench_masks_<device>.csv, but with a choice of threads)
Time: about four minutes on two CPU cores; --smoke a few seconds. Wants a quiet machine: ratios hold up under load,
times do not. On a machine with a GPU: --device cuda.
Headline: `mask_speedup` of fmix and fmix_released, `mixing_cost`, `peak_memory`.
"""

import argparse
from pathlib import Path

import torch

from msda_analysis.studies.bench import write_bench


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, few repeats: only shows that it runs")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads torch may use")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    print(write_bench("masks", arguments.out, arguments.device, smoke=arguments.smoke))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
