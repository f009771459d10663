"""Mask laws at one glance: for each family three masks of one lambda, the power of its masks by frequency, and their shape in numbers."""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from msda_analysis.report.draw import draw_lines
from msda_analysis.report.panels import scale_log
from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.shapes import surface
from msda_analysis.report.style import DOUBLE_COLUMN, Look, label_of, looks_for, order_augmentations, styled
from msda_analysis.report.words import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Curves of a panel -> their name and line; what a table lacks is not drawn.
CURVES = {
    "radial_power": ("all directions", "-"),
    "line_power_axis0": ("height alone", (0, (4, 1.5))),
    "line_power_axis1": ("width alone", (0, (1, 1))),
    "line_power_axis2": ("third axis alone", (0, (4, 1, 1, 1))),
}
#: Numbers beside them -> their word.
SHAPES = {"kept_fraction": "keeps", "perimeter": "edge", "components": "regions", "box_dimension": "dim."}
_TILES = 3
_NARROW = 4.5  # inches: below, numbers stand under the masks
_ROUNDING = 1e-14  # squared mask units: less is what float32 leaves of constant masks
_SMALL = 6.5  # points
_LONGEST = 68  # letters of a row's numbers
_SURFACE = 4  # pixels a voxel
_GAP = 0.06  # inches, between masks
_FREQUENCIES = (0.01, 0.03, 0.1, 0.5)


@dataclass(frozen=True)
class _Plan:
    """Sizes in inches: of a mask, from row to row, where spectra and numbers begin; and letters of a line of numbers.

    letters is None where each number has a line of its own.
    """

    tile: float
    step: float
    spectrum: tuple[float, float]
    words: float
    letters: int | None = None


@styled
def draw_laws(numbers: Table, pictures: Mapping[str, np.ndarray] | None = None) -> Figure:
    """One row a family.

    Args:
        numbers: columns metric, augmentation, x, value, low, high and unit: one line a point of CURVES, and a number of SHAPES.
        pictures: family -> masks [at least one, 1, *size] in [0, 1]; None where there are none.
    """
    names, width, pictures = order_augmentations(numbers["augmentation"]), page_width(DOUBLE_COLUMN), pictures or {}
    plan, curves = _plan(width, bool(pictures)), [each for each in CURVES if _powers(numbers, each).any()]
    height = plan.step * len(names) + points(0.42 if len(curves) < 2 else 0.62 if width >= _NARROW else 0.78)
    figure, spectra = Figure(figsize=(width, height)), []
    for i, name in enumerate(names):
        part, top = numbers[numbers["augmentation"] == name], height - plan.step * i - points(0.18)
        figure.text(0, (top + 0.03) / height, label_of(name), fontweight="bold", va="bottom")
        for k, mask in enumerate(pictures.get(name, ())[:_TILES]):
            box = (k * (plan.tile + _GAP) + 0.01, top - plan.tile, plan.tile, plan.tile)
            _show_mask(figure.add_axes(_share(box, width, height)), mask)
        left, across = plan.spectrum
        ax = figure.add_axes(
            _share((left, top - plan.step + points(0.26), across, plan.step - points(0.28)), width, height)
        )
        _show_spectrum(ax, part[part["metric"].isin(CURVES) & (part["value"] > _ROUNDING)], name)
        _write_shape(
            figure, part, plan, (plan.words / width, (top - (plan.letters is not None) * (plan.tile + _GAP)) / height)
        )
        spectra.append(ax)
    _join_spectra(spectra)
    _name_curves(figure, curves)
    return figure


def _powers(numbers: Table, curve: str) -> Any:
    return numbers[numbers["metric"] == curve]["value"] > _ROUNDING


