"""The `bench` command: run one benchmark and write its rows with device, versions, commit and date."""

import csv
import re
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from msda_analysis.bench import timing
from msda_analysis.environment import current_commit, device_name
from msda_analysis.files import replace_file

COLUMNS: tuple[str, ...] = (*timing.COLUMNS, "commit", "date")
_SMOKE: dict[str, dict[str, Any]] = {
    "masks": {"sizes": ((16, 16),), "batch": 8, "rounds": 2, "compiled": False},
    "training": {"repeats": 1, "steps": 1},
    "robustness": {"n_images": 8, "batch_size": 4, "repeats": 1, "train_steps": 2},
    "trust": {"networks": ("small_cnn",), "n_images": 8, "repeats": 1, "train_steps": 2},
    "load": {"batch": 4, "size": (8, 8), "rounds": 10},
    "coverage": {"repeats": 10, "seeds": (2,), "accuracies": (0.6,)},
}


def write_bench(what: str, folder: Path, device: str, *, smoke: bool = False) -> Path:
    """Measure and write FOLDER/bench_<what>_<device>.csv; also prints the rows.

    Args:
        what: "masks", "training", "robustness", "trust", "coverage" or "load".
        smoke: tiny settings: the numbers mean nothing.

    Raises:
        RuntimeError: the parity check that comes first failed, so that speed means nothing.
    """
    where = torch.device(device)
    rows = import_module(f"msda_analysis.bench.{what}").bench_rows(device=where, **(_SMOKE[what] if smoke else {}))
    origin = {
        "device": timing.describe_device(where), "versions": timing.versions(), "commit": current_commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip
    kind = "cpu" if where.type == "cpu" else re.sub(r"\W+", "_", device_name(device)).strip("_").lower()
    path = folder / f"bench_{what}_{kind}.csv"
    with replace_file(path) as file:
        writer = csv.DictWriter(file, list(COLUMNS), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **origin} for row in rows)
    for row in rows:
        label = " ".join(str(row.get(name, "")) for name in ("name", "family", "size") if row.get(name))
        print(f"{label:<58} {row['value']:>12.5g} {row['unit']}")
    return path
