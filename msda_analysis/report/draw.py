"""The one drawing layer: a tidy table in, a figure out; intervals are drawn as they stand in the table.

Three kinds of figures: dots with intervals, curves with bands, and heat maps; pictures.py has grids of pictures. All marks are
seaborn's. A table has a column value, mostly low and high, and for curves over seeds the columns level ("seed" or "mean") and
seed, as select.summarize makes them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from msda_analysis.report.fitting import CELL
from msda_analysis.report.panels import columns_that_fit, grid, place_legend, scale_log, strip_of, ticks_that_fit
from msda_analysis.report.presentation import points
from msda_analysis.report.style import (
    DOUBLE_COLUMN,
    SINGLE_COLUMN,
    Look,
    contrast_of,
    label_of,
    looks_for,
    order_augmentations,
    paper_style,
    styled,
)
from msda_analysis.report.words import Table, axis_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: From this many seeds on a curve gets a band; with fewer, Student's interval is wider than most panels.
SEEDS_FOR_BAND = 3

_WEAK, _READABLE = "#555555", 4.5  # grey, and the least contrast of small letters (WCAG 2, level AA)

Finish = Callable[["Axes", Table], Any]
Titles = Callable[..., str]


@styled
def dots(
    numbers: Table, *, panel: Sequence[str] = ("metric",), panels: Sequence[tuple] | None = None, row: str = "augmentation",
    title: Titles | None = None, finish: Finish | None = None, columns: int = 3, legend: Sequence[Line2D] = (),
) -> Figure:  # fmt: skip
    """Dots with intervals, one panel a metric (or attack), rows down the side.

    Where rows are augmentations, small open symbols with thin bars are seeds, the large symbol with the thick bar is their
    mean; where they are anything else, there is one symbol an augmentation and a legend.

    Args:
        numbers: columns `panel`, `row`, augmentation, metric, unit, value, low, high, and level.
        panel: columns that tell panels apart.
        panels: values of these columns, in order; None takes those of the table in its order.
        row: the column whose values stand down the side, in the order of the table.
        title: makes a panel's title of these values.
        finish: called with each panel's axes and rows, to add lines.
        columns: panels side by side.
        legend: further entries.

    Raises:
        ValueError: no numbers.
    """
    parts, names = _split(numbers, panel, panels), order_augmentations(numbers["augmentation"])
    is_own = row == "augmentation"
    rows = names if is_own else list(dict.fromkeys(numbers[row]))
    height = 0.5 + (0.27 if is_own else 0.22 if not legend else 0.33) * len(rows)
    columns, height = columns_that_fit(columns, len(parts)), points(height)
    strip = 0 if is_own else strip_of(names, len(parts), columns) + (1 if legend else 0)
    figure, axes = grid(len(parts), columns, height, share_y=True, legend=strip)
    looks = looks_for(names)
    for i, (ax, (key, part)) in enumerate(zip(axes, parts.items(), strict=True)):
        if is_own:
            _draw_seeds(ax, part, rows, looks)
        else:
            draw_dots(ax, part, row, looks, rows)
        ax.set_xlabel(axis_label(str(part["metric"].iloc[0]), str(part["unit"].iloc[0])))
        ax.tick_params(labelleft=i % columns == 0)
        if title is not None:
            ax.set_title(title(*key))
    _finish(axes, parts, finish)
    if not is_own:
        place_legend(figure, axes, looks, columns, joined=False, more=legend)
    return figure


@styled
def curves(
    numbers: Table, x: str = "x", *, panel: Sequence[str] = ("metric",), panels: Sequence[tuple] | None = None,
    hue: str = "augmentation", looks: Mapping[str, Look] | None = None, labels: Callable[[str], str] = label_of,
    title: Titles | None = None, x_label: str = "x", log: str = "", finish: Finish | None = None,
    columns: int = 3, height: float = 1.75, share_y: bool = True, legend: bool = True,
) -> Figure:  # fmt: skip
    """Curves with bands, one panel a metric (or attack), one line a value of `hue`, one legend.

    A band over seeds from three seeds on, thin lines for two, thin bars over samples for one.

    Args:
        numbers: columns `panel`, `hue`, `x`, metric, unit and value; level, seed, low and high for curves over seeds.
        x: the column along the horizontal axis.
        panel, panels, title, finish, columns: as in `dots`; finish is called last.
        hue: the column that tells lines apart.
        looks: of its values; None looks them up as augmentations.
        labels: makes names for the legend of them.
        x_label: text of the horizontal axis, with its unit.
        log: axes with a logarithmic scale: "", "x", "y" or "xy"; points at or below zero must have been left out.
        height: of a panel, in inches.
        share_y: whether panels have the same vertical axis.
        legend: whether lines are named below.

    Raises:
        ValueError: no numbers, or some without an `x`.
    """
    if numbers[x].isna().any():
        raise ValueError(f"{x}: expected a number in every row, got empty ones")
    parts = _split(numbers, panel, panels)
    looks = looks_for(numbers[hue]) if looks is None else {name: looks[name] for name in dict.fromkeys(numbers[hue])}
    columns = columns_that_fit(columns, len(parts))
    width = SINGLE_COLUMN if len(parts) == 1 else DOUBLE_COLUMN
    strip = strip_of(list(looks), len(parts), columns) if legend else 0
    figure, axes = grid(len(parts), columns, height, share_y=share_y, width=width, legend=strip)
    for i, (ax, (key, part)) in enumerate(zip(axes, parts.items(), strict=True)):
        draw_lines(ax, part, x, hue, looks)
        scale_log(ax, log)
        is_left, is_bottom = not (share_y and i % columns), i + columns >= len(axes)
        label = axis_label(str(part["metric"].iloc[0]), str(part["unit"].iloc[0])) if is_left else ""
        ax.set(xlabel=x_label if is_bottom else "", ylabel=label, title=title(*key) if title else "")
        ax.tick_params(labelleft=is_left)
    _finish(axes, parts, finish)
    if legend:
        place_legend(figure, axes, looks, columns, labels=labels)
    return figure


def draw_dots(ax: "Axes", part: Table, row: str, looks: Mapping[str, Look], rows: Sequence | None = None) -> None:
    """One symbol with its interval an augmentation, side by side in each row; rows stand in the order of the table."""
    import seaborn.objects as so

    names, rows = list(looks), list(dict.fromkeys(part[row])) if rows is None else list(rows)
    place = part[row].map(rows.index)
    if part.groupby(row)["augmentation"].nunique().max() > 1:
        place += _spread(part["augmentation"].map(names.index), len(names))
    common = {"y": "place", "color": "augmentation", "legend": False, "orient": "y", "data": part.assign(place=place)}
    symbol = so.Dot(pointsize=3.4, edgewidth=0, artist_kws={"zorder": 3})
    plot = so.Plot().add(so.Range(linewidth=1.0, alpha=0.7), xmin="low", xmax="high", **common)
    _put(plot.add(symbol, x="value", marker="augmentation", **common), ax, looks)
    _frame_rows(ax, rows)


def draw_lines(ax: "Axes", part: Table, x: str, hue: str, looks: Mapping[str, Look], *, is_joined: bool = True) -> None:
    """The lines, bands, seeds and bars of one panel; see `curves`. Points that follow from no other are not joined."""
    import seaborn.objects as so

    layers, common, style = _by_seeds(part, hue), {"x": x, "color": hue}, paper_style()
    every = max(1, len(layers["line"]) // (12 * part[hue].nunique()))  # markers are the second cue: a dozen is enough
    symbol = {"pointsize": 0.8 * style["lines.markersize"], "edgecolor": "white", "edgewidth": 0.3}
    kept = {"data": layers["line"], "y": "value", "marker": hue, "orient": "x", "legend": False, **common}
    if is_joined:
        line = so.Line(linewidth=style["lines.linewidth"], artist_kws={"markevery": every}, **symbol)
        plot = so.Plot().add(line, linestyle=hue, **kept)
    else:
        plot = so.Plot().add(so.Dot(**symbol), **kept)
    marks: dict[str, tuple[Any, dict[str, str]]] = {
        "band": (so.Band(alpha=0.18, edgewidth=0), {"ymin": "low", "ymax": "high"}),
        "seeds": (so.Lines(linewidth=0.5, alpha=0.7), {"y": "value", "group": "seed"}),
        "bars": (so.Range(linewidth=0.7), {"ymin": "low", "ymax": "high"}),
    }
    if not is_joined:  # nor are bars of one place one bar
        marks["bars"][1]["group"] = "line"
    for name, (mark, columns) in marks.items():
        if len(layers[name]):
            data = layers[name].assign(line=range(len(layers[name])))
            plot = plot.add(mark, data=data, orient="x", legend=False, **common, **columns)
    _put(plot, ax, looks)


def heat_map(
    ax: "Axes", numbers: Table, row: str, column: str, *, value: str = "value", text: str = "", bold: str = "",
    rows: Sequence | None = None, columns: Sequence | None = None, labels: Callable[[Any], str] = str,
    fontsize: float = 6, **look: Any,
) -> None:  # fmt: skip
    """A heat map of one value by row and column, with a text in each cell.

    Args:
        ax: where to draw.
        numbers: one line a cell; cells without one stay empty.
        row, column, value: which columns.
        text, bold: columns with each cell's text, and whether it is bold; "" for none.
        rows, columns: order from the top and from the left; None takes that of the table.
        labels: of rows and columns.
        fontsize: of texts and labels, in points.
        look: for seaborn.heatmap, such as cmap, vmin, vmax or norm.
    """
    import seaborn as sns

    rows = list(dict.fromkeys(numbers[row])) if rows is None else list(rows)
    columns = list(dict.fromkeys(numbers[column])) if columns is None else list(columns)

    values = numbers.pivot(index=row, columns=column, values=value).reindex(index=rows, columns=columns).astype(float)
    look = {"cbar": False, "linewidths": 0.6, "linecolor": "white", "xticklabels": False, "yticklabels": False, **look}
    sns.heatmap(values, ax=ax, **look)
    for each in numbers.to_dict("records") if text else ():
        i, k = rows.index(each[row]), columns.index(each[column])
        ink = _ink_on(ax.collections[0].to_rgba(values.iloc[i, k]), is_weak=bool(bold) and not each[bold])
        ax.text(
            k + 0.5, i + 0.5, each[text], ha="center", va="center", fontsize=points(fontsize), color=ink, gid=CELL,
            weight="bold" if bold and each[bold] else "normal",
        )  # fmt: skip
    ax.set_xticks([i + 0.5 for i in range(len(columns))], [labels(name) for name in columns], fontsize=points(fontsize))
    ax.set_yticks([i + 0.5 for i in range(len(rows))], [labels(name) for name in rows], fontsize=points(fontsize))
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="", ylabel="")


def _ink_on(color: Any, *, is_weak: bool) -> str:
    """Black or white, whichever is the easier to read on a color; grey for what is weak, where that can be read."""
    light = contrast_of("white", color) > contrast_of("black", color)
    return _WEAK if is_weak and contrast_of(_WEAK, color) >= _READABLE else "white" if light else "black"


def put_column_names_on_top(ax: "Axes", rotation: float = 40) -> None:
    """Move a heat map's column names above it, slanted."""
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    for label in ax.get_xticklabels():
        label.set(rotation=rotation, ha="left", rotation_mode="anchor")