def _plan(width: float, has_masks: bool) -> _Plan:
    """A page's width holds numbers beside the spectra; a column has them below the masks."""
    if width < _NARROW:
        masks = min(0.6 * width, width - points(1.2) - 0.1)
        tile, left = (masks - 2 * _GAP) / _TILES, (masks if has_masks else 0.0) + points(0.4)
        letters = int(masks * 72 / (0.5 * points(_SMALL)))
        under = points(0.24 + 0.13 * -(-_LONGEST // letters))
        return _Plan(
            tile * has_masks, tile * has_masks + points(0.12) + under, (left, width - left - 0.1), 0.0, letters
        )
    tile = (0.36 * width - 2 * _GAP) / _TILES
    left, words = (0.36 * width if has_masks else 0.0) + points(0.5), width - points(1.2)
    return _Plan(tile * has_masks, tile + points(0.28), (left, words - left - 0.12), words)


def _share(box: tuple[float, float, float, float], width: float, height: float) -> tuple[float, float, float, float]:
    """Of a figure, from inches."""
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _show_mask(ax: "Axes", mask: np.ndarray) -> None:
    """A signal as one row of bars, a volume as its surface, and what is the same everywhere as its grey."""
    values = np.asarray(mask[0], dtype=float)
    if np.ptp(values) == 0:
        picture = np.full((1, 1), values.flat[0])
    else:
        picture = surface(values, _SURFACE) if values.ndim == 3 else np.atleast_2d(values)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="auto")
    ax.set_axis_off()
    frame = Rectangle(
        (0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor="#888888", linewidth=0.4, clip_on=False
    )
    ax.add_patch(frame)


def _show_spectrum(ax: "Axes", part: Table, name: str) -> None:
    """The curves of one family in its color, told apart by their lines."""
    if part.empty:
        ax.text(0.5, 0.5, "no power", transform=ax.transAxes, ha="center", va="center", fontsize=points(_SMALL))
        ax.grid(visible=False)
        return
    color = looks_for([name])[name].color
    looks = {curve: Look(color, "", CURVES[curve][1]) for curve in CURVES if curve in set(part["metric"])}
    draw_lines(ax, part.drop(columns=["level", "low", "high"], errors="ignore"), "x", "metric", looks)
    ax.set(xlabel="", ylabel="")


def _join_spectra(axes: "list[Axes]") -> None:
    """The same logarithmic axes in all rows, named once."""
    boxes = [ax.dataLim for ax in axes if ax.lines]
    for ax in axes:
        scale_log(ax, "xy")
        if boxes:
            ends = min(box.x0 for box in boxes), max(box.x1 for box in boxes)
            ax.set_xlim(*(ends if ends[0] < ends[1] else (None, None)))
            ax.set_ylim(min(box.y0 for box in boxes) / 2, max(box.y1 for box in boxes) * 2)
        ax.xaxis.set_major_locator(FixedLocator([place for place in _FREQUENCIES if ax.get_xlim()[0] <= place]))
        ax.tick_params(labelbottom=ax is axes[-1])
    axes[-1].set_xlabel("cycles/pixel")
    axes[0].set_title("power per bin", fontsize=points(7))


def _name_curves(figure: Figure, shown: list[str]) -> None:
    if len(shown) > 1:
        lines = [Line2D([], [], color="#333333", linestyle=CURVES[curve][1], label=CURVES[curve][0]) for curve in shown]
        figure.legend(
            handles=lines, loc="lower center", ncols=len(lines), handlelength=2.2, columnspacing=1.0, borderpad=0.0
        )


def _write_shape(figure: Figure, part: Table, plan: _Plan, place: tuple[float, float]) -> None:
    """The numbers, one under the other, or some in a line."""
    rows = {row["metric"]: row for row in part[part["metric"].isin(SHAPES)].to_dict("records")}
    if "perimeter" in rows and rows["perimeter"]["value"] == 0:
        said = [*([_number("kept_fraction", rows["kept_fraction"])] if "kept_fraction" in rows else []), "no edge"]
    else:
        said = [_number(metric, rows[metric]) for metric in SHAPES if metric in rows]
    whole = ", ".join(words.replace(" ", "~") for words in said)  # a line ends between numbers only
    lines = said if plan.letters is None else [line.replace("~", " ") for line in textwrap.wrap(whole, plan.letters)]
    figure.text(*place, "\n".join(lines), va="top", fontsize=points(_SMALL), linespacing=1.45)


def _number(metric: str, row: dict) -> str:
    """With as many digits as half its interval has one of; the CSV beside the figure has all."""
    half = (row["high"] - row["low"]) / 2
    if not half > 0:
        return f"{SHAPES[metric]} {row['value']:.3g}"
    digits = max(0, -math.floor(math.log10(half)))
    return f"{SHAPES[metric]} {row['value']:.{digits}f} \N{PLUS-MINUS SIGN} {half:.{digits}f}"
