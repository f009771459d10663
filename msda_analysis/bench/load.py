"""Mixing a batch on an idle and on a busy machine, where threads that wait for each other wait for the scheduler."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torchvision.transforms import v2

from msda_analysis.bench.peers import OURS
from msda_analysis.bench.timing import make_row, time_together
from msda_analysis.checks import check_count
from msda_analysis.mixing import mix
from msda_analysis.rng import stream

Row = dict[str, Any]


def bench_rows(
    device: str | torch.device = "cpu",
    *,
    batch: int = 128,
    size: tuple[int, int] = (32, 32),
    rounds: int = 100,
    seed: int = 0,
) -> list[Row]:
    """Milliseconds to mix a batch, alone and with one other busy process a core: ours and torchvision's MixUp.

    Args:
        device: where the images are.
        batch: images [batch, 3, *size].
        rounds: each mixes one batch with everything in turn.
        seed: of images and masks.

    Returns:
        Rows with the columns timing.COLUMNS: the median, its quartiles, and the 90th percentile as a row of its own.
    """
    check_count("rounds", rounds, minimum=10)
    device = torch.device(device)
    work = _work(torch.rand(batch, 3, *size, generator=stream(seed, "bench images")).to(device), seed)
    idle = time_together(work, rounds=rounds, device=device)
    with _busy_processes(os.cpu_count() or 1):
        busy = time_together(work, rounds=rounds, device=device)
    rows = []
    for name in work:
        for state, seconds in (("idle", idle[name]), ("busy", busy[name])):
            where: dict[str, Any] = {"family": name, "size": size, "batch": batch, "device": device}
            rows.append(make_row(f"mixing_{state}", 1e3 * seconds, "ms", **where))
            rows.append(make_row(f"mixing_{state}_p90", 1e3 * np.quantile(seconds, 0.9), "ms", **where))
        ratio = float(np.median(busy[name]) / np.median(idle[name]))
        rows.append(make_row("mixing_busy_over_idle", ratio, "ratio", note="of medians", **where))
    return rows


def _work(images: torch.Tensor, seed: int) -> dict[str, Callable[[], object]]:
    labels = torch.arange(len(images), device=images.device) % 10
    ours = {
        name: partial(mix, images, labels, family, generator=stream(seed, f"bench masks {name}"))
        for name, family in OURS.items()
    }
    theirs = v2.MixUp(num_classes=10)
    return {**ours, "torchvision_mixup": lambda: theirs(images, labels)}


@contextmanager
def _busy_processes(n: int) -> Iterator[None]:
    """n processes that compute without end while the block runs."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
