"""Who is more robust than whom: paired tests on the same images, training seeds as the outer level, many comparisons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from msda_analysis.checks import check_count, check_in_range
from msda_analysis.estimate import FEWEST_SEEDS, IMAGES_ALONE, ONE_SEED, Estimate, holm, too_few

if TYPE_CHECKING:
    import pandas as pd

#: bool [image] or [training seed, image]
Survived = Tensor | np.ndarray


@dataclass(frozen=True)
class Paired:
    """Two classifiers on the same images.

    Attributes:
        difference: accuracy of a minus accuracy of b.
        only_a, only_b: images that only a, only b, classifies correctly under the attack.
        n: images.
        p_value: two-sided, of no difference.
    """

    difference: float
    only_a: int
    only_b: int
    n: int
    p_value: float


def mcnemar(survived_a: Survived, survived_b: Survived) -> Paired:
    """Exact test whether two classifiers survive an attack equally often on the same images.

    Args:
        survived_a, survived_b: bool [image]; True where the image is still classified correctly.

    Raises:
        ValueError: not two bool vectors of one length.

    Source: McNemar 1947, with the exact binomial distribution of the discordant pairs.
    """
    from scipy.stats import binomtest

    a, b = _as_matrix(survived_a, "survived_a"), _as_matrix(survived_b, "survived_b")
    if a.shape != b.shape or a.shape[0] != 1:
        raise ValueError(f"survived_b: expected bool [image] as survived_a {tuple(a.shape)}, got {tuple(b.shape)}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    discordant = only_a + only_b
    p_value = 1.0 if discordant == 0 else float(binomtest(only_a, discordant, 0.5).pvalue)
    return Paired((only_a - only_b) / a.shape[1], only_a, only_b, a.shape[1], p_value)


def nested_difference(
    values_a: np.ndarray, values_b: np.ndarray, *, level: float = 0.05, fewest: int = FEWEST_SEEDS
) -> tuple[Estimate, float]:
    """Mean of a minus mean of b with an interval of confidence 1 - level, and the two-sided p-value of no difference.

    Welch's t on the seeds' means; the variance of the paired differences over images, averaged over seeds, is added.
    That variance holds some of the variation between seeds again, so the test errs on the side of caution. With fewer
    seeds than `fewest` on a side the variation between runs is left out: the result speaks of those classifiers alone, and says so.

    Args:
        values_a, values_b: numbers (or bool) [training seed, image]; the same images in the same order.
        level: chance that the interval misses the true difference.
        fewest: seeds from which on there is something to say between them.

    Raises:
        ValueError: not two matrices, the images differ in number, or there are fewer than two.
    """
    from scipy.stats import t

    a, b = np.asarray(values_a, dtype=float), np.asarray(values_b, dtype=float)
    for name, side in (("values_a", a), ("values_b", b)):
        if side.ndim != 2:
            raise ValueError(f"{name}: expected numbers [training seed, image], got shape {side.shape}")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"values_b: expected the same {a.shape[1]} images as values_a, got {b.shape[1]}")
    check_count("images", a.shape[1], minimum=2)
    n_seeds = min(len(a), len(b))
    parts = [(side.mean(1).var(ddof=1) / len(side), len(side) - 1) for side in (a, b) if n_seeds >= fewest]
    parts.append(((a.mean(0) - b.mean(0)).var(ddof=1) / a.shape[1], a.shape[1] - 1))
    variance, difference = sum(part for part, _ in parts), float(a.mean() - b.mean())
    warnings = () if n_seeds >= fewest else (ONE_SEED,) if n_seeds == 1 else (IMAGES_ALONE,)
    if variance == 0:
        exact = Estimate(difference, "accuracy", difference, difference, a.shape[1], warnings=warnings)
        return exact, 1.0 if difference == 0 else 0.0
    degrees = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    half = float(t.ppf(1 - level / 2, degrees)) * math.sqrt(variance)
    estimate = Estimate(difference, "accuracy", difference - half, difference + half, a.shape[1], warnings=warnings)
    return estimate, float(2 * t.sf(abs(difference) / math.sqrt(variance), degrees))


def judge_differences(table: "pd.DataFrame", level: float = 0.05) -> "pd.DataFrame":
    """Tested differences with two more columns: p_holm, corrected over the whole table, and verdict.

    The verdict is "a" or "b" where the corrected p-value is below `level`, else "undecided"; estimate.too_few where a
    side has fewer training seeds than FEWEST_SEEDS: their p-value speaks of these very classifiers and not of their training.

    Args:
        table: columns value (a minus b), p_value, seeds_a, seeds_b.
        level: chance of any false finding in the table.
    """
    p_holm = holm(table["p_value"].tolist())
    decided = np.where(np.array(p_holm) < level, np.where(table["value"] > 0, "a", "b"), "undecided")
    n_seeds = table[["seeds_a", "seeds_b"]].min(axis=1)
    held_back = [too_few(n) if n < FEWEST_SEEDS else word for n, word in zip(n_seeds, decided, strict=True)]
    return table.assign(p_holm=p_holm, verdict=held_back)


def survival_curve(minimum_norms: Tensor, epsilons: Sequence[float], *, level: float = 0.05) -> "pd.DataFrame":
    """Share of images whose smallest fooling perturbation is longer than each budget, with a simultaneous band.

    Columns: epsilon, metric, value, low, high, n, unit. The band holds for all budgets at once; it is not clipped to [0, 1].

    Args:
        minimum_norms: float [image]; 0 where misclassified from the start, infinity where never broken.
        epsilons: budgets.
        level: chance that the band misses the true curve anywhere.

    Source: Massart 1990 (the Dvoretzky-Kiefer-Wolfowitz inequality with its sharp constant).
    """
    import pandas as pd

    norms = _check_norms(minimum_norms)
    check_in_range("level", level, 1e-12, 1.0)
    half = math.sqrt(math.log(2 / level) / (2 * len(norms)))
    rows = []
    for epsilon in epsilons:
        value = float((norms > epsilon).double().mean())
        rows.append({"epsilon": float(epsilon), "metric": "survival", "value": value, "low": value - half})
        rows[-1] |= {"high": value + half, "n": len(norms), "unit": "accuracy"}
    return pd.DataFrame(rows)


def median_norm(minimum_norms: Tensor) -> Estimate:
    """Median over images of the smallest fooling perturbation, with a distribution-free 95 % interval.

    The interval runs between two order statistics and may be infinite where too few images were broken.

    Args:
        minimum_norms: float [image], as for survival_curve.
    """
    from scipy.stats import binom

    norms = _check_norms(minimum_norms).double().sort().values
    n = len(norms)
    rank = int(binom.ppf(0.025, n, 0.5))
    low = float(norms[max(rank - 1, 0)]) if rank else None
    high = float(norms[n - rank]) if rank else None
    value = (float(norms[(n - 1) // 2]) + float(norms[n // 2])) / 2
    return Estimate(value, "pixel range", low, high, n)


def _as_matrix(survived: Survived, name: str) -> np.ndarray:
    array = np.asarray(survived)
    if array.dtype != bool or array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{name}: expected bool [image] or [training seed, image], got {array.dtype} {array.shape}")
    return array.reshape(-1, array.shape[-1])


def _check_norms(minimum_norms: Tensor) -> Tensor:
    if (
        minimum_norms.ndim != 1
        or not len(minimum_norms)
        or bool(minimum_norms.isnan().any() | (minimum_norms < 0).any())
    ):
        raise ValueError(
            f"minimum_norms: expected float [image] >= 0 without NaN, got shape {tuple(minimum_norms.shape)}"
        )
    return minimum_norms
