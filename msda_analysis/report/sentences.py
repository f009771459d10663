"""Comparisons between augmentations: which are made, how they are corrected, and how one is told.

One rule holds for the whole report: p values are corrected by Holm's method over all comparisons that a section makes, and
a direction is claimed only where the corrected one is below SIGNIFICANT. A single training run decides nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from msda_analysis.estimate import IMAGES_ALONE, ONE_RUN, Estimate, holm, too_few
from msda_analysis.report.select import (
    DIFFERENCE_OF_BOUNDS,
    has_metric,
    paired_difference,
    reference_of,
    select_rows,
    split_parts,
)
from msda_analysis.report.style import families_of, label_of, order_augmentations
from msda_analysis.report.tables import ResultTable, interval_digits
from msda_analysis.report.words import Table, in_brackets, metric_of, sentence

#: Corrected p values below this decide a comparison.
SIGNIFICANT = 0.05
#: The augmentation that the paper sets apart from the masking families.
MIXUP = "mixup"
#: Limit of comparisons whose sides are upper bounds.
BOUNDS_LIMIT = "A difference of two upper bounds bounds nothing: both err upwards, by amounts that may differ between augmentations."
_MASKS = ("cutmix", "fmix")
_SEED_COMPARISONS = (
    "Every comparison of this section, paired over seeds: Student's 95 % interval, uncorrected, Student's p value, and the "
    "same corrected by Holm's method over all rows of this table. A verdict needs a corrected p below 0.05 and three runs; with two "
    "the interval is over the test images alone."
)


@dataclass(frozen=True)
class Comparison:
    """One augmentation against another in one quantity.

    Attributes:
        subject: the quantity.
        augmentation, reference: the difference is that of the first minus the second.
        difference: None where they share no seed; without an interval where there is one run.
        p_value: two-sided, of no difference; None where nothing can be tested.
        p_holm: the same, corrected; None until `correct` was asked, or where nothing can be tested.
    """

    subject: str
    augmentation: str
    reference: str
    difference: Estimate | None
    p_value: float | None = None
    p_holm: float | None = None

    @property
    def is_decided(self) -> bool:
        """Whether the corrected p value decides."""
        return self.p_holm is not None and self.p_holm < SIGNIFICANT

    @property
    def verdict(self) -> str:
        """Which side lies higher or lower, or why that is undecided."""
        if self.difference is None:
            return "no shared seed"
        if IMAGES_ALONE in self.difference.warnings:
            return too_few(self.difference.n)
        if self.difference.low is None:
            return ONE_RUN
        if not self.is_decided:
            return "undecided"
        return f"{label_of(self.augmentation)} {'higher' if self.difference.value > 0 else 'lower'}"


def is_masking(augmentation: str) -> bool:
    """Whether an augmentation mixes by masks alone: CutMix, FMix and their variants, but not FMix + MixUp."""
    return all(name.partition("_")[0] in _MASKS for name, _ in families_of(augmentation))


def pairs_of(names: Iterable[str], reference: str = "baseline") -> list[tuple[str, str]]:
    """The pairs that sentences speak of: each against the reference, and MixUp against each masking family."""
    ordered = order_augmentations(names)
    against = [(name, reference) for name in ordered if name != reference] if reference in ordered else []
    direct = [(MIXUP, name) for name in ordered if MIXUP in ordered and is_masking(name)]
    return against + [pair for pair in direct if reference not in pair]  # with the reference it is among those


def compare_seeds(rows: Table, subject: str) -> list[Comparison]:
    """Comparisons of one metric, paired over seeds, not corrected yet.

    Args:
        rows: rows of one metric (and attack, norm, epsilon), one per augmentation and seed.
        subject: what was measured.
    """
    made = []
    for name, other in pairs_of(rows["augmentation"], reference_of(rows)):
        difference = paired_difference(rows, name, other)
        made.append(Comparison(subject, name, other, difference, _paired_p(difference)))
    return made


def read_tests(rows: Table, subject: str) -> list[Comparison]:
    """Comparisons that the study itself tested, images within seeds, with the correction over all that it tested.

    Args:
        rows: differences with their verdicts, one row per augmentation and reference; those without one are left out.
        subject: what was measured.
    """
    tested = rows[rows["verdict"] != ""].to_dict("records")
    found = {(row["augmentation"], row["reference"]): row for row in tested}
    made = []
    for a, b in pairs_of((name for pair in found for name in pair), reference_of(rows)):
        sign, key = (1, (a, b)) if (a, b) in found else (-1, (b, a))
        if key in found:
            difference = read_difference(found[key], sign)
            made.append(Comparison(subject, a, b, difference, p_holm=found[key]["p_value"]))
    return made


def correct(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with p values corrected by Holm's method over all of them."""
    tested = [i for i, one in enumerate(comparisons) if one.p_value is not None]
    corrected = dict(zip(tested, holm([comparisons[i].p_value or 0.0 for i in tested]), strict=True))
    return [replace(one, p_holm=corrected.get(i)) for i, one in enumerate(comparisons)]


