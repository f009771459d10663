"""Sentences computed from the table: what the numbers show, with intervals, and no more than they show."""

import math
from collections.abc import Sequence

from msda_analysis.report.comparisons import (
    MIXUP,
    Comparison,
    compare_seeds,
    correct,
    describe_comparisons,
    describe_difference,
    excludes_zero,
    is_masking,
)
from msda_analysis.report.plots import augmentations_of
from msda_analysis.report.select import has_metric, mean_rows, select_rows, summarize
from msda_analysis.report.style import label_of
from msda_analysis.report.tables import interval_digits
from msda_analysis.report.words import Table, metric_of

#: Upper bounds on I(X; Z) that sentences may speak of, tightest first.
HEADLINE_BOUNDS = ("flow", "fitted")
#: Quantities that the paper says MixUp lowers and masking does not.
_CLAIMED = ("rate", "rate_reconstructed", *HEADLINE_BOUNDS, "between_difference")


def compare_with_baseline(rows: Table, subject: str, reference: str = "baseline") -> list[str]:
    """Each augmentation against the reference, and MixUp against each masking family, paired over seeds.

    "Above" and "below" are said only where Holm's p value over these comparisons decides; one seed decides nothing.

    Args:
        rows: rows of one metric (and attack, norm, epsilon), one per augmentation and seed.
        subject: what was measured, to open the sentences with.
        reference: augmentation to compare with.
    """
    missing = why_not_compared(rows, subject, reference)
    return [*missing, *describe_comparisons(correct(compare_seeds(rows, subject, reference)), reference)]


def why_not_compared(rows: Table, subject: str, reference: str = "baseline") -> list[str]:
    """One sentence where the reference or all others are missing, else none."""
    if not (rows["augmentation"] == reference).any():
        return [f"{subject}: no finished {label_of(reference)} cell, so there is nothing to compare with."]
    if (rows["augmentation"] == reference).all():
        return [f"{subject}: only {label_of(reference)} was measured, so there is nothing to compare."]
    return []


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


def compare_metrics(table: Table, metrics: Sequence[str], words: str = "") -> list[Comparison]:
    """Comparisons of several metrics of one data set and model, paired over seeds, not corrected yet."""
    return [
        one
        for metric in metrics
        if has_metric(table, metric)
        for one in compare_seeds(select_rows(table, metric), _subject(metric, words))
    ]


def metric_findings(
    table: Table, metrics: Sequence[str], comparisons: Sequence[Comparison], words: str = ""
) -> list[str]:
    """Sentences on some metrics: comparisons, seed by seed where asked for, and what points the other way.

    Args:
        table: rows of one data set and model.
        metrics: in order, where the table has them.
        comparisons: corrected ones, of this table among others.
        words: what tells this part of the table from others.
    """
    lines, contrary = [], []
    for metric in (metric for metric in metrics if has_metric(table, metric)):
        rows, subject = select_rows(table, metric), _subject(metric, words)
        own = [one for one in comparisons if one.subject == subject]
        lines += [*why_not_compared(rows, subject), *describe_comparisons(own)]
        if metric in ("rate", *HEADLINE_BOUNDS):
            lines += compare_seed_by_seed(rows, subject)
        contrary += _contrary_clauses(rows, own) if metric in _CLAIMED else []
    if contrary:
        lines.append(f"Pointing the other way than the paper's claim, before any correction: {'; '.join(contrary)}.")
    return lines


def headline_bound(table: Table) -> str | None:
    """The tightest of HEADLINE_BOUNDS that was computed for every augmentation and seed; None where there is none."""
    found = {
        metric: set(zip(rows["augmentation"], rows["seed"], strict=True))
        for metric in HEADLINE_BOUNDS
        if has_metric(table, metric) and len(rows := select_rows(table, metric))
    }
    every = set().union(*found.values())
    return next((metric for metric in HEADLINE_BOUNDS if metric in found and found[metric] == every), None)


