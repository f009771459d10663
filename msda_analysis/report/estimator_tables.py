"""Tables of the estimators' page: how far each method can be trusted, case by case and by kind of case."""

import math

from msda_analysis.estimate import Estimate, wilson_interval
from msda_analysis.report.answers import NEAR_MISS, SILENT, SMALL, label_of_method
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Table

_FEW = 4  # dimensions of both variables together
#: Differences of two cases with a known answer: (larger case, smaller case, copies of the smaller one, words).
_CONSISTENCY = (
    ("additivity_2x2", "uniform_noise_0.75", 2, "additivity: a pair of copies less twice one"),
    ("noise_added_3x3", "uniform_noise_0.75", 1, "irrelevant variables added, less without"),
    ("noisy_uniform_noise_0.75", "uniform_noise_0.75", 1, "data processing: after noise, less before"),
)


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
        f"Method (all {answers['case'].nunique()} cases)", "Cases below 2 nats", "Share within 0.1 nats or 10 %", "Mean absolute error (nats)",
        "Largest (nats)", "Off by more than 0.5 nats", "of these without a warning", "Warnings", "Mean time (s)",
    )  # fmt: skip
    caption = (
        "How far each method can be trusted. Shares with Wilson's 95 % interval; errors are those of the cases below 2 nats; "
        "the three counts are over all cases."
    )
    return ResultTable("estimators", caption, headers, tuple(rows))


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
        (row["case"], Estimate(row["truth"], "nats"), _estimate(row), Estimate(row["error"], "nats"), row["chosen"], row["warnings"])
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


def wide_table(answers: Table, name: str, caption: str) -> ResultTable:
    """Cases by methods: truth, then every estimate."""
    methods = list(dict.fromkeys(answers["method"]))
    rows = []
    for case, mine in answers.sort_values("truth", kind="stable").groupby("case", sort=False):
        found = {row["method"]: _estimate(row) for row in mine.to_dict("records")}
        rows.append((str(case), Estimate(float(mine["truth"].iloc[0]), "nats"), *(found.get(name) for name in methods)))
    headers = ("Case", "Truth", *(label_of_method(method) for method in methods))
    return ResultTable(name, caption, headers, tuple(rows))


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


def _estimate(row: dict) -> Estimate:
    return Estimate(
        row["value"],
        "nats",
        row["low"],
        row["high"],
        int(row["n"]),
        warnings=(row["warnings"],) if row["warned"] else (),
    )
