"""The paper's claims, the head of the page: each held against the rows: supported, refuted or undecided.

A difference of up to MARGIN either way makes no practical difference, so that there are three regions: above the margin, within
it, below it. An advantage is supported when its interval lies above the margin, and refuted when none of it does.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msda_analysis.estimate import FEWEST_SEEDS, IMAGES_ALONE, ONE_RUN, Estimate, over_seeds, too_few
from msda_analysis.report.forest import draw_forest
from msda_analysis.report.section import FigureItem, Section
from msda_analysis.report.select import (
    REFERENCE,
    has_metric,
    headline_bound,
    paired_difference,
    reference_of,
    say_reference,
    select_rows,
    split_parts,
)
from msda_analysis.report.sentences import MIXUP, describe_difference, is_masking
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.tables import ResultTable, interval_digits
from msda_analysis.report.words import MARGIN, Metric, Table, attack_in_text, define, metric_of, sentence

if TYPE_CHECKING:
    pass

#: Perturbations look like MixUp when they cover at least this part of the way from chance to a MixUp step.
LIKE = 0.5

#: Metric of the rows -> what it is a difference in.
READINGS = {"claim_accuracy": "accuracy", "claim_kept": "share still right"}
define(
    {
        "claim_accuracy": Metric("Claim, accuracy", "accuracy"),
        "claim_kept": Metric("Claim, share still right", "still right"),
    },
    told=tuple(READINGS),
)
_ADVANTAGES = {
    "deepfool": "(a) MixUp is more robust to DeepFool",
    "uniform_noise": "(b) MixUp is more robust to uniform noise",
    "strong_gradient": "(c) MixUp does not help against stronger gradient attacks",
    "mixup_direction": "(implied) MixUp is more robust along MixUp directions",
}
_CURVES = ("curve_accuracy", "curve_kept")
#: Attacks of the figure, a panel each.
_QUESTIONS = {
    "deepfool": "More robust to DeepFool?",
    "uniform_noise": "More robust to uniform noise?",
    "strong_gradient": "More robust to stronger gradient attacks?",
}
#: What a region answers to the question of its panel.
_ANSWERS = {
    "an advantage": "more robust", "no practical difference": "no practical difference", "a disadvantage": "less robust",
    "no practical advantage": "not more robust", "lowered": "less", "raised": "more", "not lowered in practice": "not less",
}  # fmt: skip
_MOST = 100  # seeds, or times what was run: beyond that no study decides
_TEXT = (
    "What the paper says of MixUp, held against this study. Differences are MixUp minus {reference}, mean over the budgets at "
    "which {reference} keeps 10 to 90 % of its correct images, in two readings: of all images, and of those classified "
    "correctly without attack, the share still right. Strong gradient attacks count together: an image is broken when any of them breaks it."
)
_TABLE = (
    "Intervals of differences hold for all claims and readings at once (Bonferroni, 95 %), paired over the same images and "
    "with training seeds as the outer level. Differences of up to 2 points either way, the margin, make no practical "
    "difference: an advantage is supported when its interval lies above the margin and refuted when none of it does; a single "
    "training run leaves it undecided."
)
_TABLE_OF_BOUNDS = (
    "Intervals of differences hold for all claims at once (Bonferroni, 95 %), paired by seed. Differences within the margin, 2 % "
    "of the level of the reference either way, make no practical difference."
)
_TABLE_OF_LIKENESS = (
    "Likeness is supported when the interval over seeds and images (95 %) of the energy on "
    "the way from chance to a MixUp step lies above half, also with fading left out, and refuted when it lies below half with "
    "fading counted."
)
_TABLES = {"nats": _TABLE_OF_BOUNDS, "share": _TABLE, "likeness": _TABLE_OF_LIKENESS}
_INFORMATION = (
    "What a VAE encodes of clean images: augmentation minus {reference}, paired over seeds, by the tightest upper bound that all "
    "have; 95 % intervals that hold for all families at once (Bonferroni). The margin is 2 % of the level of {reference}. "
)
_FOREST = (
    "Differences from {reference} with 95 % intervals (those of rows with a claim hold for all of them at once, the others one by one; a difference of upper bounds bounds no difference), against the region of no practical difference (grey; 2 points of accuracy, "
    "2 % of the information of {reference}). At the right the answer to the question, and what it says to the claim where the paper "
    "makes one; or what would decide it at the spread seen, if the value stayed."
)
_BARS, _STILL = (
    "Bars: 95 % intervals. Grey: no practical difference.",
    "Still right: of the images right without attack.",
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
        question: which panel of the figure it belongs to; "" for none.
        augmentation: whose difference from the reference the number is.
        margin: differences of up to this make no practical difference, in the number's unit.
        needs: what would decide it; "" where it is decided.
    """

    claim: str
    reading: str
    number: Estimate
    word: str
    where: str
    region: str = ""
    question: str = ""
    augmentation: str = MIXUP
    margin: float = MARGIN
    needs: str = ""


