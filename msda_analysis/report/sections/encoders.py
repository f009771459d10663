"""Bounds of one and between two encoders whose information is known exactly."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from msda_analysis.report import draw, panels
from msda_analysis.report.answers import label_of_method, read_answers, symbol_of, wide_table
from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.section import FigureItem, Section
from msda_analysis.report.select import check_columns, has_metric
from msda_analysis.report.style import DOUBLE_COLUMN, spare_looks, styled
from msda_analysis.report.words import Table, define

define({}, told=("known_encoder*", "known_between*"))
_LINEAR = 0.1  # nats: below it the scale of errors is linear
_TICKS = (0, 1, 2, 5, 10, 20, 40, 80)


_ENCODER = (
    "A linear encoder z = W x + noise with 64 latents, shown {n} images of a standard normal source, holds exactly "
    "ln det(I + W W') / 2. The rate is what the paper reports; the fitted ones replace the prior by a density fitted "
    "to other images; the last two need no fit and have the ceiling ln K. The code of a linear encoder is normal, as "
    "the fitted Gaussian is. Those of encoders of uniform and Laplace sources, of curves (rings) and of clusters are "
    "not; their information is an integral."
)
_ENCODER_FIGURE = (
    "Above: bounds against the exact information; below: their distance from it, on a scale that is linear "
    "within 0.1 nats; the band is 0.3 nats or 2 %. Equal: all latents carry alike; unequal: signal-to-noise ratios "
    "of the latents differ by a factor of 55; not normal: other sources, rings, clusters, several of one information and so not joined. Bars, mostly narrower than the "
    "symbols: 95 % intervals over images."
)
_BETWEEN = (
    "Two linear encoders of the same source share an amount of information that is a determinant. Upper and lower "
    "bounds must lie on their side of it; the estimate should follow it."
)
_BETWEEN_FIGURE = "As above, for two encoders of 6 and of 64 latents each; the band is 0.1 nats or 10 %."


def encoder_section(table: Table, folder: Path) -> Section | None:
    """Bounds of one encoder."""
    del folder
    if not has_metric(table, "known_encoder"):
        return None
    answers = _grouped(read_answers(table, "encoder"))
    tolerance = (0.02 * answers["truth"]).clip(lower=0.3)
    shaped = answers["case"].str.startswith("shaped")
    answers = answers.assign(tolerance=tolerance, good=answers["error"].abs() <= tolerance, shaped=shaped)
    alt = "Bounds against exact information for two encoders."
    caption = "Bounds in nats with 95 % intervals over images; results.csv has the warnings in words."
    return Section(
        "encoder", "Bounds of one Gaussian encoder", (_ENCODER.format(n=int(answers["n"].max())),), encoder_findings(answers),
        figures=(FigureItem("encoder_bounds", answers, draw_bounds, _ENCODER_FIGURE, alt),),
        tables=(wide_table(answers, "encoder_bounds", caption),), metrics=tuple(dict.fromkeys(answers["method"])),
    )  # fmt: skip


def known_between_section(table: Table, folder: Path) -> Section | None:
    """Bounds between two linear encoders."""
    del folder
    if not has_metric(table, "known_between"):
        return None
    rows = read_answers(table, "between")
    answers = _grouped(rows.assign(method="between_" + rows["method"]))
    alt = "Bounds between two encoders against exact information."
    caption = "Bounds and estimate in nats with 95 % intervals over images."
    return Section(
        "between", "Information between two encoders", (_BETWEEN,), between_findings(answers),
        figures=(FigureItem("between_bounds", answers, draw_bounds, _BETWEEN_FIGURE, alt),),
        tables=(wide_table(answers, "between_bounds", caption),), metrics=tuple(dict.fromkeys(answers["method"])),
    )  # fmt: skip


@styled
def draw_bounds(answers: Table) -> Figure:
    """Bounds against the truth, and how far they are from it; one column of panels per group.

    Args:
        answers: one row per case and method, with columns group, method, truth, tolerance, value, low, high, bound
            ("upper", "lower" or ""), ceiling (nats, NaN for none).

    Raises:
        ValueError: a column is missing, or the table is empty.
    """
    check_columns(answers, ("group", "method", "truth", "tolerance", "value", "low", "high", "bound", "ceiling"))
    if answers.empty:
        raise ValueError("answers: expected one row per case and method, got none")
    groups = list(dict.fromkeys(answers["group"]))
    figure = Figure(figsize=(page_width(DOUBLE_COLUMN), 4.9), layout="constrained")
    grid = figure.subplots(2, len(groups), squeeze=False, sharex="col", sharey="row")
    looks = spare_looks(answers["method"])
    errors = answers.assign(**{name: answers[name] - answers["truth"] for name in ("value", "low", "high")})
    for (above, below), group in zip(grid.T, groups, strict=True):
        here = answers["group"] == group
        _frame_bounds(above, below, answers[here])
        is_joined = _is_path(answers[here])
        draw.draw_lines(above, answers[here], "truth", "method", looks, is_joined=is_joined)
        draw.draw_lines(below, errors[here], "truth", "method", looks, is_joined=is_joined)
        above.set(title=group, xlabel="", ylabel="")
        below.set(xlabel="exact information (nats)", ylabel="")
        _scale_bounds(above, below, sorted(set(answers[here]["truth"])))
    _give_room(*grid)
    grid[0, 0].set_ylabel("value (nats)")
    grid[1, 0].set_ylabel("value minus truth (nats)")
    panels.add_legend(figure, looks, ncols=4, labels=lambda name: _label(name, answers[answers["method"] == name]))
    return figure


def encoder_findings(answers: Table) -> tuple[str, ...]:
    """How near each bound of one encoder comes."""
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


def between_findings(answers: Table) -> tuple[str, ...]:
    """Whether bounds between two encoders lie on their side of the truth, and whether the estimate follows it."""
    above, below = (answers[answers["bound"] == bound] for bound in ("upper", "lower"))
    broken = int((above["high"] < above["truth"]).sum() + (below["low"] > below["truth"]).sum())
    wrong = int((above["error"] < 0).sum() + (below["error"] > 0).sum())
    n = len(above) + len(below)
    follow = answers[answers["method"] == "between_difference"]
    return (
        f"Between two encoders, {n - wrong} of {n} bounds lie on their side of the truth by value, {n - broken} within their "
        f"interval; the estimate is within 0.1 nats or 10 % on {int(follow['good'].sum())} of {len(follow)} pairs.",
    )


def _is_path(answers: Table) -> bool:
    """Whether cases follow each other in truth: lines between several of one truth would say nothing."""
    return not answers.duplicated(["method", "truth"]).any()


def _frame_bounds(above: Any, below: Any, rows: Table) -> None:
    """The truth and the tolerance around it in grey, the ceiling in red."""
    allowed = rows.groupby("truth")["tolerance"].first()
    above.plot(allowed.index, allowed.index, color="#999999", linewidth=3, zorder=1)
    below.fill_between(allowed.index, -allowed, allowed, color="#e4e4e4", linewidth=0, zorder=0)
    below.axhline(0, color="#999999", linewidth=1)
    ceiling = float(rows["ceiling"].max())
    if np.isfinite(ceiling) and ceiling < rows["truth"].max():
        panels.draw_ceiling(above, ceiling, "ln K")


def _scale_bounds(above: Any, below: Any, truths: list[float]) -> None:
    above.set_xscale("symlog", linthresh=1.0)
    above.set_yscale("symlog", linthresh=1.0)
    below.set_yscale("symlog", linthresh=_LINEAR)
    above.set_xlim(-0.1 if truths[0] < 1 else truths[0] / 1.5, 1.25 * truths[-1] + 0.1)
    for ax in (above, below):
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
    ticks = _far_apart(below, [tick for tick in _TICKS if truths[0] <= tick <= truths[-1]])
    below.set_xticks(ticks, [f"{tick}" for tick in ticks])


def _far_apart(ax: Any, ticks: list[int]) -> list[int]:
    """Those of the ticks, from the largest down, whose labels do not meet in a panel this wide."""
    least = points(0.21) / (ax.get_position().width * ax.figure.get_figwidth())  # two digits and a gap, in inches
    transform, kept = ax.transData + ax.transAxes.inverted(), []
    for tick in reversed(ticks):
        place = transform.transform((tick, 0))[0]
        if not kept or kept[-1][0] - place >= least:
            kept.append((place, tick))
    return [tick for _, tick in reversed(kept)]


def _give_room(above: Any, below: Any) -> None:
    """Room around all that a row of panels draws: symbols at the end of a logarithmic axis would be cut."""
    values, errors = ([ax.dataLim.intervaly for ax in row] for row in (above, below))
    lowest, highest = min(low for low, _ in values), max(high for _, high in values)
    if lowest >= 0:
        above[0].set_ylim(bottom=0 if lowest < 1 else lowest / 1.5)
    above[0].set_ylim(top=1.5 * highest)
    below[0].set_ylim(1.5 * min(low for low, _ in errors), 1.5 * max(high for _, high in errors))


def _label(name: str, rows: Table) -> str:
    direction = next((f", {bound}" for bound in rows["bound"] if bound), "")
    label = symbol_of(name)
    return label if direction.strip(", ") in label else f"{label}{direction}"


def _signed(nats: float) -> str:
    return f"{nats:+.3g}".replace("-", "\N{MINUS SIGN}")


def _grouped(answers: Table) -> Table:
    """With a column "group": the panel of a case, from its name."""
    titles = {"equal": "64 latents, equal", "unequal": "64 latents, unequal", "shaped": "codes not normal"}
    kinds = [case.split("_") for case in answers["case"]]
    return answers.assign(group=[titles.get(kind[0], f"{kind[1]} latents each") for kind in kinds])


SECTIONS = (encoder_section, known_between_section)