def describe_comparisons(comparisons: Sequence[Comparison], reference: str = "baseline") -> list[str]:
    """Two sentences per quantity: all against the reference, and MixUp against each masking family.

    "Above" and "below" are said only where the corrected p value decides.

    Args:
        comparisons: corrected.
        reference: augmentation to compare with.
    """
    lines = []
    for subject in dict.fromkeys(one.subject for one in comparisons):
        group = [one for one in comparisons if one.subject == subject]
        against = [one for one in group if one.reference == reference]
        direct = [one for one in group if one.reference != reference]
        warnings = dict.fromkeys(text for one in against if one.difference for text in one.difference.warnings)
        ending = "".join(f" ({text})" for text in warnings)
        if against:
            clauses = [_clause(label_of(one.augmentation), one) for one in against]
            lines.append(f"{subject}, against {label_of(reference)}: {_join(clauses, against)}{ending}.")
        if direct:
            clauses = [f"against {label_of(one.reference)} {_clause('it', one)}" for one in direct]
            lines.append(f"{subject}, MixUp against each masking family: {_join(clauses, direct)}.")
    return lines


def compare_section(
    table: Table, metrics: Sequence[str], name: str, *, by_seed: Sequence[str] = (), claimed: Sequence[str] = ()
) -> tuple[list[str], tuple[ResultTable, ...]]:
    """Sentences and one table on some metrics, corrected over all data sets and models of the section.

    Args:
        table: the long table.
        metrics: in order, where the table has them.
        name: of the section.
        by_seed: metrics that are also told seed by seed.
        claimed: metrics of which the paper says that MixUp lowers them and masking does not; what points the other way is told.
    """
    shown = [metric for metric in metrics if has_metric(table, metric)]
    if not shown:
        return [], ()
    parts = [
        (i, metric, select_rows(part, metric), _subject(metric, words if suffix else ""))
        for i, (suffix, words, part) in enumerate(split_parts(select_rows(table, shown)))
        for metric in shown
        if has_metric(part, metric)
    ]
    made = correct([one for *_, rows, subject in parts for one in compare_seeds(rows, subject)])
    lines, contrary = [], []
    for k, (i, metric, rows, subject) in enumerate(parts):
        own = [one for one in made if one.subject == subject]
        lines += [*why_not_compared(rows, subject), *describe_comparisons(own, reference_of(table))]
        lines += compare_seed_by_seed(rows, subject) if metric in by_seed else []
        contrary += _contrary_clauses(rows, own) if metric in claimed else []
        if contrary and (k + 1 == len(parts) or parts[k + 1][0] != i):  # the last metric of a data set and model
            told, contrary = "; ".join(contrary), []
            lines.append(f"Pointing the other way than the paper's claim, before any correction: {told}.")
    warned = any(DIFFERENCE_OF_BOUNDS in one.difference.warnings for one in made if one.difference)
    caption = sentence(_SEED_COMPARISONS, BOUNDS_LIMIT if warned else "")
    return lines, (comparisons_table(made, name=f"{name}_comparisons", caption=caption),) if made else ()