def claims_section(table: Table, folder: Path) -> Section | None:
    """What the paper says, and what these rows say to it: the head of the page."""
    del folder
    table = table[
        (table["verdict"] != "") | ~table["metric"].isin([*READINGS, *_CURVES])
    ]  # older tables judged no pair
    parts = [(words, judge_claims(part)) for _, words, part in split_parts(table[table["status"] == "ok"])]
    often = Counter(claim for _, found in parts for claim in {one.claim for one in found})
    verdicts: list[Verdict] = []
    for words, found in parts:
        is_shared = any(often[one.claim] > 1 for one in found)  # with another data set or model
        verdicts += [_named(one, words) for one in found] if is_shared else found
    if not verdicts:
        return None
    verdicts.sort(key=lambda one: one.number.unit != "nats")  # the paper's order
    stated = [one for one in verdicts if one.claim]
    reference = say_reference(table)
    texts = sentence(
        *(
            text.format(reference=reference)
            for text, has in ((_TEXT, _has(stated, "share")), (_INFORMATION, _has(stated, "nats")))
            if has
        )
    )
    numbers = forest_numbers(verdicts)
    numbers.attrs[REFERENCE] = reference_of(table)
    alt = f"Differences from {reference} with intervals and verdicts, one panel a question, one row a family."
    brief = sentence(_BARS, _STILL if any("right" in one.reading for one in verdicts if one.question) else "")
    figure = FigureItem("claims", numbers, draw_forest, _FOREST.format(reference=reference), alt, brief=brief)
    return Section(
        "claims", "Which of the paper's claims held?", (texts,), tuple(claim_findings(stated)), answer=count_claims(stated),
        figures=(figure,) if len(numbers) else (),
        tables=(claims_table(stated, name="claims", caption=_explain_table(stated)),), is_headline=True,
    )  # fmt: skip


def judge_claims(table: Table) -> list[Verdict]:
    """Verdicts on all claims that the rows of one data set and model speak of, and where families without a claim lie."""
    return [*_judge_information(table), *_judge_advantages(table), *_judge_others(table), *_judge_likeness(table)]


def forest_numbers(verdicts: Sequence[Verdict]) -> Table:
    """What the figure draws: question, side, augmentation, value, low, high, unit, n, margin, said."""
    import pandas as pd

    shown = [one for one in verdicts if one.question]
    order = order_augmentations(one.augmentation for one in shown)
    questions = list(dict.fromkeys(one.question for one in shown))
    shown = sorted(shown, key=lambda one: (questions.index(one.question), order.index(one.augmentation)))
    return pd.DataFrame(
        {
            "question": one.question, "side": f"{label_of(one.augmentation)}{', still right' if 'right' in one.reading else ''}",
            "augmentation": one.augmentation, "value": scale * one.number.value,
            "low": math.nan if one.number.low is None else scale * one.number.low,
            "high": math.nan if one.number.high is None else scale * one.number.high,
            "unit": unit, "n": one.number.n, "margin": scale * one.margin, "said": _answer(one),
        }
        for one in shown
        for scale, unit in [(100.0, "points") if one.number.unit == "fraction" else (1.0, one.number.unit)]
    )  # fmt: skip


