"""Sentences on differences between augmentations under attack, from the tests that the study itself made."""

from collections.abc import Sequence

from msda_analysis.report.comparisons import (
    MIXUP,
    Comparison,
    describe_comparisons,
    describe_difference,
    is_masking,
    read_difference,
    read_tests,
)
from msda_analysis.report.sections.likeness import is_decided
from msda_analysis.report.style import label_of
from msda_analysis.report.words import Table, attack_label, metric_of


def tested_accuracies(table: Table, attack: str, norm: str, epsilon: float, subject: str) -> list[Comparison]:
    """Accuracy under one attack at one budget, as the study tested it; [] where it did not."""
    is_here = (table["attack"] == attack) & (table["norm"] == norm) & (table["epsilon"] == epsilon)
    return read_tests(table[is_here & (table["metric"] == "accuracy_difference")], subject)


def direct_curve_findings(table: Table, attacks: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """MixUp against each masking family over whole curves, as the study tested it.

    Args:
        table: rows of one data set and model.
        attacks: which attacks, in order.
        metrics: which readings of a curve.
    """
    made = []
    for attack in attacks:
        for metric in metrics:
            rows = table[(table["metric"] == metric) & (table["attack"] == attack)]
            subject = f"{metric_of(metric).label} under {attack_label(attack)}, mean over budgets"
            made += [
                one for one in read_tests(rows, subject) if one.augmentation == MIXUP and is_masking(one.reference)
            ]
    return describe_comparisons(made)


def significant_findings(pairs: Table) -> list[str]:
    """One sentence on all pairs of whole curves that differ after correction, whatever the attack.

    Args:
        pairs: from robustness_panels.matrix_pairs.
    """
    found = pairs[is_decided(pairs)]
    opening = f"Whole curves after Holm's correction over all {len(pairs)} pairs, attacks and readings"
    if found.empty:
        return [f"{opening}: no two augmentations differ."]
    clauses = []
    for row in found.to_dict("records"):
        size = describe_difference(
            read_difference({**row, "unit": "fraction"}), f"above {label_of(row['reference'])}",
            f"below {label_of(row['reference'])}", is_decided=True,
        )  # fmt: skip
        where = f"{attack_label(row['attack'])}, {metric_of(row['metric']).symbol}"
        clauses.append(f"{where}: {label_of(row['augmentation'])} {size} (p = {row['p_value']:.2g})")
    return [f"{opening}, {len(found)} differ. {'; '.join(clauses)}."]
