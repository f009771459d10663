"""How fast are masks and mixing, next to a plain NumPy version and to other packages?

Command: python experiments/bench_masks.py --out experiments/results/bench_masks_cpu.csv
Time: about two minutes on two CPU cores; --smoke a few seconds. Wants a quiet machine: ratios hold up under load,
times do not. On a machine with a GPU: --device cuda.
Headline: `mask_speedup` of fmix and fmix_released, `mixing_cost`, `peak_memory`.
"""

import argparse
import csv
from pathlib import Path

import torch

from msda_analysis.bench.masks import bench_rows
from msda_analysis.bench.timing import COLUMNS


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="CSV file to write")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, few repeats: only shows that it runs")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads torch may use")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    settings = {"sizes": ((16, 16),), "batch": 8, "rounds": 2} if arguments.smoke else {}
    rows = bench_rows(device=arguments.device, **settings)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