def bound_levels(table: Table, headline: str) -> list[str]:
    """What the bounds leave room for: at least, at most, and how far the next looser upper bound lies above."""
    upper, lower = _means(table, headline), _means(table, "info_nce")
    clauses = [
        f"{label_of(name)} {f'at least {lower[name]:.3g} and ' if name in lower else ''}at most {value:.3g} nats"
        for name, value in upper.items()
    ]
    names = f"{metric_of('info_nce').label} and {metric_of(headline).label}" if lower else metric_of(headline).label
    lines = [f"I(X; Z) by {names}, mean over seeds: {'; '.join(clauses)}."]
    looser = [metric for metric in HEADLINE_BOUNDS[HEADLINE_BOUNDS.index(headline) + 1 :] if has_metric(table, metric)]
    if not looser:
        return [
            *lines,
            f"No upper bound tighter than {metric_of(headline).label} was computed, so how loose it is is unknown.",
        ]
    gaps = [value - upper[name] for name, value in _means(table, looser[0]).items() if name in upper]
    return [
        *lines,
        f"{metric_of(looser[0]).label}, the next looser upper bound, lies {min(gaps):.2g} to {max(gaps):.2g} nats higher: "
        "differences of that size may be the method's.",
    ]  # fmt: skip


def compare_seed_by_seed(rows: Table, subject: str, reference: str = "baseline") -> list[str]:
    """Where intervals over test images part company, training seed by training seed; [] without intervals or two seeds.

    Args:
        rows: rows of one metric, one per augmentation and seed, with their intervals over images.
        subject: what was measured, to open the sentence with.
        reference: augmentation to compare with.
    """
    counts = _count_seeds(rows, reference)
    clauses = [f"{label_of(name)} below in {low} and above in {high} of {n}" for name, (low, high, n) in counts.items()]
    if not clauses:
        return []
    return [
        f"{subject}, intervals over test images that do not overlap {label_of(reference)}'s, seed by seed: {'; '.join(clauses)}."
    ]


def _subject(metric: str, words: str) -> str:
    kind = ", an upper bound on I(X; Z)" if metric in HEADLINE_BOUNDS else ""
    return f"{metric_of(metric).label}{f' ({words})' if words else ''}{kind}"


def _means(table: Table, metric: str) -> dict[str, float]:
    if not has_metric(table, metric):
        return {}
    rows = select_rows(table, metric)
    return {name: float(rows[rows["augmentation"] == name]["value"].mean()) for name in augmentations_of(rows)}


def _count_seeds(rows: Table, reference: str) -> dict[str, tuple[int, int, int]]:
    """By augmentation: seeds whose interval lies below, above the reference's, and shared seeds, of which two are needed."""
    known = rows.dropna(subset=["low", "high", "seed"]).set_index(["augmentation", "seed"])[["low", "high"]]
    counts = {}
    for name in (name for name in augmentations_of(rows) if name != reference):
        shared = [seed for other, seed in known.index if other == name and (reference, seed) in known.index]
        below = sum(known.loc[(name, seed), "high"] < known.loc[(reference, seed), "low"] for seed in shared)
        above = sum(known.loc[(name, seed), "low"] > known.loc[(reference, seed), "high"] for seed in shared)
        if len(shared) > 1:
            counts[name] = (int(below), int(above), len(shared))
    return counts


def _contrary_clauses(rows: Table, comparisons: Sequence[Comparison], reference: str = "baseline") -> list[str]:
    """Masking families that lie below the reference, and MixUp above it, over seeds or in every seed."""
    counts = _count_seeds(rows, reference)
    clauses = []
    for one in (one for one in comparisons if one.reference == reference and one.difference is not None):
        name, difference = one.augmentation, one.difference
        wrong = -1 if is_masking(name) else 1 if name == MIXUP else 0
        assert difference is not None
        if wrong and excludes_zero(difference) and difference.value * wrong > 0:
            clauses.append(f"{one.subject}, {label_of(name)} {describe_difference(difference)}")
        low, high, n = counts.get(name, (0, 0, 0))
        if wrong and n and (low if wrong < 0 else high) == n:
            side = "below" if wrong < 0 else "above"
            clauses.append(f"{one.subject}, {label_of(name)} {side} in all {n} seeds by intervals over images")
    return clauses


def _axes_clause(row: dict) -> str:
    name, value, low, high = label_of(row["augmentation"]), row["value"], row["low"], row["high"]
    if math.isnan(low) or math.isnan(high):
        return f"{name} {value:.3g} (no interval, so no claim)"
    digits = interval_digits(value, (high - low) / 2)
    size = f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{name} {size}, {'a preferred direction' if low > 1 or high < 1 else 'no preferred direction seen'}"
