"""The paper's claims on MixUp and robustness, each held against the rows: supported, refuted or undecided.

A difference of up to MARGIN either way makes no practical difference, so that there are three regions: above the margin, within
it, below it. An advantage is supported when its interval lies above the margin, and refuted when none of it does.
"""

from dataclasses import dataclass

from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.figures.comparisons import describe_difference, is_one_run
from msda_analysis.figures.metrics import Table, attack_label
from msda_analysis.figures.selection import has_metric, select_rows
from msda_analysis.figures.tables import ResultTable
from msda_analysis.robustness.statistics import ONE_RUN

#: A difference of at most this share of images makes no practical difference.
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
    return ResultTable(
        name, caption, ("Claim", "Reading", "Number (share)", "Interval lies", "Verdict", "Where"), tuple(rows)
    )


def likeness_shares(table: Table, attack: str, metric: str = "cosine_largest") -> Table:
    """How far each classifier's perturbations are on the way from chance (0) to a MixUp step (1).

    Chance is the same perturbation handed to another image.

    Returns:
        Columns augmentation, seed, value; empty without rows of the attack and both references.
    """
    rows = select_rows(table, metric)
    keys = ["augmentation", "seed"]
    wide = rows.pivot_table(index=keys, columns="attack", values="value", aggfunc="first")
    needed = (attack, f"{attack} (shuffled)", "mixup")
    if any(name not in wide for name in needed):
        return wide.iloc[:0].reset_index()[keys].assign(value=[])
    found, chance, step = (wide[name] for name in needed)
    return ((found - chance) / (step - chance)).rename("value").dropna().reset_index()


def _judge_advantages(table: Table) -> list[Verdict]:
    verdicts = []
    for attack, claim in _ADVANTAGES.items():
        for metric, reading in READINGS.items():
            rows = table[(table["metric"] == metric) & (table["attack"] == attack) & (table["status"] == "ok")]
            for row in rows.to_dict("records"):
                number = Estimate(row["value"], "fraction", row["low"], row["high"], int(row["n"]))
                region, word = _judge_advantage(number, is_denied=attack in _DENIALS)
                region, word = ("", ONE_RUN) if is_one_run(row["note"]) else (region, word)
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
    if not has_metric(table, "cosine_largest"):
        return []
    verdicts = []
    for attack in _LIKENESS:
        shares = likeness_shares(table, attack)
        values = shares[shares["augmentation"] == "baseline"]["value"].tolist()
        if not values:
            continue
        number = mean_estimate(values, "share of the way")
        claim = f"(d) perturbations of {attack_label(attack)} look like MixUp"
        where = f"baseline classifiers, {len(values)} seed{'s' if len(values) > 1 else ''}"
        verdicts.append(Verdict(claim, "likeness", number, _judge_share(number), where))
    return verdicts


def _judge_share(number: Estimate) -> str:
    if number.low is None or number.high is None:
        return ONE_RUN
    return "supported" if number.low > LIKE else "refuted" if number.high < LIKE else "undecided"


def _clause(verdict: Verdict) -> str:
    number = verdict.number
    if number.unit == "fraction":
        size = describe_difference(number, "more", "less")
        return ", ".join(text for text in (f"{verdict.reading} {size}", verdict.region, verdict.word) if text)
    interval = "" if number.low is None else f" [{100 * number.low:.1f}, {100 * (number.high or 0):.1f}]"
    return f"they cover {100 * number.value:.1f} % of the way from chance to a MixUp step{interval}"
