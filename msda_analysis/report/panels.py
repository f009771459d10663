"""The paper around the marks: panels, legends, axes and lines that say how to read them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.style import DOUBLE_COLUMN, Look, label_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RED, GREY = "#B3261E", "#888888"
_PAPER = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0}  # behind words that lines may cross
_FEW_PANELS = 4
_LINEAR_DECADES = 0.4  # room of the linear part of an epsilon axis, in decades of its logarithmic part


def grid(
    n_panels: int, columns: int, height: float, *, share_y: bool, width: float = DOUBLE_COLUMN, legend: int = 0
) -> "tuple[Figure, list[Axes]]":
    """A Figure with n panels in reading order; `legend` leaves a strip for one of that many lines at the bottom."""
    columns = min(columns, n_panels)
    n_rows = -(-n_panels // columns)
    strip = 0.12 + points(0.18) * legend if legend else 0.0
    figure = Figure(figsize=(page_width(width), n_rows * height + strip), layout="constrained")
    axes = figure.subplots(n_rows, columns, squeeze=False, sharey=share_y).ravel()
    for ax in axes[n_panels:]:
        ax.set_axis_off()
    return figure, list(axes[:n_panels])


def columns_that_fit(columns: int, n_panels: int) -> int:
    """Panels side by side in a figure of the width that an author asks for, where a page's width holds this many."""
    columns = min(columns, n_panels)
    least = 1 if n_panels <= _FEW_PANELS else 2  # many in one column would be a ribbon
    return min(columns, max(least, round(columns * page_width(DOUBLE_COLUMN) / DOUBLE_COLUMN)))


def place_legend(
    figure: Figure, axes: "list[Axes]", looks: Mapping[str, Look], columns: int, *, joined: bool = True,
    labels: Callable[[str], str] = label_of, more: Sequence[Line2D] = (),
) -> None:  # fmt: skip
    """One legend: in the first free cell of the grid, or below the panels when there is none."""
    free = [ax for ax in figure.axes if ax not in axes and not more]
    lines = _legend_lines(list(looks), columns) + (1 if more else 0)
    ncols = 1 if free else -(-(len(looks) + len(more)) // lines)
    add_legend(figure, looks, ax=free[0] if free else None, ncols=ncols, joined=joined, labels=labels, more=more)


def strip_of(names: list[str], n_panels: int, columns: int) -> int:
    """Lines that a legend needs below the panels; 0 where it goes into a free cell of the grid."""
    return 0 if n_panels % columns else _legend_lines(names, columns)


def add_legend(
    figure: Figure, looks: Mapping[str, Look], *, ax: "Axes | None" = None, ncols: int, joined: bool = True,
    labels: Callable[[str], str] = label_of, more: Sequence[Line2D] = (),
) -> None:  # fmt: skip
    """A legend of lines (or of symbols that are not joined) in an empty panel, or below all panels."""
    handles = [
        Line2D([], [], color=look.color, linestyle=look.line if joined else "none", marker=look.marker, markersize=3.5,
               label=labels(name))
        for name, look in looks.items()
    ]  # fmt: skip
    if ax is not None:
        ax.legend(handles=[*handles, *more], loc="center left", handlelength=3.2)
    else:
        figure.legend(handles=[*handles, *more], loc="outside lower center", ncols=ncols, handlelength=3.2)


def draw_ceiling(ax: "Axes", ceiling: float | None, words: str = "ceiling ln K") -> None:
    """A dashed red line at the most that a number could show, in nats; None draws nothing."""
    if ceiling is None or not math.isfinite(ceiling):
        return
    ax.axhline(ceiling, color=RED, linewidth=0.8, linestyle=(0, (3, 2)))
    ax.annotate(
        f"{words} = {ceiling:.2f}", (1, ceiling), xycoords=("axes fraction", "data"), xytext=(-2, 3),
        textcoords="offset points", ha="right", color=RED, fontsize=points(6.5), bbox=_PAPER,
    )  # fmt: skip


def scale_epsilon(ax: "Axes", epsilons: Sequence[float]) -> None:
    """Epsilon linear from 0 to its smallest positive value and logarithmic above, so that 0 is a point like the others."""
    positive = sorted(epsilon for epsilon in set(epsilons) if epsilon > 0)
    if not positive:
        return
    ax.set_xscale("symlog", linthresh=positive[0], linscale=_LINEAR_DECADES)
    ax.set_xlim(min(0.0, *epsilons), positive[-1])
    decades = _decades_that_fit(positive[0], positive[-1])
    ax.set_xticks([0.0, *(decades or positive)])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xticks([epsilon for epsilon in positive if epsilon not in decades], minor=True)
    ax.xaxis.set_minor_formatter(NullFormatter())


def scale_log(ax: "Axes", log: str) -> None:
    """Logarithmic axes; along x with plain numbers at 1, 2 and 5, as a panel spans less than two decades there."""
    if "x" in log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    if "y" in log:
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())


def ticks_that_fit(low: float, high: float) -> int:
    """How many labels a third of a page holds: long numbers that differ late need room."""
    step = (high - low) / 5
    decimals = max(0, math.ceil(-math.log10(step))) if step > 0 else 0
    letters = len(f"{max(abs(low), abs(high)):.{decimals}f}")
    return 5 if letters <= 5 else 3 if letters <= 7 else 2


def _legend_lines(names: list[str], columns: int) -> int:
    """Lines of a legend below the panels; more than five labels do not fit side by side."""
    return -(-len(names) // min(5, 2 * columns))


def _decades_that_fit(first: float, last: float) -> list[float]:
    """Powers of ten to label between two budgets: about four at most, and none so close to 0 that its label meets that one."""
    length = math.log10(last / first) + _LINEAR_DECADES
    powers = range(math.ceil(round(math.log10(first), 9)), math.floor(round(math.log10(last), 9)) + 1)
    every = math.ceil(length / 4.5)
    chosen = [k for k in powers if (powers[-1] - k) % every == 0]
    return [10.0**k for k in chosen if (k - math.log10(first) + _LINEAR_DECADES) / length > 0.12]
