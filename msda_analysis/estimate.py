"""A number that never travels without its unit, its interval, its kind of bound, and what it is a number of."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Bound = Literal["upper", "lower"] | None
#: What an interval from a single run leaves out.
ONE_SEED = "one training seed: the interval leaves out variation between runs"
#: The verdict where a side has a single training run, however small the p-value: runs differ, and nobody saw by how much.
ONE_RUN = "undecided (one run)"
#: With fewer training seeds nothing is said between them: two give intervals of 12.7 standard errors on each side.
FEWEST_SEEDS = 3
#: What an interval of too few of them speaks of.
IMAGES_ALONE = "too few training seeds for an interval between them: this one is over the test images alone"
_NORMAL_97_5 = 1.959963984540054


def too_few(n_seeds: int) -> str:
    """The verdict on a comparison of fewer seeds than FEWEST_SEEDS."""
    return ONE_RUN if n_seeds < 2 else f"undecided ({n_seeds} seeds)"


@dataclass(frozen=True)
class Estimate:
    """One measured number.

    Attributes:
        value: the number, neither clamped nor rounded.
        unit: "nats", "accuracy", "pixels", ...
        low, high: 95 % interval, or None where none can be given (a single run).
        n: how many independent things (images, seeds) the interval speaks of.
        bound: "upper" or "lower" when the quantity bounds the one it is named after, None when it is a plain estimate.
        warnings: what a reader must know before trusting it, for example a ceiling that was reached.
        details: side figures by name (ceiling in nats, seconds, steps, method chosen).
    """

    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    n: int = 1
    bound: Bound = None
    warnings: tuple[str, ...] = ()
    details: dict[str, float | str] = field(default_factory=dict)

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        kind = "" if self.bound is None else f" ({self.bound} bound)"
        return f"{self.value:.4g} {self.unit}{interval}, n = {self.n}{kind}"


@dataclass(frozen=True)
class Measured:
    """An estimate and what it is an estimate of: the one form from the function that measures to the table.

    Attributes:
        metric: what was measured, such as "rate" or "robust_accuracy".
        estimate: the number.
        attack: under which attack.
        norm: of the budget epsilon, "linf" or "l2".
        epsilon: budget, in [0, 1] pixel units.
        x: position on a curve that is not a budget: a frequency, an epoch, a depth.
        label: what else tells it apart, in a word or two: a layer, a case, a question asked.
        reference: what the number is a difference from, or is held against: an augmentation, "shuffled".
        p_value: two-sided, corrected for all comparisons it belongs to.
        verdict: what was decided by it, in a word, such as "pass", "fail", "undecided" or who wins.
    """

    metric: str
    estimate: Estimate
    attack: str = ""
    norm: str = ""
    epsilon: float | None = None
    x: float | None = None
    label: str = ""
    reference: str = ""
    p_value: float | None = None
    verdict: str = ""


def mean_estimate(values: Sequence[float], unit: str, *, bound: Bound = None, warnings: Sequence[str] = ()) -> Estimate:
    """Mean of independent values with Student's 95 % interval; one value has no interval.

    Args:
        values: one number per independent thing, for example per image or per seed.

    Raises:
        ValueError: no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("values: expected at least one number, got none")
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, unit, n=1, bound=bound, warnings=tuple(warnings))
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = _student_97_5(n - 1) * math.sqrt(variance / n)
    return Estimate(mean, unit, mean - half, mean + half, n, bound, tuple(warnings))


def over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """Mean over training seeds of numbers measured on the same images, with a 95 % interval over seeds and images.

    To the variance between seeds the mean variance over images is added: images are shared, so that seeds do not average
    their part out. With one seed the interval speaks of images alone.

    Args:
        estimates: one per seed, each with Student's interval over its n images.

    Raises:
        ValueError: no estimate, or one without an interval.
    """
    from scipy.stats import t

    if not estimates or any(each.low is None or each.high is None for each in estimates):
        raise ValueError(f"estimates: expected at least one, each with an interval, got {list(map(str, estimates))}")
    n = min(each.n for each in estimates)
    halves = [(each.high - each.low) / 2 / float(t.ppf(0.975, each.n - 1)) for each in estimates]  # type: ignore[operator]
    values, unit = [each.value for each in estimates], estimates[0].unit
    value = math.fsum(values) / len(values)
    variance, degrees = _add_variances(math.fsum(half**2 for half in halves) / len(halves), n, values)
    if variance == 0:
        return Estimate(value, unit, value, value, n)
    half = float(t.ppf(0.975, degrees)) * math.sqrt(variance)
    return Estimate(value, unit, value - half, value + half, n)


def share_over_seeds(shares: Sequence[float], n_images: int, unit: str = "accuracy") -> Estimate:
    """Mean over training seeds of a share of the same images, with a 95 % interval over seeds and images.

    Wilson's interval for as many images as have the variance of the mean, that between seeds and that of images added
    as in over_seeds, with Student's factor. It stays inside [0, 1] and has a width where all seeds agree. Student's interval
    over seeds alone leaves out that other test images would give other numbers; how often each holds the truth is counted
    by bench.coverage.

    Args:
        shares: one per seed, in [0, 1].
        n_images: images that each was counted on.

    Raises:
        ValueError: no share, one outside [0, 1], or no image.

    >>> print(share_over_seeds([1.0, 1.0], 200))
    1 accuracy [0.9812, 1], n = 200
    """
    from scipy.stats import t

    if not shares or any(not 0 <= share <= 1 for share in shares) or n_images < 1:
        raise ValueError(f"shares: expected numbers in [0, 1] of one image or more, got {list(shares)} of {n_images}")
    value = math.fsum(shares) / len(shares)
    variance, degrees = _add_variances(value * (1 - value) / n_images, n_images, shares)
    n_equal = value * (1 - value) / variance if variance else n_images
    low, high = _wilson(value, n_equal, float(t.ppf(0.975, degrees)) if variance else _NORMAL_97_5)
    return Estimate(value, unit, low, high, n_images)


def _add_variances(of_images: float, n_images: int, values: Sequence[float]) -> tuple[float, float]:
    """Variance of a mean over seeds with that of its images added, and Satterthwaite's degrees of freedom."""
    parts = [(of_images, max(n_images - 1, 1))]
    if len(values) > 1:
        parts.append((statistics.variance(values) / len(values), len(values) - 1))
    variance = sum(part for part, _ in parts)
    return variance, variance**2 / sum(part**2 / freedom for part, freedom in parts) if variance else math.inf


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); stays inside [0, 1] and works at 0 and n.

    Raises:
        ValueError: n < 1, or successes outside 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes: expected 0 <= successes <= n with n >= 1, got {successes} of {n}")
    return _wilson(successes / n, n, _NORMAL_97_5)


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # exact ends: rounding must not push 0 of n above 0 or n of n below 1
    return (0.0 if share == 0 else centre - half), (1.0 if share == 1 else centre + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected so that the chance of any false finding among them stays below the level.

    Source: Holm 1979.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if not 0 <= p_values[i] <= 1:
            raise ValueError(f"p_values[{i}]: expected a number in [0, 1], got {p_values[i]!r}")
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def _student_97_5(degrees: int) -> float:
    from scipy.stats import t  # slow to import, needed rarely

    return float(t.ppf(0.975, degrees))
