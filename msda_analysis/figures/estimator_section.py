"""Sections of the estimators' page: samples of known distributions, one known encoder, two known encoders."""

import math
from pathlib import Path
from typing import Any

from msda_analysis.estimate import Estimate, wilson_interval
from msda_analysis.figures import estimator_plots
from msda_analysis.figures.metrics import Table, metric_of
from msda_analysis.figures.section import FigureItem, Section, SectionMaker
from msda_analysis.figures.selection import has_metric, select_rows
from msda_analysis.figures.tables import ResultTable

SMALL = 2.0  # nats: the goal speaks of cases below it
SILENT = 0.5  # nats: an error beyond it asks for a warning
_GOAL = 0.8
_FEW = 4  # dimensions of both variables together
_NEAR_MISS = 0.2  # nats: the goal of the scoring list speaks of silent errors beyond it
#: Differences of two cases with a known answer: (larger case, smaller case, copies of the smaller one, words).
_CONSISTENCY = (
    ("additivity_2x2", "uniform_noise_0.75", 2, "additivity: a pair of copies less twice one"),
    ("noise_added_3x3", "uniform_noise_0.75", 1, "irrelevant variables added, less without"),
    ("noisy_uniform_noise_0.75", "uniform_noise_0.75", 1, "data processing: after noise, less before"),
)


def read_answers(table: Table, check: str) -> Table:
    """Rows of one check with what a reader compares.

    Args:
        table: the long table of an estimator study.
        check: one of known_answers.CHECKS.

    Returns:
        A table with case, method, truth, value, low, high, error (nats), tolerance (0.1 nats or 10 %), good (within
        it), covered (the truth lies in the interval), warned, warnings, bound, ceiling (nats, NaN for none), gaussian
        (a Gaussian copula by construction), dim (of both variables), chosen (by the default) and n.

    Raises:
        ValueError: the table has no finished row of the check.
    """
    metric = f"known_{check}"
    rows = select_rows(table, metric)
    found = rows.rename(
        columns={"dataset": "case", "model": "method", "x": "truth", "note": "warnings", "verdict": "chosen"}
    )
    found = found[["case", "method", "truth", "value", "low", "high", "n", "bound", "warnings", "seed", "chosen"]]
    error = found["value"] - found["truth"]
    tolerance = (0.1 * found["truth"]).clip(lower=0.1)
    ceilings = _by(table, f"{metric}_ceiling", ["dataset", "model"], "value")
    dims, kinds = (_by(table, "case_dimensions", ["dataset"], column) for column in ("value", "label"))
    return found.assign(
        error=error,
        tolerance=tolerance,
        good=error.abs() <= tolerance,
        covered=(found["low"] <= found["truth"]) & (found["truth"] <= found["high"]),
        gaussian=[kinds.get((case,)) == "gaussian_copula" for case in found["case"]],
        dim=[dims.get((case,), 0) for case in found["case"]],
        warned=found["warnings"] != "",
        ceiling=[ceilings.get(key, math.nan) for key in zip(found["case"], found["method"], strict=True)],
    ).reset_index(drop=True)


def _by(table: Table, metric: str, columns: list[str], value: str) -> dict[tuple, Any]:
    """A column of a metric's finished rows by other columns; empty where the table does not have the metric."""
    if not has_metric(table, metric):
        return {}
    rows = select_rows(table, metric)
    return dict(zip(zip(*(rows[name] for name in columns), strict=True), rows[value], strict=True))


def samples_section(table: Table, folder: Path) -> Section | None:
    """All estimators on all samples."""
    del folder
    if not has_metric(table, "known_samples"):
        return None
    answers = read_answers(table, "samples")
    n = int(answers["n"].max())
    caption = (
        f"Estimate minus truth in nats, {n} samples per case, cases in order of their exact information (number beside the "
        "name). Blue is too high, red too low; bold: within 0.1 nats or 10 %, whichever is larger; an exclamation mark: the "
        "estimate carries a warning; a dash: the method refused. Lines: 2 nats, and ln K, the ceiling of critics."
    )
    return Section(
        key="samples",
        title="Estimators from samples",
        text=(
            "Pairs of samples are drawn from distributions whose mutual information is known exactly: normal variables, dense "
            "and sparse, and images of them under maps that can be undone; uniform noise; Student's t; independent variables. "
            "All methods see the same samples, with the same settings for all cases.",
        ),
        findings=_sample_findings(answers),
        figures=(
            FigureItem(
                "estimator_errors", estimator_plots.plot_error_map(answers), answers, caption,
                "Matrix of errors, cases by methods.",
            ),
        ),
        tables=(
            summary_table(answers, select_rows(table, "estimator_seconds")),
            *split_tables(answers),
            *misses_tables(answers),
            *consistency_tables(answers),
            wide_table(
                answers, "estimates",
                "Every estimate in nats with its 95 % interval over samples; results.csv has the warnings in words.",
            ),
        ),
        metrics=tuple(dict.fromkeys(answers["method"])),
        limits=(
            "Other distributions can be harder than all of these: an estimator that does well here is not proved elsewhere.",
            "One draw of samples per case: intervals speak of the samples, a share of cases with its interval speaks of cases "
            "like these.",
            "No lower bound from samples alone can exceed about ln K for K samples; above that line a critic cannot be right.",
            "Seconds are wall time on one thread of a machine that did other work; they are no benchmark.",
        ),
    )  # fmt: skip


