"""Sentences computed from the table: what the numbers show, with intervals, and no more than they show."""

import math
from collections.abc import Iterable

from msda_analysis.estimate import Estimate
from msda_analysis.figures.metrics import Table, metric_of
from msda_analysis.figures.plots import augmentations_of
from msda_analysis.figures.selection import has_metric, mean_rows, paired_difference, select_rows, summarize
from msda_analysis.figures.style import label_of
from msda_analysis.figures.tables import interval_digits


def compare_with_baseline(rows: Table, subject: str, reference: str = "baseline") -> str:
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
    differences = {name: paired_difference(rows, name, reference) for name in others}
    clauses = [_clause(name, difference) for name, difference in differences.items()]
    return f"{subject}, against {label_of(reference)}: {_join(clauses, differences.values())}."


def compare_axes(rows: Table) -> str:
    """One sentence on preferred directions, from the axis power ratio of each family: 1 means none.

    Masks are independent draws, so that a single seed is judged by its interval over masks. Families whose masks are
    constant have no ratio and are left out; "" when that leaves none.

    Raises:
        ValueError: there are no rows "axis_power_ratio".
    """
    by = ("metric", "augmentation")
    chosen = mean_rows(summarize(select_rows(rows, "axis_power_ratio"), by), by, over_samples=True)
    chosen = chosen[chosen["value"].notna()]
    clauses = [_axes_clause(row) for row in chosen.to_dict("records")]
    return f"Power of masks across the width over that across the height: {'; '.join(clauses)}." if clauses else ""


def describe_difference(difference: Estimate, above: str = "above", below: str = "below") -> str:
    """The size of a difference with its interval in brackets, for example "4.30 nats below [3.41, 5.19]".

    A difference whose interval holds 0, or that has none, keeps its sign and gets no direction. Fractions are told in
    percentage points.
    """
    scale, unit = (100.0, "points") if difference.unit in ("fraction", "accuracy") else (1.0, difference.unit)
    value = scale * difference.value
    if difference.low is None or difference.high is None:
        return _signed(f"{value:+.3g} {unit}")
    low, high = scale * difference.low, scale * difference.high
    digits = interval_digits(value, (high - low) / 2)
    if not excludes_zero(difference):
        return _signed(f"{value:+.{digits}f} {unit} [{low:+.{digits}f}, {high:+.{digits}f}]")
    near, far = sorted((abs(low), abs(high)))
    return f"{abs(value):.{digits}f} {unit} {above if value > 0 else below} [{near:.{digits}f}, {far:.{digits}f}]"


def excludes_zero(difference: Estimate) -> bool:
    """Whether a difference has an interval and all of it lies on one side of 0.

    An interval without width (seeds that agree to the last digit, as accuracies of few images may) shows no spread to
    judge by and counts as none.
    """
    if difference.low is None or difference.high is None or difference.low == difference.high:
        return False
    return difference.low > 0 or difference.high < 0


def information_findings(table: Table) -> list[str]:
    """A sentence for each of the paper's three VAE figures that the table has."""
    present = [metric for metric in ("rate", "rate_reconstructed", "mse") if has_metric(table, metric)]
    lines = [compare_with_baseline(select_rows(table, metric), metric_of(metric).label) for metric in present]
    if "rate" in present:
        lines[1:1] = compare_seed_by_seed(select_rows(table, "rate"), metric_of("rate").label)
    return lines


def bound_findings(table: Table) -> list[str]:
    """What the tightest upper bound says, between seeds and seed by seed."""
    rows = select_rows(table, "fitted") if has_metric(table, "fitted") else None
    if rows is None:
        return []
    label = metric_of("fitted").label
    return [compare_with_baseline(rows, label), *compare_seed_by_seed(rows, label)]


def compare_seed_by_seed(rows: Table, subject: str, reference: str = "baseline") -> list[str]:
    """Where intervals over test images part company, training seed by training seed; [] without intervals.

    Args:
        rows: rows of one metric, one per augmentation and seed, with their intervals over images.
        subject: what was measured, to open the sentence with.
        reference: augmentation to compare with.
    """
    known = rows.dropna(subset=["low", "high", "seed"]).set_index(["augmentation", "seed"])[["low", "high"]]
    clauses = []
    for name in (name for name in augmentations_of(rows) if name != reference):
        shared = [seed for other, seed in known.index if other == name and (reference, seed) in known.index]
        below = sum(known.loc[(name, seed), "high"] < known.loc[(reference, seed), "low"] for seed in shared)
        above = sum(known.loc[(name, seed), "low"] > known.loc[(reference, seed), "high"] for seed in shared)
        if shared:
            clauses.append(f"{label_of(name)} below in {below} and above in {above} of {len(shared)}")
    if not clauses:
        return []
    return [
        f"{subject}, intervals over test images that do not overlap {label_of(reference)}'s, seed by seed: {'; '.join(clauses)}."
    ]


def _clause(name: str, difference: Estimate | None) -> str:
    if difference is None:
        return f"{label_of(name)} shares no seed with it"
    size = describe_difference(difference)
    if difference.low is None:
        return f"{label_of(name)} {size} (one seed: no interval, so no claim)"
    return f"{label_of(name)} {'lies' if excludes_zero(difference) else 'is not distinguishable,'} {size}"


def _axes_clause(row: dict) -> str:
    name, value, low, high = label_of(row["augmentation"]), row["value"], row["low"], row["high"]
    if math.isnan(low) or math.isnan(high):
        return f"{name} {value:.3g} (no interval, so no claim)"
    digits = interval_digits(value, (high - low) / 2)
    size = f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{name} {size}, {'a preferred direction' if low > 1 or high < 1 else 'no preferred direction seen'}"


def _join(clauses: Iterable[str], differences: Iterable[Estimate | None]) -> str:
    """Clauses with the number of seeds: once at the end where all share it, else with each."""
    counts = [difference.n if difference else 0 for difference in differences]
    if len(set(counts)) == 1:
        return "; ".join(clauses) + (f" ({counts[0]} seeds)" if counts[0] > 1 else "")
    noted = [f"{text} ({count} seeds)" if count > 1 else text for text, count in zip(clauses, counts, strict=True)]
    return "; ".join(noted)


def _signed(text: str) -> str:
    """Typographic minus signs."""
    return text.replace("-", "\N{MINUS SIGN}")