def _by_seeds(part: Table, hue: str) -> dict[str, Table]:
    """Which rows of a panel are lines, bands, thin lines of two seeds, and bars of a single one."""
    if "level" not in part:
        bars = part if "low" in part else part[:0]
        return {"line": part, "band": part[:0], "seeds": part[:0], "bars": bars}
    is_seed = part["level"] == "seed"
    n_seeds = part[hue].map(part[is_seed].groupby(hue)["seed"].nunique(dropna=False))
    return {
        "line": part[~is_seed | (n_seeds == 1)],
        "band": part[~is_seed & ~(n_seeds < SEEDS_FOR_BAND)],
        "seeds": part[is_seed & (n_seeds > 1) & (n_seeds < SEEDS_FOR_BAND)],
        "bars": part[is_seed & (n_seeds == 1)],
    }


def _draw_seeds(ax: "Axes", part: Table, rows: list[str], looks: Mapping[str, Look]) -> None:
    """Seeds side by side below the middle of their row, so that equal values stay visible; their mean above it."""
    import seaborn.objects as so

    names, is_seed = part["augmentation"], part["level"] == "seed"
    count = names[is_seed].map(names[is_seed].value_counts())
    shift = _spread(part[is_seed].groupby("augmentation").cumcount(), count) + 0.2 * (count > 1)
    placed = part.assign(place=names.map(rows.index) + shift.reindex(part.index, fill_value=-0.16))
    seed = so.Dots(
        pointsize=3.2, stroke=0.8, fillcolor="white", fillalpha=1, artist_kws={"zorder": 3, "clip_on": False}
    )
    mean = so.Dot(pointsize=5.5, edgecolor="white", edgewidth=0.5, artist_kws={"zorder": 3})
    layers = (
        (placed[is_seed], so.Range(linewidth=0.7, alpha=0.8), seed),
        (placed[~is_seed], so.Range(linewidth=2.6, alpha=0.75), mean),
    )
    plot = so.Plot()
    for chosen, bar, symbol in layers:
        common = {"data": chosen, "y": "place", "color": "augmentation", "legend": False, "orient": "y"}
        if len(chosen):
            plot = plot.add(bar, xmin="low", xmax="high", **common)
            plot = plot.add(symbol, x="value", marker="augmentation", **common)
    _put(plot, ax, looks)
    _frame_rows(ax, [label_of(name) for name in rows])
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(ticks_that_fit(*ax.get_xlim()), steps=[1, 2, 5, 10]))


