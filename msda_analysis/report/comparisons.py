"""Comparisons between augmentations: which are made, how they are corrected, and how one is told.

One rule holds for the whole report: p values are corrected by Holm's method over all comparisons that a section makes, and
a direction is claimed only where the corrected one is below SIGNIFICANT. A single training run decides nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from msda_analysis.estimate import ONE_RUN, Estimate, holm
from msda_analysis.report.select import paired_difference
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.tables import SIGNIFICANT, ResultTable, interval_digits
from msda_analysis.report.words import Table

#: The augmentation that the paper sets apart from the masking families.
MIXUP = "mixup"
_MASKS = ("cutmix", "fmix")


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
        if self.difference.low is None:
            return ONE_RUN
        if not self.is_decided:
            return "undecided"
        return f"{label_of(self.augmentation)} {'higher' if self.difference.value > 0 else 'lower'}"


def is_masking(augmentation: str) -> bool:
    """Whether an augmentation mixes by masks alone: CutMix, FMix and their variants, but not FMix + MixUp."""
    return all(part.strip().partition("_")[0] in _MASKS for part in augmentation.split("+"))


def pairs_of(names: Iterable[str], reference: str = "baseline") -> list[tuple[str, str]]:
    """The pairs that sentences speak of: each against the reference, and MixUp against each masking family."""
    ordered = order_augmentations(names)
    against = [(name, reference) for name in ordered if name != reference] if reference in ordered else []
    return against + [(MIXUP, name) for name in ordered if MIXUP in ordered and is_masking(name)]


def compare_seeds(rows: Table, subject: str, reference: str = "baseline") -> list[Comparison]:
    """Comparisons of one metric, paired over seeds, not corrected yet.

    Args:
        rows: rows of one metric (and attack, norm, epsilon), one per augmentation and seed.
        subject: what was measured.
        reference: augmentation to compare with.
    """
    made = []
    for name, other in pairs_of(rows["augmentation"], reference):
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
    for a, b in pairs_of(name for pair in found for name in pair):
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
