"""Interleaved timing: every candidate once per round, so that a busy moment hits all of them alike."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

#: Columns of a benchmark's rows. low and high are the quartiles over n repeats; x is the place on a curve.
COLUMNS = (
    "name", "network", "family", "size", "batch", "x", "value", "unit", "low", "high", "n", "note", "device", "versions",
)  # fmt: skip


def time_together(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int, device: torch.device
) -> dict[str, np.ndarray]:
    """Seconds of each candidate in each round, after two rounds of warm-up.

    Returns:
        {name: [rounds] seconds}, wall clock, a GPU's work waited for.
    """
    seconds = {name: np.empty(rounds) for name in candidates}
    for i in range(-2, rounds):
        for name, run in candidates.items():
            wait_for(device)
            start = time.perf_counter()
            run()
            wait_for(device)
            if i >= 0:
                seconds[name][i] = time.perf_counter() - start
    return seconds


def make_row(
    name: str, values: np.ndarray | float, unit: str, *, network: str = "", family: str = "", size: tuple[int, ...] = (),
    batch: int = 0, x: float | None = None, note: str = "", device: torch.device,
) -> dict[str, Any]:  # fmt: skip
    """A row with the median of `values` and their quartiles; a single value has no spread."""
    values = np.atleast_1d(np.asarray(values, dtype=float))
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    spread = {"low": low, "high": high} if len(values) > 1 else {"low": None, "high": None}
    return {
        "name": name, "network": network, "family": family, "size": "x".join(map(str, size)), "batch": batch, "x": x,
        "value": middle, "unit": unit, **spread, "n": len(values), "note": note,
        "device": describe_device(device), "versions": versions(),
    }  # fmt: skip


@cache
def describe_device(device: torch.device) -> str:
    """Processor or GPU, and how many threads torch may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


@cache
def versions() -> str:
    """Versions of what the numbers depend on; packages that are not installed are left out."""
    found = [f"python {platform.python_version()}"]
    for package in ("msda-analysis", "torch", "numpy", "triton", "torchvision", "foolbox", "timm", "kornia"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def read_clock(device: torch.device) -> float:
    """Seconds: of this process on a CPU, which others on the machine do not disturb; by the wall on a GPU, its work waited for."""
    wait_for(device)
    return time.perf_counter() if device.type == "cuda" else time.process_time()


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