def why_not_compared(rows: Table, subject: str) -> list[str]:
    """One sentence where the reference or all others are missing, else none."""
    reference = reference_of(rows)
    if not (rows["augmentation"] == reference).any():
        return [f"{subject}: no finished {label_of(reference)} cell, so there is nothing to compare with."]
    if (rows["augmentation"] == reference).all():
        return [f"{subject}: only {label_of(reference)} was measured, so there is nothing to compare."]
    return []


def compare_seed_by_seed(rows: Table, subject: str) -> list[str]:
    """Where intervals over test images part company, training seed by training seed; [] without intervals or two seeds.

    Args:
        rows: rows of one metric, one per augmentation and seed, with their intervals over images.
        subject: what was measured, to open the sentence with.
    """
    reference = reference_of(rows)
    counts = _count_seeds(rows, reference)
    clauses = [f"{label_of(name)} below in {low} and above in {high} of {n}" for name, (low, high, n) in counts.items()]
    opening = f"{subject}, intervals over test images that do not overlap {label_of(reference)}'s, seed by seed"
    return [f"{opening}: {'; '.join(clauses)}."] if clauses else []


def comparisons_table(comparisons: Sequence[Comparison], *, name: str, caption: str) -> ResultTable:
    """Quantity, pair, difference with its uncorrected interval, p, Holm's p and the verdict."""
    rows = [
        (one.subject, f"{label_of(one.augmentation)} \N{MINUS SIGN} {label_of(one.reference)}", one.difference,
         _p_text(one.p_value), _p_text(one.p_holm), one.verdict)
        for one in comparisons
    ]  # fmt: skip
    return ResultTable(name, caption, ("Quantity", "Pair", "Difference", "p", "Holm p", "Verdict"), tuple(rows))


def describe_difference(
    difference: Estimate, above: str = "above", below: str = "below", *, is_decided: bool | None = None
) -> str:
    """The size of a difference with its interval in brackets, for example "4.30 nats below [3.41, 5.19]".

    A difference that is not decided, or that has no interval, keeps its sign and gets no direction. Fractions are told in
    percentage points.

    Args:
        difference: with its interval, where it has one.
        above, below: words for the direction.
        is_decided: None asks whether the interval excludes 0.
    """
    scale, unit = (100.0, "points") if difference.unit in ("fraction", "accuracy") else (1.0, difference.unit)
    value = scale * difference.value
    if difference.low is None or difference.high is None:
        return _signed(f"{value:+.3g} {unit}")
    low, high = scale * difference.low, scale * difference.high
    digits = interval_digits(value, (high - low) / 2)
    if not (excludes_zero(difference) if is_decided is None else is_decided):
        return _signed(f"{value:+.{digits}f} {unit} [{low:+.{digits}f}, {high:+.{digits}f}]")
    ends = (low, high) if value > 0 else (-high, -low)
    interval = _signed(", ".join(f"{end:.{digits}f}" for end in ends))
    return f"{abs(value):.{digits}f} {unit} {above if value > 0 else below} [{interval}]"


def excludes_zero(difference: Estimate) -> bool:
    """Whether a difference has an interval and all of it lies on one side of 0.

    An interval without width (seeds that agree to the last digit, as accuracies of few images may) shows no spread to
    judge by and counts as none.
    """
    if difference.low is None or difference.high is None or difference.low == difference.high:
        return False
    return difference.low > 0 or difference.high < 0


