"""How often do 95 % intervals over few training seeds hold the truth? Made-up classifiers whose accuracy is known."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.stats import norm

from msda_analysis.bench.timing import make_row
from msda_analysis.checks import check_count
from msda_analysis.estimate import Estimate, mean_estimate, share_over_seeds, wilson_interval
from msda_analysis.rng import derive_key
from msda_analysis.robustness.statistics import nested_difference

Row = dict[str, Any]
#: Of the variance of an image's margin, the part that all classifiers share, and that which those of one augmentation do:
#: what is hard for one is mostly hard for others. The rest differs from run to run.
_SHARED, _OWN = 0.5, 0.2


def bench_rows(
    device: str | torch.device = "cpu",
    *,
    repeats: int = 2000,
    seeds: tuple[int, ...] = (2, 3, 5, 10),
    accuracies: tuple[float, ...] = (0.6, 0.95, 0.995),
    spreads: tuple[float, ...] = (0.0, 0.01, 0.03),
    n_images: int = 200,
    seed: int = 0,
) -> list[Row]:
    """Share of simulated studies whose interval holds the true accuracy, or the true difference of zero.

    A classifier is right on an image where level + effect of the seed + of the image + of the image under this augmentation
    + noise, all normal, is above zero. Every study draws its own seeds and its own images, which all its classifiers share.

    Args:
        device: unused; simulated on the CPU.
        repeats: studies for each setting.
        seeds: training seeds in a study.
        accuracies: true ones.
        spreads: standard deviations of the accuracy between seeds; those that would leave [0, 1] are left out.
        n_images: test images.
        seed: of the simulation.

    Returns:
        Rows with the columns timing.COLUMNS: value is the coverage, low and high its 95 % interval over studies, n their
        number; name is the kind of interval, and the note holds the median width.
    """
    check_count("repeats", repeats, minimum=10)
    rows = []
    for n_seeds, accuracy, spread in product(seeds, accuracies, spreads):
        if 2 * spread > 1 - accuracy and spread:
            continue
        rng = np.random.default_rng(derive_key(seed, "coverage", n_seeds, str(accuracy), str(spread)))
        found = [_one_study(rng, n_seeds, n_images, accuracy, spread) for _ in range(repeats)]
        where = f"accuracy {accuracy:g}, spread between seeds {spread:g}, {n_images} images"
        for name in found[0]:
            intervals = [study[name] for study in found]
            truth = 0.0 if name.startswith("difference") else accuracy
            rows.append(_row(name, intervals, truth, n_seeds, where, torch.device(device)))
    return rows


def _row(name: str, intervals: list[Estimate], truth: float, n_seeds: int, where: str, device: torch.device) -> Row:
    ends = np.array([[each.low, each.high] for each in intervals], dtype=float)
    held = int(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).sum())
    width = float(np.median(ends[:, 1] - ends[:, 0]))
    row = make_row(name, held / len(ends), "share", note=f"{where}; median width {width:.4f}", device=device)
    low, high = wilson_interval(held, len(ends))
    return row | {"family": f"{n_seeds} seeds", "low": low, "high": high, "n": len(ends)}


def _one_study(
    rng: np.random.Generator, n_seeds: int, n_images: int, accuracy: float, spread: float
) -> dict[str, Estimate]:
    """Every interval of one study: of an accuracy, and of the difference of two augmentations that are equally good."""
    sides = _draw_sides(rng, n_seeds, n_images, accuracy, spread)
    right = next(sides)
    return {
        "accuracy_student_over_seeds": mean_estimate(right.mean(1).tolist(), "accuracy"),
        "accuracy_images_and_seeds": share_over_seeds(right.mean(1).tolist(), n_images),
        "difference_student_over_seeds": mean_estimate(
            (right.mean(1) - (other := next(sides)).mean(1)).tolist(), "accuracy"
        ),
        "difference_images_and_seeds": nested_difference(right, other, fewest=2)[0],
    }


def _draw_sides(
    rng: np.random.Generator, n_seeds: int, n_images: int, accuracy: float, spread: float
) -> Iterator[np.ndarray]:
    """bool [seed, image] of one augmentation after the other, on the same images."""
    draw: Callable[..., np.ndarray] = rng.standard_normal
    level = float(norm.ppf(accuracy))
    of_seeds = spread / float(norm.pdf(level))
    of_images = np.sqrt(_SHARED) * draw((1, n_images))
    while True:
        margin = level * np.sqrt(1 + of_seeds**2) + of_seeds * draw((n_seeds, 1))
        margin = margin + of_images + np.sqrt(_OWN) * draw((1, n_images))
        yield margin + np.sqrt(1 - _SHARED - _OWN) * draw((n_seeds, n_images)) > 0