def _answer(verdict: Verdict) -> str:
    """What the figure says at the right of a row: the answer to the panel's question, then what becomes of the claim."""
    answer = _ANSWERS.get(verdict.region.partition(": ")[2])
    if answer is None:
        return verdict.word + (f"; {verdict.needs}" if verdict.needs else "")
    return f"{answer}: claim {verdict.word}" if verdict.claim else answer


def count_claims(verdicts: Sequence[Verdict]) -> str:
    """How many of the claims held, in one sentence."""
    words = [_overall(verdicts, claim) for claim in dict.fromkeys(one.claim for one in verdicts)]
    good, bad = words.count("supported"), words.count("refuted")
    open_ = len(words) - good - bad
    of = f"Of {len(words)} claim{'s' if len(words) > 1 else ''} of the paper"
    return f"{of} this study supports {good or 'none'}, refutes {bad or 'none'} and leaves {open_ or 'none'} undecided."


def _overall(verdicts: Sequence[Verdict], claim: str) -> str:
    """The verdict of all readings of a claim; readings that disagree leave it undecided."""
    words = {one.word for one in verdicts if one.claim == claim}
    return words.pop() if len(words) == 1 else "undecided, as the readings differ"


def claim_findings(verdicts: list[Verdict]) -> list[str]:
    """One sentence per claim; readings that disagree leave it undecided."""
    lines = []
    for claim in dict.fromkeys(verdict.claim for verdict in verdicts):
        parts = [verdict for verdict in verdicts if verdict.claim == claim]
        is_one = len({verdict.word for verdict in parts}) == 1  # where they agree, once is enough
        clauses = "; ".join(_clause(one, is_judged=not is_one) for one in parts)
        lines.append(f"Claim {claim}: {_overall(parts, claim)}. {clauses[:1].upper()}{clauses[1:]} ({parts[0].where}).")
    return lines


def claims_table(verdicts: list[Verdict], *, name: str, caption: str) -> ResultTable:
    """Claim, reading, number with its interval, verdict, budgets and seeds."""
    rows = [
        (
            verdict.claim,
            f"{verdict.reading} ({'nats' if verdict.number.unit == 'nats' else 'share'})",
            verdict.number,
            verdict.region,
            verdict.word.capitalize(),
            verdict.where,
        )
        for verdict in verdicts
    ]
    headers = ("Claim", "Reading", "Number", "Interval lies", "Verdict", "Where")
    return ResultTable(name, caption, headers, tuple(rows))


def likeness_of(
    table: Table, attack: str, norm: str, augmentation: str | None = None, metric: str = "mixup_likeness"
) -> list[Estimate]:
    """How far perturbations are from chance (0) to a MixUp step (1) in energy, one per seed, intervals over images.

    Chance is the same perturbation handed to another image; see robustness.mixup_likeness.energy_rows. The classifiers are of
    the study's reference where no augmentation is named.
    """
    augmentation = reference_of(table) if augmentation is None else augmentation
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
                number, region, word, needs = _hold_back(row, number, region, word)
                needs = needs or (_what_decides(number, (MARGIN,)) if word == "undecided" else "")
                question = _QUESTIONS.get(attack, "")
                verdicts.append(Verdict(claim, reading, number, word, row["note"], region, question, needs=needs))
    return verdicts


