"""Nothing is cut: legends get as many columns as fit, long titles and labels get several lines."""

import textwrap
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedFormatter, FixedLocator

from msda_analysis.report.presentation import points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.text import Text

#: Id of texts that stand in the cells of a heat map.
CELL = "cell"
_PASSES = 3
_SMALLEST = 3.5  # points, of texts in the cells of a heat map
_SET_WIDER = 0.95  # at another resolution, or as curves in an SVG, letters are up to a twentieth wider than measured
_MOST = 0.4  # of its place's width: names of rows that would take more get lines


def fit_texts(figure: "Figure") -> None:
    """Settle a figure's layout, with all of its legends and texts inside its box; it grows by the lines this takes."""
    for ax in (
        figure.axes if figure.get_layout_engine() is not None else ()
    ):  # before a layout that would have no room for them
        _break_row_names(figure, ax)
        _move_legend(figure, ax)
    figure.draw_without_rendering()
    for text in figure.texts:
        _shrink(text, figure.bbox.x1)
    for _ in range(_PASSES):
        legends = [_fit_legend(figure, legend) for legend in figure.legends]
        if not any([*legends, *(_fit_axes(figure, ax) for ax in figure.axes)]):
            return
        figure.draw_without_rendering()


def _shrink(text: "Text", right: float) -> None:
    """Smaller letters for a text beside all axes that would end further right."""
    extent = text.get_window_extent()
    if extent.x1 > right > extent.x0:
        text.set_fontsize(max(points(4), float(text.get_fontsize()) * 0.95 * (right - extent.x0) / extent.width))


def texts_outside(figure: "Figure", slack: float = 1.0) -> list[str]:
    """Texts and legends of a drawn figure that leave its box by more than `slack` pixels."""
    box, found = figure.bbox, []
    for text, extent in _extents(figure):
        if min(extent.x0 - box.x0, extent.y0 - box.y0, box.x1 - extent.x1, box.y1 - extent.y1) < -slack:
            found.append(text)
    return found


def _extents(figure: "Figure"):
    for ax in figure.axes:
        legend = ax.get_legend()
        yield from [("legend", legend.get_window_extent())] if legend else []
        shown = [ax.title, *ax.texts] if not ax.axison else [*_labels(ax), *ax.texts, *_tick_labels(ax)]
        yield from (
            (text.get_text(), text.get_window_extent()) for text in shown if text.get_text() and text.get_visible()
        )
    yield from (("legend", legend.get_window_extent()) for legend in figure.legends)
    yield from ((text.get_text(), text.get_window_extent()) for text in figure.texts if text.get_text())


def _labels(ax: "Axes") -> "list[Text]":
    return [ax.title, ax._left_title, ax._right_title, ax.xaxis.label, ax.yaxis.label]  # type: ignore[attr-defined]


def _tick_labels(ax: "Axes") -> "list[Text]":
    """Those that are drawn: within the limits of their axis, and on."""
    found = []
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        found += [
            label for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high
            for label in (tick.label1, tick.label2) if label.get_visible() and label.get_text()
        ]  # fmt: skip
    return found


def _fit_legend(figure: "Figure", legend: "Legend") -> bool:
    """Fewer columns, then labels of several lines, where a legend is wider than its figure."""
    room = _SET_WIDER * figure.bbox.width
    if legend.get_window_extent().width <= room:
        return False
    columns, before = min(legend._ncols, len(legend.get_texts())), legend.get_window_extent().height  # type: ignore[attr-defined]
    while legend.get_window_extent().width > room and columns > 1:
        columns -= 1
        legend = _put_legend(figure, legend, columns)
    for text in legend.get_texts() if legend.get_window_extent().width > room else ():
        text.set_text(_in_lines(text, min(text.get_window_extent().width, 0.75 * room)))
    legend = _put_legend(figure, legend, columns)
    _grow(figure, (legend.get_window_extent().height - before) / figure.dpi)
    return True


def _put_legend(figure: "Figure", legend: "Legend", columns: int) -> "Legend":
    """The same entries below all panels, in this many columns."""
    handles = [line for line in legend.legend_handles if line is not None]
    texts, size = legend.get_texts(), legend.get_texts()[0].get_fontsize()
    words = [text.get_text() for text in texts]
    legend.remove()
    made = figure.legend(
        handles, words, loc="outside lower center", ncols=columns, handlelength=legend.handlelength, fontsize=size
    )
    made.get_window_extent(figure._get_renderer())  # type: ignore[attr-defined]
    return made


def _move_legend(figure: "Figure", ax: "Axes") -> None:
    """Below all panels, where a legend does not fit into the cell it was given."""
    legend, (rows, columns) = ax.get_legend(), _grid_of(ax)
    if legend is None:
        return
    extent = legend.get_window_extent(figure._get_renderer())  # type: ignore[attr-defined]
    if extent.width > figure.bbox.width / columns or extent.height > figure.bbox.height / rows:
        made = _put_legend(figure, legend, len(legend.get_texts()))
        _grow(figure, made.get_window_extent().height / figure.dpi)
        _fit_legend(figure, made)