def _spread(i: Any, count: Any) -> Any:
    """Offsets of symbols that share a row, around its middle."""
    step = np.minimum(0.12, 0.36 / np.maximum(count - 1, 1))
    return (i - (count - 1) / 2) * step


def _put(plot: Any, ax: "Axes", looks: Mapping[str, Look]) -> None:
    """Draw a plot of seaborn's onto axes, in the looks of its hue."""
    import seaborn.objects as so

    scales = {
        name: so.Nominal({key: getattr(look, part) for key, look in looks.items()})
        for name, part in (("color", "color"), ("marker", "marker"), ("linestyle", "line"))
    }
    style = {key: value for key, value in paper_style().items() if not key.startswith(("savefig", "svg", "pdf", "ps"))}
    plot.scale(**scales).theme(style).on(ax).plot()


def _split(numbers: Table, panel: Sequence[str], panels: Sequence[tuple] | None) -> dict[tuple, Table]:
    if numbers.empty:
        raise ValueError("numbers: expected at least one row to draw, got none")
    found: dict[Any, Table] = dict(list(numbers.groupby(list(panel), sort=False, dropna=False)))
    return found if panels is None else {key: found[key] for key in panels if key in found}


def _finish(axes: "list[Axes]", parts: Mapping[tuple, Table], finish: Finish | None) -> None:
    """What a section adds to panels, once all are drawn: they may share an axis."""
    if finish is not None:
        for ax, part in zip(axes, parts.values(), strict=True):
            finish(ax, part)


def _frame_rows(ax: "Axes", labels: Sequence[str]) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_ylabel("")
