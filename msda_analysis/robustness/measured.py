"""What attacks showed as measured numbers, ready for the table: of one evaluation, and of comparisons between several."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from msda_analysis.attacks.registry import MINIMUM_NORM_ATTACKS
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.robustness.curves import compare_claims, compare_curves
from msda_analysis.robustness.outcome import Outcome
from msda_analysis.robustness.statistics import compare, median_norm, survival_curve

if TYPE_CHECKING:
    import pandas as pd

#: Points of the survival curves above 0.
_FINE_BUDGETS = 24


def measured_outcome(outcome: Outcome) -> list[Measured]:
    """Accuracy by attack and budget, flags, and medians and survival curves of the minimum norms that were searched for.

    A flag's label is the name of its check.
    """
    numbers = [
        Measured(row["metric"], _estimate(row), row["attack"], outcome.norm, row["epsilon"])
        for row in _rows(outcome.table(worst_case=len(outcome.attacks) > 1))
    ]
    for flag in outcome.flags:
        doubt = Estimate(flag.value, "share", warnings=(flag.message,))
        numbers.append(Measured("flag", doubt, flag.attack, outcome.norm, label=flag.name))
    return numbers + [number for attack in _searching(outcome) for number in _minimum_norms(outcome, attack)]


def measured_differences(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, list[Measured]]:
    """All tested differences, by the augmentation that they are of: whole curves, the paper's claims, single budgets.

    Each is held against its `reference`, with the corrected p-value of its test (none for the claims, whose intervals are
    corrected) and, as verdict, the name of the more robust augmentation, "undecided" or ONE_RUN. Whole curves need a budget
    above 0, claims MixUp and the baseline; see compare_curves, compare_claims and compare.

    Raises:
        ValueError: fewer than two augmentations, or outcomes that do not match.
    """
    found: list[tuple[str, Measured]] = []
    if any(epsilon > 0 for epsilon in next(iter(outcomes.values()))[0].epsilons):
        found += [_difference(row, f"curve_{row['reading']}", _where(row)) for row in _rows(compare_curves(outcomes))]
        if {"mixup", "baseline"} <= set(outcomes):
            found += [
                _difference(row, f"claim_{row['reading']}", _where(row)) for row in _rows(compare_claims(outcomes))
            ]
    found += [_difference(row, row["metric"], row["test"]) for row in _rows(compare(outcomes))]
    numbers: dict[str, list[Measured]] = {}
    for augmentation, number in found:
        numbers.setdefault(augmentation, []).append(number)
    return numbers


def _rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    return table.to_dict("records")


def _difference(row: dict[str, Any], metric: str, note: str) -> tuple[str, Measured]:
    """The augmentation, and by how much it is more robust than the other."""
    estimate = _estimate(row, [text for text in (row.get("note"), note) if text])
    verdict = row.get(row["verdict"], row["verdict"])  # "a" or "b" is the name in that column
    return row["a"], Measured(
        metric, estimate, row["attack"], row["norm"], row.get("epsilon"), reference=row["b"],
        p_value=row.get("p_holm"), verdict=verdict,
    )  # fmt: skip


def _where(row: dict[str, Any]) -> str:
    budgets = ", ".join(f"{epsilon:g}" for epsilon in sorted(row["epsilons"]))
    seeds = " and ".join(str(count) for count in dict.fromkeys((row["seeds_a"], row["seeds_b"])))
    return f"{seeds} seeds; epsilon {budgets}"


def _searching(outcome: Outcome) -> list[str]:
    """Attacks whose norms are minima, not the budgets that happened to be tried; the smallest over all attacks last."""
    if outcome.minimum_norms.isnan().any():
        return []
    searching = [name for name in outcome.attacks if name in MINIMUM_NORM_ATTACKS]
    return [*searching, "worst_case"] if searching and len(outcome.attacks) > 1 else searching


def _minimum_norms(outcome: Outcome, attack: str) -> list[Measured]:
    """Median of the minimum norm, and the share of images above each of a fine row of budgets."""
    norms = outcome.minimum_norms
    norms = norms.amin(0) if attack == "worst_case" else norms[outcome.attacks.index(attack)]
    numbers = [Measured("minimum_norm_median", median_norm(norms), attack, outcome.norm)]
    positive = [epsilon for epsilon in outcome.epsilons if epsilon > 0]
    if not positive:
        return numbers
    grid = [0.0, *np.geomspace(min(positive), max(positive), _FINE_BUDGETS).tolist()]
    return numbers + [
        Measured("survival", _estimate(row), attack, outcome.norm, row["epsilon"])
        for row in _rows(survival_curve(norms, grid))
    ]


def _estimate(row: dict[str, Any], notes: Iterable[str] = ()) -> Estimate:
    return Estimate(row["value"], row["unit"], row["low"], row["high"], row["n"], warnings=tuple(notes))