def _grid_of(ax: "Axes") -> tuple[int, int]:
    """Rows and columns of the grid that axes stand in."""
    place = ax.get_subplotspec()
    return (1, 1) if place is None else place.get_gridspec().get_geometry()


def _grow(figure: "Figure", inches: float) -> None:
    figure.set_figheight(figure.get_figheight() + max(0.0, inches))


def _fit_axes(figure: "Figure", ax: "Axes") -> bool:
    """Titles, labels and row names in lines, where they are longer than their place."""
    box, changed = ax.get_window_extent(), False
    slot = max(box.width, 0.96 * figure.bbox.width / _grid_of(ax)[1])
    middle = (box.x0 + box.x1) / 2
    centered = min(slot, 2 * min(middle, figure.bbox.x1 - middle), _to_neighbor(figure, ax))
    room = {ax._left_title: figure.bbox.x1 - box.x0, ax.yaxis.label: box.height}  # type: ignore[attr-defined]
    for text in (label for label in _labels(ax) if label.get_text() and label.get_visible()):
        extent = text.get_window_extent()
        length, place = (extent.height if text is ax.yaxis.label else extent.width), room.get(text, centered)
        if length > place * 1.01:
            text.set_text(_in_lines(text, place, length))
            changed = True
    _fit_cells(ax)
    for text in ax.texts:
        extent = text.get_window_extent()
        if extent.x0 < figure.bbox.x0 - 1:  # what stands at the left of its axes ends there
            text.set_text(_in_lines(text, extent.x1))
            changed = True
    return changed


def _to_neighbor(figure: "Figure", ax: "Axes") -> float:
    """Pixels from the middle of a panel to that of the nearest beside it: what their labels may be wide each."""
    box = ax.get_window_extent()
    boxes = [
        other.get_window_extent() for other in figure.axes if other is not ax and other.get_subplotspec() is not None
    ]
    beside = [other for other in boxes if other.y0 < box.y1 and box.y0 < other.y1]
    away = [abs(box.x0 + box.x1 - other.x0 - other.x1) / 2 for other in beside]
    return _SET_WIDER * min((each for each in away if each > 1), default=figure.bbox.width / _SET_WIDER)


def _fit_cells(ax: "Axes") -> None:
    """Smaller letters in all cells of a heat map where the longest text is wider than its cell."""
    cells = [text for text in ax.texts if text.get_gid() == CELL]
    if not cells:
        return
    left, right = ax.get_xlim()
    room, longest = (
        ax.get_window_extent().width / abs(right - left),
        max(text.get_window_extent().width for text in cells),
    )
    for text in cells if longest > _SET_WIDER * room else ():
        text.set_fontsize(max(points(_SMALLEST), float(text.get_fontsize()) * 0.95 * room / longest))


def named_ticks(axis: "Axis") -> list[str]:
    """Words at the fixed places of an axis; [] where its ticks are numbers."""
    places = axis.get_major_locator()
    if not isinstance(places, FixedLocator):
        return []
    names = axis.get_major_formatter().format_ticks(axis.get_majorticklocs())  # type: ignore[arg-type]
    return names if any(name.strip("-.0123456789\N{MINUS SIGN}") for name in names) else []


def _break_row_names(figure: "Figure", ax: "Axes") -> None:
    """Long names of rows get lines, where they leave little to the axes; the figure grows where the rows are too low for them."""
    names, labels = named_ticks(ax.yaxis), [label for label in ax.get_yticklabels() if label.get_visible()]
    rows, columns = _grid_of(ax)
    room = _MOST * figure.bbox.width / columns
    if not names or not labels or max(label.get_window_extent().width for label in labels) <= room:
        return
    size = float(labels[0].get_fontsize())
    letters = max(8, int(room / figure.dpi * 72 / (0.55 * size)))
    shorter = ["\n".join(textwrap.wrap(name, letters, break_long_words=False)) for name in names]
    ax.yaxis.set_major_formatter(FixedFormatter(shorter))
    lines = max(name.count("\n") for name in shorter) + 1
    lacking = (lines * 1.3 * size / 72 + 0.04) * len(names) - (figure.get_figheight() / rows - 0.5)
    _grow(figure, rows * lacking if ax is figure.axes[0] else 0.0)


def _in_lines(text: "Text", room: float, length: float = 0.0) -> str:
    """The same in lines of at most `room` pixels, broken between words; a smaller size where a word is longer."""
    words = text.get_text()
    length = length or text.get_window_extent().width
    letters = max(4, int(max(map(len, words.split("\n"))) * room / length) - 1)
    lines = textwrap.wrap(words.replace("\n", " "), letters, break_long_words=False, break_on_hyphens=False)
    longest = max(map(len, lines), default=0)
    if longest > letters:
        text.set_fontsize(max(points(4), float(text.get_fontsize()) * letters / longest))
    return "\n".join(lines)
