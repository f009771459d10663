"""The paper's claims on MixUp and robustness, each held against the rows: supported, refuted or undecided.

A difference of up to MARGIN either way makes no practical difference, so that there are three regions: above the margin, within
it, below it. An advantage is supported when its interval lies above the margin, and refuted when none of it does.
"""

from dataclasses import dataclass
from pathlib import Path

from msda_analysis.estimate import ONE_RUN, Estimate, over_seeds
from msda_analysis.report.section import Section
from msda_analysis.report.select import has_metric, select_rows, split_parts
from msda_analysis.report.sentences import describe_difference
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Metric, Table, attack_label, define

#: A difference of at most this share of images makes no practical difference.
MARGIN = 0.02
#: Perturbations look like MixUp when they cover at least this part of the way from chance to a MixUp step.
LIKE = 0.5

#: Metric of the rows -> what it is a difference in.
READINGS = {"claim_accuracy": "accuracy", "claim_kept": "kept share"}
define(
    {"claim_accuracy": Metric("Claim, accuracy", "accuracy"), "claim_kept": Metric("Claim, kept share", "share kept")},
    told=tuple(READINGS),
)
_ADVANTAGES = {
    "deepfool": "(a) MixUp is more robust to DeepFool",
    "uniform_noise": "(b) MixUp is more robust to uniform noise",
    "strong_gradient": "(c) MixUp does not help against stronger gradient attacks",
    "mixup_direction": "(implied) MixUp is more robust along MixUp directions",
}
_TEXT = (
    "What the paper says of MixUp, held against this study. Differences are MixUp minus baseline, mean over the budgets at "
    "which the baseline keeps 10 to 90 % of its correct images, in two readings: of all images, and of those classified "
    "correctly without attack. Strong gradient attacks count together: an image is broken when any of them breaks it."
)
_TABLE = (
    "Intervals of differences hold for all claims and readings at once (Bonferroni, 95 %), paired over the same images and "
    "with training seeds as the outer level. Differences of up to 2 points either way, the margin, make no practical "
    "difference: an advantage is supported when its interval lies above the margin and refuted when none of it does; a single "
    "training run leaves it undecided. Likeness is supported when the interval over seeds and images (95 %) of the energy on "
    "the way from chance to a MixUp step lies above half, also with fading left out, and refuted when it lies below half with "
    "fading counted."
)
_DENIALS = ("strong_gradient",)
_LIKENESS = (("deepfool", "linf"), ("deepfool", "l2"), ("uniform_noise", "linf"))


@dataclass(frozen=True)
class Verdict:
    """One claim in one reading.

    Attributes:
        claim: the sentence.
        reading: what the number is.
        number: the measured difference or share, with its interval.
        word: "supported", "refuted", "undecided" or "undecided (one run)".
        where: budgets and seeds.
        region: where the interval of a difference lies, in words; "" for a likeness.
    """

    claim: str
    reading: str
    number: Estimate
    word: str
    where: str
    region: str = ""


def claims_section(table: Table, folder: Path) -> Section | None:
    """What the paper says of MixUp, and what these rows say to it."""
    del folder
    table = table[(table["verdict"] != "") | ~table["metric"].isin(list(READINGS))]  # older tables judged no pair
    if not has_metric(table, *READINGS):
        return None
    lines, listed = [], []
    rows = select_rows(table, [*READINGS, "mixup_likeness", "mixup_likeness_beyond_fading"])
    for suffix, words, part in split_parts(rows):
        verdicts = judge_claims(part)
        lines += claim_findings(verdicts)
        listed.append(claims_table(verdicts, name=f"claims{suffix}", caption=f"{words}. {_TABLE}"))
    return Section("claims", "Which of the paper's claims held?", (_TEXT,), tuple(lines), tables=tuple(listed))


def judge_claims(table: Table) -> list[Verdict]:
    """Verdicts on all claims that the rows speak of."""
    return [*_judge_advantages(table), *_judge_likeness(table)]


def claim_findings(verdicts: list[Verdict]) -> list[str]:
    """One sentence per claim; readings that disagree leave it undecided."""
    lines = []
    for claim in dict.fromkeys(verdict.claim for verdict in verdicts):
        parts = [verdict for verdict in verdicts if verdict.claim == claim]
        words = {verdict.word for verdict in parts}
        overall = words.pop() if len(words) == 1 else "undecided, as the readings differ"
        clauses = "; ".join(map(_clause, parts))
        lines.append(f"Claim {claim}: {overall}. {clauses[:1].upper()}{clauses[1:]} ({parts[0].where}).")
    return lines


