"""Sentences on differences between augmentations under attack, from the tests that the study itself made."""

from collections.abc import Sequence

from msda_analysis.figures.comparisons import (
    MIXUP,
    Comparison,
    describe_comparisons,
    describe_difference,
    is_masking,
    is_one_run,
    read_difference,
    read_tests,
)
from msda_analysis.figures.metrics import Table, attack_label, metric_of
from msda_analysis.figures.style import label_of
from msda_analysis.figures.tables import SIGNIFICANT


def tested_accuracies(table: Table, attack: str, epsilon: float, subject: str) -> list[Comparison]:
    """Accuracy under one attack at one budget, as the study tested it; [] where it did not."""
    at = table[(table["attack"] == attack) & (table["epsilon"] == epsilon)]
    return read_tests(at[at["metric"] == "accuracy_difference"], at[at["metric"] == "p_holm"], subject)


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
            rows, p_rows = (
                table[(table["metric"] == name) & (table["attack"] == attack)] for name in (metric, f"{metric}_p_holm")
            )
            subject = f"{metric_of(metric).label} under {attack_label(attack)}, mean over budgets"
            made += [
                one
                for one in read_tests(rows, p_rows, subject)
                if one.augmentation == MIXUP and is_masking(one.reference)
            ]
    return describe_comparisons(made)


def significant_findings(pairs: Table) -> list[str]:
    """One sentence on all pairs of whole curves that differ after correction, whatever the attack.

    Args:
        pairs: from robustness_panels.matrix_pairs.
    """
    found = pairs[(pairs["p_holm"] < SIGNIFICANT) & ~pairs["note"].map(is_one_run)]
    opening = f"Whole curves after Holm's correction over all {len(pairs)} pairs, attacks and readings"
    if found.empty:
        return [f"{opening}: no two augmentations differ."]
    clauses = []
    for row in found.to_dict("records"):
        size = describe_difference(
            read_difference({**row, "unit": "fraction"}), f"above {label_of(row['b'])}", f"below {label_of(row['b'])}",
            is_decided=True,
        )  # fmt: skip
        clauses.append(
            f"{attack_label(row['attack'])}, {metric_of(row['metric']).symbol}: {label_of(row['a'])} {size} (p = {row['p_holm']:.2g})"
        )
    return [f"{opening}, {len(found)} differ. {'; '.join(clauses)}."]
