"""Rows of a table as measured numbers, and minimum norms as a median and a survival curve."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.robustness.statistics import median_norm, survival_curve

if TYPE_CHECKING:
    import pandas as pd

#: Points of the survival curves above 0.
_FINE_BUDGETS = 24


def records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows of a table."""
    return table.to_dict("records")


def estimate_of(row: dict[str, Any], notes: Iterable[str] = ()) -> Estimate:
    """The number in a row, with its interval."""
    return Estimate(row["value"], row["unit"], row["low"], row["high"], row["n"], warnings=tuple(notes))


def measured_norms(minimum_norms: Tensor, attack: str, norm: str, epsilons: Sequence[float]) -> list[Measured]:
    """Median of the minimum norm, and the share of images above each of a fine row of budgets.

    Args:
        minimum_norms: float [image], see statistics.survival_curve.
        attack, norm: what they are norms of.
        epsilons: budgets; the row goes from the smallest positive one to the largest.
    """
    numbers = [Measured("minimum_norm_median", median_norm(minimum_norms), attack, norm)]
    positive = [epsilon for epsilon in epsilons if epsilon > 0]
    if not positive:
        return numbers
    fine = _FINE_BUDGETS if min(positive) < max(positive) else 1  # of one budget there is no row
    grid = [0.0, *np.geomspace(min(positive), max(positive), fine).tolist()]
    return numbers + [
        Measured("survival", estimate_of(row), attack, norm, row["epsilon"])
        for row in records(survival_curve(minimum_norms, grid))
    ]
