"""A number that never travels without its unit, its interval, its kind of bound, and what it is a number of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Bound = Literal["upper", "lower"] | None


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


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); stays inside [0, 1] and works at 0 and n.

    Raises:
        ValueError: n < 1, or successes outside 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes: expected 0 <= successes <= n with n >= 1, got {successes} of {n}")
    z = 1.959963984540054
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # exact ends: rounding must not push 0 of n above 0 or n of n below 1
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def _student_97_5(degrees: int) -> float:
    from scipy.stats import t  # slow to import, needed rarely

    return float(t.ppf(0.975, degrees))
