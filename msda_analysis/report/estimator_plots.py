"""Figures of estimators on known answers: errors of all methods on all cases, and bounds against the truth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from msda_analysis.report.select import check_columns
from msda_analysis.report.style import DOUBLE_COLUMN, Look, styled
from msda_analysis.report.words import Table, metric_of

_WORST = 3.0  # nats: colours end here
_LINEAR = 0.1  # nats: below it the scale of errors is linear
_COLORS = ("#222222", "#E69F00", "#1F5FA8", "#1B9E77", "#CC79A7", "#D55E00", "#56B4E9")
_MARKERS = "os^Dvph"
_LINES = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 2)))


@styled
def plot_error_map(table: Table) -> Figure:
    """Error of every method on every case, cases in order of their truth.

    Args:
        table: one row per case and method, with columns case, method, truth, error (nats; NaN where a method refused),
            warned (bool), good (bool: within the tolerance) and ceiling (nats, NaN for none).

    Raises:
        ValueError: a column is missing, or the table is empty.
    """
    check_columns(table, ("case", "method", "truth", "error", "warned", "good", "ceiling"))
    if table.empty:
        raise ValueError("table: expected one row per case and method, got none")
    truths = table.drop_duplicates("case").set_index("case")["truth"].sort_values(kind="stable")
    methods = list(dict.fromkeys(table["method"]))
    errors = table.pivot(index="case", columns="method", values="error").loc[truths.index, methods].to_numpy(float)
    figure = Figure(figsize=(DOUBLE_COLUMN, 1.3 + 0.165 * len(truths)), layout="constrained")
    axes = figure.add_subplot()
    norm = SymLogNorm(_LINEAR, vmin=-_WORST, vmax=_WORST)
    picture = axes.imshow(errors, norm=norm, cmap="RdBu", aspect="auto")
    _write_errors(axes, table, list(truths.index), methods)
    _frame_map(axes, truths, methods)
    _draw_levels(axes, truths.to_numpy(), float(table["ceiling"].max()))
    ticks = [-3, -1, -0.3, -0.1, 0, 0.1, 0.3, 1, 3]
    bar = figure.colorbar(picture, ax=axes, location="bottom", ticks=ticks, shrink=0.6, aspect=40, extend="both")
    bar.ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.set_label("estimate minus truth (nats)")
    return figure


@styled
def plot_bounds(table: Table, methods: Sequence[str]) -> Figure:
    """Bounds against the truth, and how far they are from it; one column of panels per group.

    Args:
        table: one row per case and method, with columns group, method, truth, tolerance, value, low, high, bound
            ("upper", "lower" or ""), ceiling (nats, NaN for none).
        methods: which to draw, in order.

    Raises:
        ValueError: a column is missing, or the table has none of the methods.
    """
    check_columns(table, ("group", "method", "truth", "tolerance", "value", "low", "high", "bound", "ceiling"))
    table = table[table["method"].isin(methods)]
    if table.empty:
        raise ValueError(f"table: expected rows of the methods {', '.join(methods)}, got none")
    groups = list(dict.fromkeys(table["group"]))
    figure = Figure(figsize=(DOUBLE_COLUMN, 4.9), layout="constrained")
    grid = figure.subplots(2, len(groups), squeeze=False, sharex="col", sharey="row")
    for column, group in zip(grid.T, groups, strict=True):
        _draw_bounds(column, table[table["group"] == group], methods)
        column[0].set_title(group)
    grid[0, 0].set_ylabel("value (nats)")
    grid[1, 0].set_ylabel("value minus truth (nats)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4))
    return figure


def symbol_of(method: str) -> str:
    """Short name of an estimator or bound; no VAE stands behind a rate here, so it does not get the paper's symbol."""
    return "rate" if method == "rate" else metric_of(method).symbol.removeprefix("between VAEs, ")