def _paired_p(difference: Estimate | None) -> float | None:
    """Student's two-sided p value, read back from the 95 % interval; None without one, or where seeds show no spread."""
    from scipy.stats import t

    if difference is None or difference.low is None or difference.high is None or difference.low == difference.high:
        return None
    if IMAGES_ALONE in difference.warnings:
        return None
    error = (difference.high - difference.low) / 2 / t.ppf(0.975, difference.n - 1)
    return float(2 * t.sf(abs(difference.value) / error, difference.n - 1))


def read_difference(row: dict, sign: int = 1) -> Estimate:
    """A tested difference of the table, or its negative; without an interval where a side had one training run."""
    value, unit, n = sign * float(row["value"]), str(row["unit"]), int(row["n"])
    if row["verdict"] == ONE_RUN:
        return Estimate(value, unit)
    low, high = sorted((sign * float(row["low"]), sign * float(row["high"])))
    return Estimate(value, unit, low, high, n)


def _clause(name: str, one: Comparison) -> str:
    difference = one.difference
    if difference is None:
        return f"{name} shares no seed with it"
    if IMAGES_ALONE in difference.warnings:
        return f"{name} {describe_difference(difference, is_decided=False)}"
    if difference.low is None:
        return f"{name} {describe_difference(difference)}, {ONE_RUN}"
    p_value = "" if one.p_holm is None else f" (p = {one.p_holm:.2g})"
    if not one.is_decided:
        word = "is undecided after correction" if excludes_zero(difference) else "is not distinguishable"
        return f"{name} {word}, {describe_difference(difference, is_decided=False)}{p_value}"
    if not difference.warnings:
        return f"{name} lies {describe_difference(difference, is_decided=True)}{p_value}"
    owner, words = "its" if name == "it" else f"{name}'s", "lies higher by" if difference.value > 0 else "lies lower by"
    size = describe_difference(difference, "", "", is_decided=True).replace("  ", " ")
    return f"{owner} upper bound {words} {size}{p_value}"


def _join(clauses: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    """Clauses with the number of seeds: once at the end where all share it, else with each; images are told elsewhere."""
    tested = [one.p_value is None and one.p_holm is not None for one in comparisons]  # by the study: n counts images
    counts = [
        one.difference.n if one.difference and not by_study else 0
        for one, by_study in zip(comparisons, tested, strict=True)
    ]
    if len(set(counts)) == 1:
        return "; ".join(clauses) + (f" ({counts[0]} seeds)" if counts[0] > 1 else "")
    noted = [f"{text} ({count} seeds)" if count > 1 else text for text, count in zip(clauses, counts, strict=True)]
    return "; ".join(noted)


def _p_text(p_value: float | None) -> str:
    return "" if p_value is None else f"{p_value:.2g}"


def _signed(text: str) -> str:
    """Typographic minus signs."""
    return text.replace("-", "\N{MINUS SIGN}")


def _subject(metric: str, words: str) -> str:
    known = metric_of(metric)
    return f"{known.label}{in_brackets(words)}{f', {known.kind}' if known.kind else ''}"


def _count_seeds(rows: Table, reference: str) -> dict[str, tuple[int, int, int]]:
    """By augmentation: seeds whose interval lies below, above the reference's, and shared seeds, of which two are needed."""
    known = rows.dropna(subset=["low", "high", "seed"]).set_index(["augmentation", "seed"])[["low", "high"]]
    counts = {}
    for name in (name for name in order_augmentations(rows["augmentation"]) if name != reference):
        shared = [seed for other, seed in known.index if other == name and (reference, seed) in known.index]
        below = sum(known.loc[(name, seed), "high"] < known.loc[(reference, seed), "low"] for seed in shared)
        above = sum(known.loc[(name, seed), "low"] > known.loc[(reference, seed), "high"] for seed in shared)
        if len(shared) > 1:
            counts[name] = (int(below), int(above), len(shared))
    return counts


def _contrary_clauses(rows: Table, comparisons: Sequence[Comparison]) -> list[str]:
    """Masking families that lie below the reference, and MixUp above it, over seeds or in every seed."""
    reference = reference_of(rows)
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
