"""The paper's claims on MixUp and robustness, each held against the rows: supported, refuted or undecided."""

from dataclasses import dataclass

from msda_analysis.estimate import Estimate
from msda_analysis.figures.findings import describe_difference
from msda_analysis.figures.metrics import Table, attack_label
from msda_analysis.figures.selection import has_metric, select_rows
from msda_analysis.figures.tables import ResultTable
from msda_analysis.robustness import over_seeds

#: An advantage below this share of images is called none, so that "no help" can be shown and not only fail to be refuted.
MARGIN = 0.02
#: Perturbations look like MixUp when they cover at least this part of the way from chance to a MixUp step.
LIKE = 0.5

#: Metric of the rows -> what it is a difference in.
READINGS = {"claim_accuracy": "accuracy", "claim_kept": "kept share"}
_ADVANTAGES = {
    "deepfool": "(a) MixUp is more robust to DeepFool",
    "uniform_noise": "(b) MixUp is more robust to uniform noise",
    "strong_gradient": "(c) MixUp does not help against stronger gradient attacks",
    "mixup_direction": "(implied) MixUp is more robust along MixUp directions",
}
_DENIALS = ("strong_gradient",)
_LIKENESS = ("deepfool", "deepfool_l2", "uniform_noise")


@dataclass(frozen=True)
class Verdict:
    """One claim in one reading.

    Attributes:
        claim: the sentence.
        reading: what the number is.
        number: the measured difference or share, with its interval.
        word: "supported", "refuted" or "undecided".
        where: budgets and seeds.
    """

    claim: str
    reading: str
    number: Estimate
    word: str
    where: str


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
        (verdict.claim, verdict.reading, verdict.number, verdict.word.capitalize(), verdict.where)
        for verdict in verdicts
    ]
    return ResultTable(name, caption, ("Claim", "Reading", "Number (share)", "Verdict", "Where"), tuple(rows))


def likeness_of(
    table: Table, attack: str, augmentation: str = "baseline", metric: str = "mixup_likeness"
) -> list[Estimate]:
    """How far perturbations are from chance (0) to a MixUp step (1) in energy, one per seed, intervals over images.

    Chance is the same perturbation handed to another image; see robustness.mixup_likeness.energy_rows.
    """
    rows = select_rows(table, metric, attack=attack, augmentation=augmentation)
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
                word = _judge_advantage(number, is_denied=attack in _DENIALS)
                verdicts.append(Verdict(claim, reading, number, word, row["note"]))
    return verdicts


def _judge_advantage(number: Estimate, *, is_denied: bool) -> str:
    """An interval above 0 shows an advantage, one below MARGIN shows that there is none to speak of."""
    assert number.low is not None and number.high is not None
    if number.low > 0:
        return "refuted" if is_denied else "supported"
    if number.high < MARGIN:
        return "supported" if is_denied else "refuted"
    return "undecided"


def _judge_likeness(table: Table) -> list[Verdict]:
    if not has_metric(table, "mixup_likeness"):
        return []
    verdicts = []
    for attack in _LIKENESS:
        values = likeness_of(table, attack)
        if not values:
            continue
        number, beyond = over_seeds(values), likeness_of(table, attack, metric="mixup_likeness_beyond_fading")
        claim = f"(d) perturbations of {attack_label(attack)} look like MixUp"
        where = f"baseline classifiers, {len(values)} seed{'s' if len(values) > 1 else ''}"
        verdicts.append(
            Verdict(claim, "likeness", number, _judge_share(number, over_seeds(beyond) if beyond else None), where)
        )
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
        return f"{verdict.reading} {describe_difference(number, 'more', 'less')}, {verdict.word}"
    interval = "" if number.low is None else f" [{100 * number.low:.1f}, {100 * (number.high or 0):.1f}]"
    return f"they cover {100 * number.value:.1f} % of the way from chance to a MixUp step in energy{interval}"