def _write_errors(axes: Axes, table: Table, cases: list[str], methods: list[str]) -> None:
    """Each error in its cell: bold when within the tolerance, an exclamation mark when the method warned."""
    for row in table.to_dict("records"):
        error = row["error"]
        text = "\N{EN DASH}" if np.isnan(error) else f"{error:+.2f}".replace("-", "\N{MINUS SIGN}")
        axes.text(
            methods.index(row["method"]), cases.index(row["case"]), text + ("!" if row["warned"] else ""),
            ha="center", va="center", fontsize=5.5, weight="bold" if row["good"] else "normal",
            color="white" if abs(error) > 0.9 else "black",
        )  # fmt: skip


def _frame_map(axes: Axes, truths: Any, methods: list[str]) -> None:
    labels = [f"{case.replace('_', ' ')}   {truth:.2f}" for case, truth in truths.items()]
    axes.set_yticks(range(len(labels)), labels, fontsize=6)
    axes.set_xticks(range(len(methods)), [symbol_of(name) for name in methods], rotation=40, ha="left")
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_ylabel("case, truth (nats)")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_levels(axes: Axes, truths: np.ndarray, ceiling: float) -> None:
    """Lines between the cases below and above 2 nats, and below and above the critics' ceiling."""
    for level, words in ((2.0, "2 nats"), (ceiling, f"ln K = {ceiling:.2f}")):
        first = int(np.searchsorted(truths, level)) if np.isfinite(level) else 0
        if 0 < first < len(truths):
            axes.axhline(first - 0.5, color="black", linewidth=1.2)
            axes.annotate(
                words, (1, first - 0.5), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
                fontsize=6, va="center", annotation_clip=False,
            )  # fmt: skip


def _draw_bounds(panels: np.ndarray, rows: Table, methods: Sequence[str]) -> None:
    value_axes, error_axes = panels
    truths = np.unique(rows["truth"].to_numpy(float))
    value_axes.plot(truths, truths, color="#999999", linewidth=3, label="truth", zorder=1)
    allowed = rows.groupby("truth")["tolerance"].first().loc[truths].to_numpy(float)
    error_axes.fill_between(truths, -allowed, allowed, color="#e4e4e4", linewidth=0, zorder=0)
    error_axes.axhline(0, color="#999999", linewidth=1)
    for name, look in _looks(methods).items():
        mine = rows[rows["method"] == name].sort_values("truth")
        value = mine["value"].to_numpy(float)
        reach = np.abs(mine[["low", "high"]].to_numpy(float).T - value)
        style: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": look.line, "markersize": 3.5}
        known = mine["truth"].to_numpy(float)
        value_axes.errorbar(known, value, reach, label=_label(name, mine), **style)
        error_axes.errorbar(known, value - known, reach, **style)
    ceiling = float(rows["ceiling"].max())
    if np.isfinite(ceiling) and ceiling < truths.max():
        value_axes.axhline(ceiling, color="#B3261E", linewidth=0.8, linestyle=(0, (3, 2)))
        value_axes.text(truths[0], ceiling, f"ln K = {ceiling:.2f}", color="#B3261E", fontsize=6.5, va="bottom")
    value_axes.set_xscale("symlog", linthresh=1.0)
    value_axes.set_yscale("symlog", linthresh=1.0)
    error_axes.set_yscale("symlog", linthresh=_LINEAR)
    value_axes.set_xlim(-0.1 if truths[0] < 1 else truths[0] / 1.5, 1.25 * truths[-1] + 0.1)
    for axes in (value_axes, error_axes):
        axes.yaxis.set_major_formatter(_plain_number)
    error_axes.set_xticks(ticks := [t for t in (0, 1, 2, 5, 10, 20, 40, 80) if truths[0] <= t <= truths[-1]], ticks)
    error_axes.set_xlabel("exact information (nats)")


def _plain_number(value: float, position: int | None) -> str:
    del position
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _label(name: str, rows: Table) -> str:
    direction = next((f", {bound}" for bound in rows["bound"] if bound), "")
    label = symbol_of(name)
    return label if direction.strip(", ") in label else f"{label}{direction}"


def _looks(methods: Sequence[str]) -> dict[str, Look]:
    return {
        name: Look(_COLORS[i % len(_COLORS)], _MARKERS[i % len(_MARKERS)], _LINES[i % len(_LINES)])
        for i, name in enumerate(methods)
    }