def _judge_others(table: Table) -> list[Verdict]:
    """Where families that the paper claims nothing of lie under the same attacks: rows of the figure without a claim."""
    reference = reference_of(table)
    is_asked = (table["metric"] == "curve_accuracy") & table["attack"].isin(list(_QUESTIONS))
    verdicts = []
    for row in table[is_asked].to_dict("records"):
        if reference not in (row["augmentation"], row["reference"]):
            continue
        sign = 1 if row["reference"] == reference else -1
        name = row["augmentation"] if sign == 1 else row["reference"]
        low, high = sorted((sign * row["low"], sign * row["high"]))
        number = Estimate(sign * row["value"], "fraction", low, high, int(row["n"]))
        region, _ = _judge_advantage(number, is_denied=False)
        word = _ANSWERS.get(region.partition(": ")[2], "undecided")
        number, region, word, needs = _hold_back(row, number, region, word)
        needs = needs or (_what_decides(number, (MARGIN,)) if word == "undecided" else "")
        if name != MIXUP:
            question = _QUESTIONS[row["attack"]]
            verdicts.append(Verdict("", "accuracy", number, word, row["note"], region, question, name, needs=needs))
    return verdicts


def _hold_back(row: dict, number: Estimate, region: str, word: str) -> tuple[Estimate, str, str, str]:
    """Number, region, verdict and what is needed: with too few seeds nothing is decided, and no interval between two is shown."""
    found = re.search(r"(\d+)(?: and (\d+))? seeds; epsilon", row["note"])
    n_seeds = min(int(count) for count in found.groups() if count) if found else FEWEST_SEEDS
    n_seeds = 1 if row["verdict"] == ONE_RUN else n_seeds
    if n_seeds >= FEWEST_SEEDS:
        return number, region, word, ""
    if n_seeds > 1 and IMAGES_ALONE not in row["note"]:  # an older table: between two seeds
        number = replace(number, low=None, high=None)
    return number, "", too_few(n_seeds), f"needs at least {FEWEST_SEEDS} seeds"


def _judge_information(table: Table) -> list[Verdict]:
    """MixUp lowers what a VAE encodes, masking does not; by the tightest upper bound that every VAE has, else the rate."""
    metric = headline_bound(table) or ("rate" if has_metric(table, "rate") else None)
    reference = reference_of(table)
    if metric is None or not (table["augmentation"] == reference).any():
        return []
    rows = select_rows(table, metric)
    names = [name for name in order_augmentations(rows["augmentation"]) if name == MIXUP or is_masking(name)]
    names = [name for name in names if name != reference]
    margin = MARGIN * abs(float(rows[rows["augmentation"] == reference]["value"].mean()))
    question = f"Less information, by its upper bound? ({metric_of(metric).label})"
    verdicts = []
    for name in names:
        number = paired_difference(rows, name, reference)
        if number is None:
            continue
        number = _widen(number, len(names))
        claim = f"({'e' if name == MIXUP else 'f'}) {label_of(name)} {'lowers' if name == MIXUP else 'does not lower'} what a VAE encodes of clean images, by an upper bound"
        region, word, needs = _judge_level(number, margin, is_lowering=name == MIXUP)
        where = f"{number.n} seed{'s' if number.n > 1 else ''}, {metric_of(metric).label}"
        verdicts.append(Verdict(claim, "information", number, word, where, region, question, name, margin, needs))
    return verdicts


def _judge_level(number: Estimate, margin: float, *, is_lowering: bool) -> tuple[str, str, str]:
    """Region, verdict, and what would decide it, of a level that a claim says is lowered, or is not."""
    if number.low is None or number.high is None or number.n < FEWEST_SEEDS:
        return (
            "",
            too_few(number.n),
            f"needs at least {FEWEST_SEEDS} seeds",
        )
    if number.high < -margin:
        return "below the margin: lowered", "supported" if is_lowering else "refuted", ""
    if number.low > -margin:
        above = "above the margin: raised" if number.low > margin else "not below the margin: not lowered in practice"
        return above, "refuted" if is_lowering else "supported", ""
    return "on both sides of the margin's lower end", "undecided", _what_decides(number, (-margin,), by_seeds=True)


