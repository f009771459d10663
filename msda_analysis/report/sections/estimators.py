"""Estimators on samples whose information is known: errors of all methods on all cases, and how far each can be trusted."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from msda_analysis.estimate import Estimate, wilson_interval
from msda_analysis.report import draw
from msda_analysis.report.answers import answer_of, label_of_method, read_answers, symbol_of, wide_table
from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.section import FigureItem, Section
from msda_analysis.report.select import check_columns, has_metric, select_rows
from msda_analysis.report.style import DOUBLE_COLUMN, styled
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Metric, Table, define

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {
    "auto": Metric("auto (default)", "auto",
        "Starts from a Gaussian copula and keeps it unless a critic trained on top of it, or nearest neighbors, find"
        " more.",
    ),
    "ksg1": Metric("KSG 1", "KSG 1",
        "Nearest neighbors, one cube around each sample (Kraskov et al. 2004, equation 8).",
    ),
    "ksg2": Metric("KSG 2", "KSG 2", "The same with a rectangle (equation 9)."),
    "mine": Metric("MINE", "MINE",
        "Donsker-Varadhan value, from samples an estimate and no bound: it may exceed the information; the critic's "
        "gradient uses a moving average (Belghazi et al. 2018).",
    ),
    "nwj": Metric("NWJ", "NWJ", "Lower bound of Nguyen, Wainwright and Jordan."),
    "smile": Metric("SMILE", "SMILE", "Clipped Donsker-Varadhan value (Song and Ermon 2020); no bound."),
    "js": Metric("Jensen-Shannon", "JS", "A critic trained by classification, read off as NWJ; a lower bound."),
    "gaussian": Metric("Gaussian", "Gaussian", "Canonical correlations, exact for normal variables."),
    "gaussian_copula": Metric("Gaussian copula", "copula", "The same after each variable was mapped to normal scores."),
}  # fmt: skip
define(METRICS, told=("known_samples*", "known_scored*", "estimator_seconds", "case_dimensions"))
SMALL = 2.0  # nats: the goal speaks of cases below it
SILENT = 0.5  # nats: an error beyond it asks for a warning
NEAR_MISS = 0.2  # nats: the goal of the scoring list speaks of silent errors beyond it
_GOAL = 0.8
_WORST = 3.0  # nats: colors end here
_LINEAR = 0.1  # nats: below it the scale of errors is linear
_FEW = 4  # dimensions of both variables together
_NARROW = 4.5  # inches: below, a bar of colors has room for three numbers
#: Differences of two cases with a known answer: (larger case, smaller case, copies of the smaller one, words).
_CONSISTENCY = (
    ("additivity_2x2", "uniform_noise_0.75", 2, "additivity: a pair of copies less twice one"),
    ("noise_added_3x3", "uniform_noise_0.75", 1, "irrelevant variables added, less without"),
    ("noisy_uniform_noise_0.75", "uniform_noise_0.75", 1, "data processing: after noise, less before"),
)


_SAMPLES = (
    "Pairs of samples are drawn from distributions whose mutual information is known exactly: normal variables, dense "
    "and sparse, and images of them under maps that can be undone; uniform noise; Student's t; independent variables. "
    "All methods see the same samples, with the same settings for all cases."
)
_SAMPLES_LIMITS = (
    "Other distributions can be harder than all of these: an estimator that does well here is not proved elsewhere.",
    "One draw of samples per case: intervals speak of the samples, a share of cases with its interval speaks of cases "
    "like these.",
    "No lower bound from samples alone can exceed about ln K for K samples; above that line a critic cannot be right.",
    "Seconds are wall time on one thread of a machine that did other work; they are no benchmark.",
)
_MAP = (
    "Estimate minus truth in nats, {n} samples per case, cases in order of their exact information (number beside the "
    "name). Blue is too high, red too low; bold: within 0.1 nats or 10 %, whichever is larger; an exclamation mark: the "
    "estimate carries a warning; a dash: the method refused. Lines: 2 nats, and ln K, the ceiling of critics."
)
_ALL = "Every estimate in nats with its 95 % interval over samples"
_SCORED = (
    "The thresholds of the default were chosen on the cases above. These were not looked at for that: heavy tails, "
    "sparse and irrelevant variables, clusters, curves, rotations of them, 2 to 50 dimensions."
)
_SCORED_LIMIT = "An interval is that of the chosen method's sampling error; the method's bias is not in it."


def samples_section(table: Table, folder: Path) -> Section | None:
    """All estimators on all samples."""
    del folder
    if not has_metric(table, "known_samples"):
        return None
    answers = read_answers(table, "samples")
    seconds = select_rows(table, "estimator_seconds")
    tables = (
        summary_table(answers, seconds), *split_tables(answers), *misses_tables(answers), *consistency_tables(answers),
        wide_table(answers, "estimates", f"{_ALL}; results.csv has the warnings in words."),
    )  # fmt: skip
    return Section(
        "samples", "Estimators from samples", (_SAMPLES,), sample_findings(answers),
        figures=(_error_map("estimator_errors", answers, _MAP.format(n=int(answers["n"].max()))),),
        tables=tables, metrics=tuple(dict.fromkeys(answers["method"])), limits=_SAMPLES_LIMITS,
    )  # fmt: skip


def scored_section(table: Table, folder: Path) -> Section | None:
    """The default estimator and its parts on the cases that no threshold was chosen on."""
    del folder
    if not has_metric(table, "known_scored"):
        return None
    answers = read_answers(table, "scored")
    tables = (
        *split_tables(answers, "scored_split"), *misses_tables(answers, "scored_misses"),
        wide_table(answers, "scored", f"{_ALL}."),
    )  # fmt: skip
    return Section(
        "scored", "The default estimator, scored on other cases", (_SCORED,), scored_findings(answers),
        figures=(_error_map("scored_errors", answers, "As above, on the scoring list."),),
        tables=tables, metrics=tuple(dict.fromkeys(answers["method"])), limits=(_SCORED_LIMIT,),
    )  # fmt: skip


def _error_map(name: str, answers: Table, caption: str) -> FigureItem:
    return FigureItem(name, answers, draw_error_map, caption, "Matrix of errors, cases by methods.")


@styled
def draw_error_map(answers: Table) -> Figure:
    """Error of every method on every case, cases in order of their truth.

    Args:
        answers: one row per case and method, with columns case, method, truth, error (nats; NaN where a method refused),
            warned (bool), good (bool: within the tolerance) and ceiling (nats, NaN for none).

    Raises:
        ValueError: a column is missing, or the table is empty.
    """
    check_columns(answers, ("case", "method", "truth", "error", "warned", "good", "ceiling"))
    if answers.empty:
        raise ValueError("answers: expected one row per case and method, got none")
    truths = answers.drop_duplicates("case").set_index("case")["truth"].sort_values(kind="stable")
    texts = [_error_text(row) for row in answers.to_dict("records")]
    figure = Figure(figsize=(page_width(DOUBLE_COLUMN), 1.3 + 0.165 * len(truths)), layout="constrained")
    ax = figure.add_subplot()
    draw.heat_map(
        ax, answers.assign(text=texts), "case", "method", value="error", text="text", bold="good", rows=list(truths.index),
        fontsize=5.5, cmap="RdBu", vmin=-_WORST, vmax=_WORST,
        norm=SymLogNorm(_LINEAR, vmin=-_WORST, vmax=_WORST),
    )  # fmt: skip
    labels = [f"{str(case).replace('_', ' ')}   {truth:.2f}" for case, truth in truths.items()]
    ax.set_yticklabels(labels, fontsize=points(6))
    methods = dict.fromkeys(answers["method"])
    ax.set_xticklabels([symbol_of(str(name)) for name in methods], fontsize=points(7))
    ax.set_ylabel("case, truth (nats)")
    draw.put_column_names_on_top(ax)
    _draw_levels(ax, list(truths), float(answers["ceiling"].max()))
    ticks = [-3, -1, -0.3, 0, 0.3, 1, 3] if page_width(DOUBLE_COLUMN) > _NARROW else [-3, 0, 3]
    bar = figure.colorbar(
        ax.collections[0], ax=ax, location="bottom", ticks=ticks, shrink=0.6, aspect=40, extend="both", format="{x:g}"
    )
    bar.ax.minorticks_off()
    bar.set_label("estimate minus truth (nats)")
    return figure


def summary_table(answers: Table, seconds: Table) -> ResultTable:
    """One row per method: how often it is near, how far it errs, whether it says so, how long it takes."""
    rows = []
    for method, mine in answers.groupby("method", sort=False):
        small = mine[mine["truth"] < SMALL]
        far = mine[mine["error"].abs() > SILENT]
        took = seconds[(seconds["model"] == method)]["value"].mean()
        rows.append((
            label_of_method(str(method)), _count(small), _share(small["good"]),
            Estimate(float(small["error"].abs().mean()), "nats"), Estimate(float(small["error"].abs().max()), "nats"),
            *(_count(part) for part in (far, far[~far["warned"]], mine[mine["warned"]])), Estimate(float(took), "s"),
        ))  # fmt: skip
    headers = (
        f"Method (all {answers['case'].nunique()} cases)", "Cases below 2 nats", "Share within 0.1 nats or 10 %",
        "Mean absolute error", "Largest", "Off by more than 0.5 nats", "of these without a warning", "Warnings", "Mean time",
    )  # fmt: skip
    units = ("", "", "", "nats", "nats", "", "", "", "s")
    caption = (
        "How far each method can be trusted. Shares with Wilson's 95 % interval; errors are those of the cases below 2 nats; "
        "the three counts are over all cases."
    )
    return ResultTable("estimators", caption, headers, tuple(rows), units)


def split_tables(answers: Table, name: str = "split") -> tuple[ResultTable, ...]:
    """The default by kind of case: how often it is near, how often its interval holds the truth; () without it."""
    default = answers[answers["method"] == "auto"]
    parts = {
        "Gaussian copula by construction": default["gaussian"],
        "other, up to four dimensions": ~default["gaussian"] & (default["dim"] <= _FEW),
        "other, more dimensions": ~default["gaussian"] & (default["dim"] > _FEW),
    }
    rows = []
    for words, chosen in parts.items():
        mine = default[chosen]
        silent = mine[(mine["error"].abs() > NEAR_MISS) & ~mine["warned"]]
        rows.append((words, _count(mine), _share(mine["good"]), _share(mine["covered"]), _count(silent)))
    caption = (
        "The default by kind of case, of any information; dimensions of both variables together. Shares with Wilson's 95 % "
        "interval. The interval that is judged is that of the chosen method's sampling error."
    )
    headers = ("Cases", "Number", "Share within 0.1 nats or 10 %", "Share whose 95 % interval holds the truth",
               "Off by more than 0.2 nats without a warning")  # fmt: skip
    return (ResultTable(name, caption, headers, tuple(rows)),) if len(default) else ()


def misses_tables(answers: Table, name: str = "default_misses") -> tuple[ResultTable, ...]:
    """Every case on which the default is not within the tolerance, in order of the truth; () when there is none."""
    missed = answers[(answers["method"] == "auto") & ~answers["good"]].sort_values("truth")
    if missed.empty:
        return ()
    rows = tuple(
        (row["case"], Estimate(row["truth"], "nats"), answer_of(row), Estimate(row["error"], "nats"), row["chosen"], row["warnings"])
        for row in missed.to_dict("records")
    )  # fmt: skip
    caption = "Where the default is not within 0.1 nats or 10 %: what it gave, which method it chose, and its warnings."
    headers = ("Case", "Truth (nats)", "Default (nats)", "Error (nats)", "Chosen", "Warnings")
    return (ResultTable(name, caption, headers, rows),)


def consistency_tables(answers: Table) -> tuple[ResultTable, ...]:
    """Differences of cases that the laws of information fix; () when their cases were not measured."""
    cases = answers.set_index(["method", "case"])
    known = set(answers["case"])
    laws = [law for law in _CONSISTENCY if {law[0], law[1]} <= known]
    if not laws:
        return ()
    truths = answers.drop_duplicates("case").set_index("case")["truth"]
    rows: list[tuple[str | Estimate | None, ...]] = [
        ("exact", *(Estimate(float(truths[one] - copies * truths[other]), "nats") for one, other, copies, _ in laws))
    ]
    for method in dict.fromkeys(answers["method"]):
        pairs = [((method, one), (method, other), copies) for one, other, copies, _ in laws]
        rows.append((
            label_of_method(method),
            *(_difference(cases, *pair) if {*pair[:2]} <= set(cases.index) else None for pair in pairs),
        ))  # fmt: skip
    caption = (
        "Self-consistency, in nats: differences that the laws of information fix, with 95 % intervals. Data processing asks "
        "for a number below zero."
    )
    headers = ("Method", *(words for *_, words in laws))
    return (ResultTable("self_consistency", caption, headers, tuple(rows)),)


def sample_findings(answers: Table) -> tuple[str, ...]:
    """The default on samples: its goal, its large errors, and the best single method."""
    default = answers[answers["method"] == "auto"]
    small = default[default["truth"] < SMALL]
    if small.empty:
        return ()
    good, share, met = _describe_goal(small)
    far = default[default["error"].abs() > SILENT]
    silent = list(far[~far["warned"]]["case"])
    warned = f", each time with a warning: {', '.join(far['case'])}"
    beyond = f", without a warning on {', '.join(silent)}" if silent else warned if len(far) else ""
    return (
        f"The default estimator is within 0.1 nats or 10 % of the truth on {good} cases below 2 nats "
        f"({share}) from {int(small['n'].max())} samples; {met}.{_describe_kinds(small)}",
        f"The default is off by more than 0.5 nats on {len(far)} of {len(default)} cases{beyond}.",
        *_best_method(answers[answers["truth"] < SMALL], len(small)),
    )


def scored_findings(answers: Table) -> tuple[str, ...]:
    """The default on the scoring list: its goal and its silent errors."""
    default = answers[answers["method"] == "auto"]
    if default.empty:
        return ()
    good, share, met = _describe_goal(default)
    silent = default[(default["error"].abs() > NEAR_MISS) & ~default["warned"]]
    listed = f": {', '.join(silent['case'])}" if len(silent) else ""
    return (
        f"On the scoring list the default is within 0.1 nats or 10 % of the truth on {good} cases ({share}); {met}. "
        f"Its 95 % interval holds the truth on {int(default['covered'].sum())} of {len(default)}.",
        f"It is off by more than 0.2 nats without a warning on {len(silent)} cases{listed}.",
    )


def _describe_goal(rows: Table) -> tuple[str, str, str]:
    """How many cases are good, their share with its interval, and whether the goal is met."""
    good, n = int(rows["good"].sum()), len(rows)
    low, high = wilson_interval(good, n)
    share = f"{100 * good / n:.0f} %, 95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    return f"{good} of {n}", share, f"the goal of 80 % is {'met' if good >= _GOAL * n else 'missed'}"


def _describe_kinds(small: Table) -> str:
    gaussian, other = small[small["gaussian"]], small[~small["gaussian"]]
    if gaussian.empty or other.empty:
        return ""
    return (
        f" Of the {len(gaussian)} with a Gaussian copula by construction it is on {int(gaussian['good'].sum())}, of the "
        f"{len(other)} others on {int(other['good'].sum())}; its 95 % interval holds the truth on "
        f"{int(other['covered'].sum())} of those."
    )


def _best_method(small: Table, n: int) -> list[str]:
    """The best single method among those that were measured on all cases."""
    others = small[small["method"] != "auto"].groupby("method", sort=False)["good"]
    shares = others.mean()[others.size() == n]
    if shares.empty:
        return []
    best = shares.idxmax()
    return [
        f"The best single method by this measure, {label_of_method(str(best))}, is within it on {100 * shares[best]:.0f} %."
    ]


def _error_text(row: dict) -> str:
    error = row["error"]
    text = "\N{EN DASH}" if math.isnan(error) else f"{error:+.2f}".replace("-", "\N{MINUS SIGN}")
    return text + ("!" if row["warned"] else "")


def _draw_levels(ax: "Axes", truths: list[float], ceiling: float) -> None:
    """Lines between the cases below and above 2 nats, and below and above the critics' ceiling."""
    for level, words in ((SMALL, "2 nats"), (ceiling, f"ln K = {ceiling:.2f}")):
        first = sum(truth < level for truth in truths) if math.isfinite(level) else 0
        if 0 < first < len(truths):
            ax.axhline(first, color="black", linewidth=1.2)
            ax.annotate(
                words, (1, first), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
                fontsize=points(6), va="center", annotation_clip=False,
            )  # fmt: skip


def _share(good: Table) -> Estimate | None:
    if not len(good):
        return None
    return Estimate(float(good.mean()), "fraction", *wilson_interval(int(good.sum()), len(good)), n=len(good))


def _count(rows: Table) -> Estimate:
    return Estimate(float(len(rows)), "cases")


def _difference(cases: Table, one: tuple, other: tuple, copies: int) -> Estimate:
    """One value less copies of another; they come from samples of their own."""
    first, second = cases.loc[one], cases.loc[other]
    value = float(first["value"] - copies * second["value"])
    half = math.hypot(float(first["high"] - first["low"]), copies * float(second["high"] - second["low"])) / 2
    return Estimate(value, "nats", value - half, value + half, int(first["n"]))


SECTIONS = (samples_section, scored_section)