def claims_table(verdicts: list[Verdict], *, name: str, caption: str) -> ResultTable:
    """Claim, reading, number with its interval, verdict, budgets and seeds."""
    rows = [
        (verdict.claim, verdict.reading, verdict.number, verdict.region, verdict.word.capitalize(), verdict.where)
        for verdict in verdicts
    ]
    headers = ("Claim", "Reading", "Number", "Interval lies", "Verdict", "Where")
    return ResultTable(name, caption, headers, tuple(rows), ("", "", "share", "", "", ""))


def likeness_of(
    table: Table, attack: str, norm: str, augmentation: str = "baseline", metric: str = "mixup_likeness"
) -> list[Estimate]:
    """How far perturbations are from chance (0) to a MixUp step (1) in energy, one per seed, intervals over images.

    Chance is the same perturbation handed to another image; see robustness.mixup_likeness.energy_rows.
    """
    is_made = (table["attack"] == attack) & (table["norm"] == norm) & (table["status"] == "ok")
    rows = table[is_made & (table["metric"] == metric) & (table["augmentation"] == augmentation)]
    return [
        Estimate(row["value"], row["unit"], row["low"], row["high"], int(row["n"])) for row in rows.to_dict("records")
    ]


def _judge_advantages(table: Table) -> list[Verdict]:
    verdicts = []
    for attack, claim in _ADVANTAGES.items():
        for metric, reading in READINGS.items():
            rows = table[(table["metric"] == metric) & (table["attack"] == attack) & (table["status"] == "ok")]
            for row in rows.to_dict("records"):
                number = Estimate(row["value"], "fraction", row["low"], row["high"], int(row["n"]))
                region, word = _judge_advantage(number, is_denied=attack in _DENIALS)
                region, word = ("", ONE_RUN) if row["verdict"] == ONE_RUN else (region, word)
                verdicts.append(Verdict(claim, reading, number, word, row["note"], region))
    return verdicts


def _judge_advantage(number: Estimate, *, is_denied: bool) -> tuple[str, str]:
    """The region of an interval, and what that says to the claim of an advantage, or to its denial."""
    assert number.low is not None and number.high is not None
    if number.low > MARGIN:
        return "above the margin: an advantage", "refuted" if is_denied else "supported"
    if number.high > MARGIN:
        return "on both sides of the margin's upper end", "undecided"
    none = "supported" if is_denied else "refuted"
    if number.high < -MARGIN:
        return "below the margin: a disadvantage", none
    if number.low >= -MARGIN:
        return "within the margin: no practical difference", none
    return "not above the margin: no practical advantage", none


def _judge_likeness(table: Table) -> list[Verdict]:
    if not has_metric(table, "mixup_likeness"):
        return []
    verdicts = []
    for attack, norm in _LIKENESS:
        values = likeness_of(table, attack, norm)
        if not values:
            continue
        number, beyond = over_seeds(values), likeness_of(table, attack, norm, metric="mixup_likeness_beyond_fading")
        claim = f"(d) perturbations of {attack_label(attack, norm)} look like MixUp"
        where = f"baseline classifiers, {len(values)} seed{'s' if len(values) > 1 else ''}"
        word = _judge_share(number, over_seeds(beyond) if beyond else None) if len(values) > 1 else ONE_RUN
        verdicts.append(Verdict(claim, "likeness", number, word, where))
    return verdicts


def _judge_share(number: Estimate, beyond: Estimate | None) -> str:
    """Fading counts as likeness in `number`: a small one refutes, a large one needs more than fading beside it."""
    assert number.low is not None and number.high is not None
    if number.high < LIKE:
        return "refuted"
    is_more = beyond is not None and beyond.low is not None and beyond.low > LIKE
    return "supported" if number.low > LIKE and is_more else "undecided"


def _clause(verdict: Verdict) -> str:
    number = verdict.number
    if number.unit == "fraction":
        size = describe_difference(number, "more", "less")
        return ", ".join(text for text in (f"{verdict.reading} {size}", verdict.region, verdict.word) if text)
    interval = "" if number.low is None else f" [{100 * number.low:.1f}, {100 * (number.high or 0):.1f}]"
    return f"they cover {100 * number.value:.1f} % of the way from chance to a MixUp step in energy{interval}"