def _what_decides(number: Estimate, edges: Sequence[float], *, by_seeds: bool = False) -> str:
    """How many seeds, or how many times the seeds and images, would take an interval of this spread off the edge."""
    from scipy.stats import t

    assert number.low is not None and number.high is not None
    half, distance = (number.high - number.low) / 2, min(abs(number.value - edge) for edge in edges)
    if not by_seeds:
        times = (half / distance) ** 2 if distance else math.inf
        return (
            f"needs {math.ceil(times)}x as many seeds and images" if times <= _MOST else f"needs over {_MOST}x as many"
        )
    scale = half * math.sqrt(number.n) / float(t.ppf(0.975, number.n - 1))
    counts = (n for n in range(number.n + 1, _MOST + 1) if scale * float(t.ppf(0.975, n - 1)) / math.sqrt(n) < distance)
    found = next(counts, None)
    return f"needs about {found} seeds" if found else f"needs more than {_MOST} seeds"


def _widen(number: Estimate, count: int) -> Estimate:
    """Student's 95 % interval made to hold for this many numbers at once (Bonferroni)."""
    from scipy.stats import t

    if number.low is None or number.high is None or number.n < FEWEST_SEEDS:
        return number
    wider = float(t.ppf(1 - 0.025 / count, number.n - 1) / t.ppf(0.975, number.n - 1))
    half = wider * (number.high - number.low) / 2
    return replace(number, low=number.value - half, high=number.value + half)


def _named(verdict: Verdict, words: str) -> Verdict:
    """The same, saying of which data set and model it speaks."""
    claim, question = (f"{text} ({words})" if text else "" for text in (verdict.claim, verdict.question))
    return replace(verdict, claim=claim, question=question)


def _explain_table(verdicts: Sequence[Verdict]) -> str:
    """How to read the rows that there are."""
    found = {_kind_of(one) for one in verdicts}
    return sentence(*(text for kind, text in _TABLES.items() if kind in found))


def _kind_of(verdict: Verdict) -> str:
    return "likeness" if verdict.reading == "likeness" else "nats" if verdict.number.unit == "nats" else "share"


def _has(verdicts: Sequence[Verdict], unit: str) -> bool:
    return any((one.number.unit == "nats") == (unit == "nats") for one in verdicts)


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
        claim = f"(d) perturbations of {attack_in_text(attack, norm)} look like MixUp"
        where = f"classifiers of {say_reference(table)}, {len(values)} seed{'s' if len(values) > 1 else ''}"
        word = (
            _judge_share(number, over_seeds(beyond) if beyond else None)
            if len(values) >= FEWEST_SEEDS
            else too_few(len(values))
        )
        verdicts.append(Verdict(claim, "likeness", number, word, where))
    return verdicts


def _judge_share(number: Estimate, beyond: Estimate | None) -> str:
    """Fading counts as likeness in `number`: a small one refutes, a large one needs more than fading beside it."""
    assert number.low is not None and number.high is not None
    if number.high < LIKE:
        return "refuted"
    is_more = beyond is not None and beyond.low is not None and beyond.low > LIKE
    return "supported" if number.low > LIKE and is_more else "undecided"


def _clause(verdict: Verdict, *, is_judged: bool) -> str:
    number = verdict.number
    if number.unit in ("fraction", "nats"):
        size = describe_difference(number, "more", "less")
        judged = (verdict.region, verdict.word) if is_judged else ()
        return ", ".join(text for text in (f"{verdict.reading} {size}", *judged) if text)
    if number.low is None or number.high is None:
        return f"they cover {100 * number.value:.1f} % of the way from chance to a MixUp step in energy"
    digits = interval_digits(100 * number.value, 50 * (number.high - number.low))
    value, low, high = (
        f"{100 * part:.{digits}f}".replace("-", "\N{MINUS SIGN}") for part in (number.value, number.low, number.high)
    )
    return f"they cover {value} % [{low}, {high}] of the way from chance to a MixUp step in energy"


SECTIONS = (claims_section,)
