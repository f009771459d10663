"""Several classifiers on the same images: who is more robust than whom, as a table of paired tests and as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from msda_analysis.checks import check_in_range
from msda_analysis.estimate import Measured
from msda_analysis.results import Source, to_rows
from msda_analysis.robustness.curves import compare_claims, compare_curves
from msda_analysis.robustness.measured import estimate_of, records
from msda_analysis.robustness.outcome import Outcome, check_outcomes
from msda_analysis.robustness.show import draw_accuracy, write_latex
from msda_analysis.robustness.statistics import judge_differences, mcnemar, nested_difference

if TYPE_CHECKING:
    import pandas as pd

    from msda_analysis.robustness.show import Figure


@dataclass(frozen=True)
class Comparison:
    """Classifiers attacked alike on the same images, and all tested differences between them.

    Attributes:
        outcomes: by name, one per training seed.
        table: one row per pair, attack and budget, see compare().
    """

    outcomes: Mapping[str, Sequence[Outcome]]
    table: "pd.DataFrame"

    def rows(self) -> list[dict[str, Any]]:
        """Everything measured of every classifier, and the tested differences, as rows of the long table."""
        runs = [(name, seed, run) for name, runs in self.outcomes.items() for seed, run in enumerate(runs)]
        rows = [row for name, seed, run in runs for row in run.rows(name, seed=seed)]
        for name, numbers in self._differences().items():
            rows += to_rows(Source("", "", augmentation=name), numbers)
        return rows

    def plot(self) -> "Figure":
        """Accuracy against epsilon, one panel per attack, one line per classifier."""
        return draw_accuracy([row for row in self.rows() if row["metric"] == "robust_accuracy"])

    def latex(self) -> str:
        """The table of differences as a tabular with booktabs rules."""
        return write_latex(records(self.table))

    def _differences(self) -> dict[str, list[Measured]]:
        found: dict[str, list[Measured]] = {}
        for row in records(self.table):
            name, number = _difference(row, row["metric"], row["test"])
            found.setdefault(name, []).append(number)
        return found

    def _repr_html_(self) -> str:
        """What notebooks show: the table."""
        return self.table.to_html(index=False)


def compare(outcomes: Mapping[str, Outcome | Sequence[Outcome]], *, level: float = 0.05) -> Comparison:
    """Who is more robust than whom, at which budget, with what confidence: one row per pair, attack and budget.

    Columns of the table: attack, norm, epsilon, metric, a, b, value (accuracy of a minus that of b), low, high (95 %, uncorrected; see
    nested_difference), n, unit, seeds_a, seeds_b, test, p_value, p_holm (corrected over the whole table), verdict (see
    judge_differences). The attack "worst_case" (any attack succeeds) is added when there are several.

    Args:
        outcomes: by name, one Outcome or one per training seed, all on the same images, attacks, budgets and norm.
        level: chance of any false finding in the table.

    Raises:
        ValueError: fewer than two names, or outcomes that do not match.
    """
    import pandas as pd

    check_in_range("level", level, 0.0, 1.0)
    runs = {name: (each,) if isinstance(each, Outcome) else tuple(each) for name, each in outcomes.items()}
    check_outcomes(runs)
    first = next(iter(runs.values()))[0]
    attacks = [*first.attacks, *(["worst_case"] if len(first.attacks) > 1 else [])]
    rows = []
    for name_a, name_b in combinations(runs, 2):
        for attack in attacks:
            for k, epsilon in enumerate(first.epsilons):
                a, b = (_survived(runs[name], attack, k) for name in (name_a, name_b))
                where = {"attack": attack, "norm": first.norm, "epsilon": epsilon, "metric": "accuracy_difference"}
                rows.append({**where, "a": name_a, "b": name_b, **_difference_row(a, b)})
    return Comparison(runs, judge_differences(pd.DataFrame(rows), level))


def measured_differences(
    outcomes: Mapping[str, Sequence[Outcome]], reference: str = "baseline"
) -> dict[str, list[Measured]]:
    """All tested differences, by the augmentation that they are of: whole curves, the paper's claims, single budgets.

    Args:
        outcomes: by augmentation, one per training seed.
        reference: chooses the budgets of whole curves, and is what MixUp is claimed to be more robust than.

    Each is held against its `reference`, with the corrected p-value of its test (none for the claims, whose intervals are
    corrected) and, as verdict, the name of the more robust augmentation, "undecided" or estimate.too_few. Whole curves need a budget
    above 0, claims MixUp and the reference; see compare_curves, compare_claims and compare.

    Raises:
        ValueError: fewer than two augmentations, or outcomes that do not match.
    """
    found: list[tuple[str, Measured]] = []
    if any(epsilon > 0 for epsilon in next(iter(outcomes.values()))[0].epsilons):
        found += [
            _difference(row, f"curve_{row['reading']}", _where(row))
            for row in records(compare_curves(outcomes, reference))
        ]
        if {"mixup", reference} <= set(outcomes) and reference != "mixup":
            found += [
                _difference(row, f"claim_{row['reading']}", _where(row))
                for row in records(compare_claims(outcomes, reference=reference))
            ]
    found += [_difference(row, row["metric"], row["test"]) for row in records(compare(outcomes).table)]
    numbers: dict[str, list[Measured]] = {}
    for augmentation, number in found:
        numbers.setdefault(augmentation, []).append(number)
    return numbers


def _difference(row: dict[str, Any], metric: str, note: str) -> tuple[str, Measured]:
    """The augmentation, and by how much it is more robust than the other."""
    estimate = estimate_of(row, [text for text in (row.get("note"), note) if text])
    verdict = row.get(row["verdict"], row["verdict"])  # "a" or "b" is the name in that column
    return row["a"], Measured(
        metric, estimate, row["attack"], row["norm"], row.get("epsilon"), reference=row["b"],
        p_value=row.get("p_holm"), verdict=verdict,
    )  # fmt: skip


def _where(row: dict[str, Any]) -> str:
    budgets = ", ".join(f"{epsilon:g}" for epsilon in sorted(row["epsilons"]))
    seeds = " and ".join(str(count) for count in dict.fromkeys((row["seeds_a"], row["seeds_b"])))
    return f"{seeds} seeds; epsilon {budgets}"


def _difference_row(a: np.ndarray, b: np.ndarray) -> dict[str, object]:
    estimate, p_value = nested_difference(a, b)
    test = "nested t"
    if len(a) == len(b) == 1:
        test, p_value = "McNemar exact", mcnemar(a[0], b[0]).p_value
    elif min(len(a), len(b)) == 1:
        raise ValueError(f"outcomes: expected one training seed each or at least two each, got {len(a)} and {len(b)}")
    return {
        "value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n, "unit": estimate.unit,
        "seeds_a": len(a), "seeds_b": len(b), "test": test, "p_value": p_value,
    }  # fmt: skip


def _survived(outcomes: Sequence[Outcome], attack: str, k: int) -> np.ndarray:
    """bool [training seed, image]."""
    return ~torch.stack([outcome.broken_by(attack)[k] for outcome in outcomes]).numpy()
