"""Sentences computed from the table: what the numbers show, with intervals, and no more than they show."""

from typing import TYPE_CHECKING

from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.figures.metrics import metric_of
from msda_analysis.figures.plots import augmentations_of
from msda_analysis.figures.selection import has_metric, paired_difference, select_rows
from msda_analysis.figures.style import label_of
from msda_analysis.figures.tables import interval_digits

if TYPE_CHECKING:
    import pandas as pd


def compare_with_baseline(rows: "pd.DataFrame", subject: str, reference: str = "baseline") -> str:
    """One sentence: each augmentation against the reference, paired over seeds.

    "Above" and "below" are said only where Student's 95 % interval excludes 0; one seed has no interval and gets no
    claim.

    Args:
        rows: rows of one metric (and attack, norm, epsilon), one per augmentation and seed.
        subject: what was measured, to open the sentence with.
        reference: augmentation to compare with.
    """
    others = [name for name in augmentations_of(rows) if name != reference]
    if not (rows["augmentation"] == reference).any():
        return f"{subject}: no finished {label_of(reference)} cell, so there is nothing to compare with."
    if not others:
        return f"{subject}: only {label_of(reference)} was measured, so there is nothing to compare."
    return f"{subject}: " + "; ".join(_clause(rows, name, reference) for name in others) + "."


def compare_axes(rows: "pd.DataFrame") -> str:
    """One sentence on preferred directions: transitions along the width against those along the height, per family.

    Raises:
        ValueError: either of the two metrics is missing.
    """
    height, width = (select_rows(rows, f"transitions_axis{axis}") for axis in (0, 1))
    clauses = []
    for name in augmentations_of(height):
        pair = [dict(zip(part["seed"], part["value"], strict=True)) for part in
                (group[group["augmentation"] == name] for group in (height, width))]  # fmt: skip
        differences = [pair[1][seed] - pair[0][seed] for seed in pair[0] if seed in pair[1]]
        if differences and any(pair[0].values()):
            clauses.append(_axes_clause(name, mean_estimate(differences, "transitions per mask"), len(differences)))
    return "Direction of mask edges: " + "; ".join(clauses) + "." if clauses else ""


def describe_difference(difference: Estimate, unit: str) -> str:
    """The size of a difference with its interval in words, for example "4.30 nats (95 % interval 3.9 to 4.7)"."""
    scale, word = (100.0, "percentage points") if unit in ("fraction", "accuracy") else (1.0, unit)
    low, high = difference.low, difference.high
    if low is None or high is None:
        return f"{scale * difference.value:+.3g} {word}"
    digits = interval_digits(scale * (high - low) / 2)
    return (
        f"{scale * difference.value:+.{digits}f} {word}, 95 % interval {scale * low:+.{digits}f} to "
        f"{scale * high:+.{digits}f}, paired over {difference.n} seeds"
    )


def information_findings(table: "pd.DataFrame") -> list[str]:
    """A sentence for each of the paper's three VAE figures that the table has."""
    present = [metric for metric in ("rate", "rate_reconstructed", "mse") if has_metric(table, metric)]
    return [compare_with_baseline(select_rows(table, metric), metric_of(metric).label) for metric in present]


def _clause(rows: "pd.DataFrame", name: str, reference: str) -> str:
    difference = paired_difference(rows, name, reference)
    unit, base = str(rows["unit"].iloc[0]), label_of(reference)
    if difference is None:
        return f"{label_of(name)} shares no seed with {base}"
    size = describe_difference(difference, unit)
    if difference.low is None or difference.high is None:
        return f"{label_of(name)} differs from {base} by {size} in the one seed they share, which shows no spread and no claim"
    if difference.low > 0 or difference.high < 0:
        return f"{label_of(name)} lies {'above' if difference.value > 0 else 'below'} {base} ({size})"
    return f"{label_of(name)} is not distinguishable from {base} ({size})"


def _axes_clause(name: str, difference: Estimate, n_seeds: int) -> str:
    size = describe_difference(difference, difference.unit)
    if difference.low is None or difference.high is None:
        return f"{label_of(name)} has {size} more along the width than along the height in {n_seeds} seed, without an interval"
    if difference.low > 0 or difference.high < 0:
        word = "more" if difference.value > 0 else "fewer"
        return f"{label_of(name)} changes {word} often along the width than along the height ({size})"
    return f"{label_of(name)} shows no preferred direction ({size})"
