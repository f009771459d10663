"""The `bench` command: run a package's benchmark and write its rows with device and versions."""

import csv
import platform
import re
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from msda_analysis.results import current_commit, package_version, replace_file
from msda_analysis.studies.workshop import device_name

COLUMNS = ("name", "value", "unit", "low", "high", "n", "note", "device", "threads", "versions", "commit", "date")
_HOMES = {"masks": "masks.bench", "training": "training.bench", "robustness": "robustness.bench"}
_SMOKE: dict[str, dict[str, Any]] = {
    "masks": {"smoke": True},
    "training": {"repeats": 1, "steps": 1},
    "robustness": {"n_images": 8, "repeats": 1, "train_steps": 2},
}


def write_bench(what: str, folder: Path, device: str, *, seed: int = 0, smoke: bool = False) -> Path:
    """Measure and write FOLDER/bench_<what>_<device>.csv; also prints the rows.

    Raises:
        AssertionError: the parity check that comes first failed, so that speed means nothing.
    """
    bench_rows = import_module(f"msda_analysis.{_HOMES[what]}").bench_rows
    rows = bench_rows(device, seed=seed, **(_SMOKE[what] if smoke else {}))
    origin = _origin(device)
    kind = "cpu" if device == "cpu" else re.sub(r"\W+", "_", device_name(device)).strip("_").lower()
    path = folder / f"bench_{what}_{kind}.csv"
    with replace_file(path) as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **origin} for row in rows)
    for row in rows:
        print(f"{row['name']:<58} {row['value']:>12.5g} {row['unit']}")
    return path


def _origin(device: str) -> dict[str, Any]:
    packages = " ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "foolbox"))
    return {
        "device": _cpu_name() if device == "cpu" else device_name(device),
        "threads": torch.get_num_threads(),
        "versions": f"msda-analysis {package_version()} python {platform.python_version()} {packages}",
        "commit": current_commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _cpu_name() -> str:
    """The processor's name where the system tells, else its architecture."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return f"cpu ({found.group(1) if found else platform.machine()})"