def scored_section(table: Table, folder: Path) -> Section | None:
    """The default estimator and its parts on the cases that no threshold was chosen on."""
    del folder
    if not has_metric(table, "known_scored"):
        return None
    answers = read_answers(table, "scored")
    return Section(
        key="scored",
        title="The default estimator, scored on other cases",
        text=(
            "The thresholds of the default were chosen on the cases above. These were not looked at for that: heavy tails, "
            "sparse and irrelevant variables, clusters, curves, rotations of them, 2 to 50 dimensions.",
        ),
        findings=_scored_findings(answers),
        figures=(
            FigureItem(
                "scored_errors", estimator_plots.plot_error_map(answers), answers,
                "As above, on the scoring list.", "Matrix of errors, cases by methods.",
            ),
        ),
        tables=(
            *split_tables(answers, "scored_split"), *misses_tables(answers, "scored_misses"),
            wide_table(answers, "scored", "Every estimate in nats with its 95 % interval over samples."),
        ),
        metrics=tuple(dict.fromkeys(answers["method"])),
        limits=("An interval is that of the chosen method's sampling error; the method's bias is not in it.",),
    )  # fmt: skip


def encoder_section(table: Table, folder: Path) -> Section | None:
    """Bounds of one linear encoder."""
    del folder
    if not has_metric(table, "known_encoder"):
        return None
    answers = _grouped(read_answers(table, "encoder"))
    tolerance = (0.02 * answers["truth"]).clip(lower=0.3)
    shaped = answers["case"].str.startswith("shaped")
    answers = answers.assign(tolerance=tolerance, good=answers["error"].abs() <= tolerance, shaped=shaped)
    methods = tuple(dict.fromkeys(answers["method"]))
    n = int(answers["n"].max())
    return Section(
        key="encoder",
        title="Bounds of one Gaussian encoder",
        text=(
            f"A linear encoder z = W x + noise with 64 latents, shown {n} images of a standard normal source, holds exactly "
            "ln det(I + W W') / 2. The rate is what the paper reports; the fitted ones replace the prior by a density fitted "
            "to other images; the last two need no fit and have the ceiling ln K. The code of a linear encoder is normal, as "
            "the fitted Gaussian is. Those of encoders of uniform and Laplace sources, of curves (rings) and of clusters are "
            "not; their information is an integral.",
        ),
        findings=_encoder_findings(answers),
        figures=(
            FigureItem(
                "encoder_bounds", estimator_plots.plot_bounds(answers, methods), answers,
                "Above: bounds against the exact information; below: their distance from it, on a scale that is linear "
                "within 0.1 nats; the band is 0.3 nats or 2 %. Equal: all latents carry alike; unequal: signal-to-noise ratios "
                "of the latents differ by a factor of 55; not normal: other sources, rings, clusters. Bars, mostly narrower than the symbols: 95 % intervals over images.",
                "Bounds against exact information for two encoders.",
            ),
        ),
        tables=(
            wide_table(answers, "encoder_bounds", "Bounds in nats with 95 % intervals over images; results.csv has the warnings in words."),
        ),
        metrics=methods,
    )  # fmt: skip


def between_section(table: Table, folder: Path) -> Section | None:
    """Bounds between two linear encoders."""
    del folder
    if not has_metric(table, "known_between"):
        return None
    rows = read_answers(table, "between")
    answers = _grouped(rows.assign(method="between_" + rows["method"]))
    methods = tuple(dict.fromkeys(answers["method"]))
    return Section(
        key="between",
        title="Information between two encoders",
        text=(
            "Two linear encoders of the same source share an amount of information that is a determinant. Upper and lower "
            "bounds must lie on their side of it; the estimate should follow it.",
        ),
        findings=_between_findings(answers),
        figures=(
            FigureItem(
                "between_bounds", estimator_plots.plot_bounds(answers, methods), answers,
                "As above, for two encoders of 6 and of 64 latents each; the band is 0.1 nats or 10 %.",
                "Bounds between two encoders against exact information.",
            ),
        ),
        tables=(
            wide_table(answers, "between_bounds", "Bounds and estimate in nats with 95 % intervals over images."),
        ),
        metrics=methods,
    )  # fmt: skip


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
        silent = mine[(mine["error"].abs() > _NEAR_MISS) & ~mine["warned"]]
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


def _sample_findings(answers: Table) -> tuple[str, ...]:
    default = answers[answers["method"] == "auto"]
    small = default[default["truth"] < SMALL]
    if small.empty:
        return ()
    good, n = int(small["good"].sum()), len(small)
    met = "met" if good >= _GOAL * n else "missed"
    low, high = wilson_interval(good, n)
    far = default[default["error"].abs() > SILENT]
    silent = list(far[~far["warned"]]["case"])
    beyond = (
        f"each time with a warning: {', '.join(far['case'])}"
        if not silent
        else f"without a warning on {', '.join(silent)}"
    )
    others = answers[(answers["truth"] < SMALL) & (answers["method"] != "auto")].groupby("method", sort=False)["good"]
    shares = others.mean()[others.size() == n]  # methods that were measured on all of them
    lines = [
        f"The default estimator is within 0.1 nats or 10 % of the truth on {good} of {n} cases below 2 nats "
        f"({good / n:.0%}, 95 % interval {low:.0%} to {high:.0%}) from {int(small['n'].max())} samples; the goal of 80 % is {met}.",
        f"The default is off by more than 0.5 nats on {len(far)} of {len(default)} cases{', ' + beyond if len(far) else ''}.",
    ]
    gaussian = small[small["gaussian"]]
    if 0 < len(gaussian) < n:
        other = small[~small["gaussian"]]
        lines[0] += (
            f" Of the {len(gaussian)} with a Gaussian copula by construction it is on {int(gaussian['good'].sum())}, of the "
            f"{len(other)} others on {int(other['good'].sum())}; its 95 % interval holds the truth on "
            f"{int(other['covered'].sum())} of those."
        )
    if len(shares):
        best = shares.idxmax()
        lines.append(
            f"The best single method by this measure, {label_of_method(str(best))}, is within it on {shares[best]:.0%}."
        )
    return tuple(lines)


def _scored_findings(answers: Table) -> tuple[str, ...]:
    default = answers[answers["method"] == "auto"]
    if default.empty:
        return ()
    good, n = int(default["good"].sum()), len(default)
    low, high = wilson_interval(good, n)
    met = "met" if good >= _GOAL * n else "missed"
    silent = default[(default["error"].abs() > _NEAR_MISS) & ~default["warned"]]
    listed = f": {', '.join(silent['case'])}" if len(silent) else ""
    return (
        f"On the scoring list the default is within 0.1 nats or 10 % of the truth on {good} of {n} cases ({good / n:.0%}, 95 % "
        f"interval {low:.0%} to {high:.0%}); the goal of 80 % is {met}. Its 95 % interval holds the truth on "
        f"{int(default['covered'].sum())} of {n}.",
        f"It is off by more than 0.2 nats without a warning on {len(silent)} cases{listed}.",
    )


def _encoder_findings(answers: Table) -> tuple[str, ...]:
    lines = []
    for method, words in (("fitted", "the fitted marginal"), ("flow", "the flow")):
        # each kind by itself: a linear encoder's marginal is in the fitted family, the others' is not
        for kind, mine in answers[answers["method"] == method].groupby("shaped"):
            low, high = mine["error"].min(), mine["error"].max()
            lines.append(
                f"One encoder: {words} is within 2 % or 0.3 nats of the truth on {int(mine['good'].sum())} of "
                f"{len(mine)} {'encoders whose code is not normal' if kind else 'linear encoders'} "
                f"({_signed(low)} to {_signed(high)} nats)."
            )
    others = answers[answers["method"].isin(("rate", "leave_one_out", "info_nce"))]
    far = [mine.loc[mine["error"].abs().idxmax()] for _, mine in others.groupby("method", sort=False)]
    if far:
        listed = ", ".join(
            f"{label_of_method(row['method'])} {_signed(row['error'])} nats at {row['truth']:g}" for row in far
        )
        lines.append(f"One encoder, the largest distance of the others from the truth: {listed}.")
    return tuple(lines)


def _between_findings(answers: Table) -> tuple[str, ...]:
    above, below = (answers[answers["bound"] == bound] for bound in ("upper", "lower"))
    broken = int((above["high"] < above["truth"]).sum() + (below["low"] > below["truth"]).sum())
    wrong = int((above["error"] < 0).sum() + (below["error"] > 0).sum())
    n = len(above) + len(below)
    follow = answers[answers["method"] == "between_difference"]
    return (
        f"Between two encoders, {n - wrong} of {n} bounds lie on their side of the truth by value, {n - broken} within their "
        f"interval; the estimate is within 0.1 nats or 10 % on {int(follow['good'].sum())} of {len(follow)} pairs.",
    )


def label_of_method(method: str) -> str:
    """Name of an estimator or bound in tables and sentences; no VAE stands behind these."""
    if method == "rate":
        return "Rate"
    label = metric_of(method).label
    return label.removeprefix("Between VAEs (").removesuffix(")").capitalize() if "between" in method else label


def _signed(nats: float) -> str:
    return f"{nats:+.3g}".replace("-", "\N{MINUS SIGN}")


def _grouped(answers: Table) -> Table:
    """With a column "group": the panel of a case, from its name."""
    titles = {"equal": "64 latents, equal", "unequal": "64 latents, unequal", "shaped": "codes not normal"}
    kinds = [case.split("_") for case in answers["case"]]
    return answers.assign(group=[titles.get(kind[0], f"{kind[1]} latents each") for kind in kinds])


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


#: Sections of the page, in order.
ESTIMATOR_SECTIONS: tuple[SectionMaker, ...] = (samples_section, scored_section, encoder_section, between_section)
