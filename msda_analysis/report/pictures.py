"""Grids of images with labels of rows and columns, from plain arrays in pictures/*.npz."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.style import DOUBLE_COLUMN, label_of, order_augmentations, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 2  # white pixels between two images
LABEL_WIDTH, _ROW_GAP = 1.05, 0.03  # inches
_SMALLEST = 0.4  # inches: a narrow figure shows fewer images rather than smaller ones
_HEAD, _HEAD_SIZE, _LEAST_SIZE = 0.17, 7.0, 4.5  # inches above the first row; points of the names there, and fewest
_LETTER = 0.62  # width of a letter, in sizes
_MANY_LINES = 3
_FIRST = {"original": "Original", "image_a": "Image A", "image_b": "Image B"}


def load_pictures(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a pictures file by row name, originals first, then augmentations in figure order.

    Raises:
        ValueError: it is not an npz file of plain arrays (nothing in it is executed).
    """
    arrays = {name: array for name, array in _load(path).items() if array.dtype.kind != "U"}
    first = [name for name in _FIRST if name in arrays]
    return {name: arrays[name] for name in [*first, *order_augmentations(set(arrays) - set(first))]}


def load_classes(path: Path) -> tuple[str, ...]:
    """Names of the classes of a pictures file's images, in the order of its columns; () where an older file has none.

    Raises:
        ValueError: as load_pictures.
    """
    names = _load(path).get("classes", np.zeros(0))
    return tuple(names.tolist()) if names.dtype.kind == "U" else ()


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        # np.load leaves a damaged file open when it opened it itself
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zip, header and pickle refusals have no common class
        raise ValueError(
            f"{path.name}: expected an .npz file of plain arrays, got {type(error).__name__}: {error}"
        ) from error


@styled
def draw_picture_grid(
    rows: Mapping[str, np.ndarray], *, columns: Sequence[str] = (), width: float = DOUBLE_COLUMN
) -> Figure:
    """A grid: one labelled row per entry, one column per image.

    Values are drawn between black at 0 and white at 1; values outside are drawn as the nearer of the two.

    Args:
        rows: name -> [image, height, width] or [image, channel, height, width] with 1 or 3 channels.
        columns: names to write above the columns, one an image; none are where one would be too small to read.
        width: of the figure, in inches; a narrow one shows the first images of each row only.

    Raises:
        ValueError: no rows, or a row with another shape.
    """
    if not rows:
        raise ValueError("rows: expected at least one row of images, got none")
    width, left = page_width(width), points(LABEL_WIDTH)
    most = max(1, int((width - left) / _SMALLEST)) if width < DOUBLE_COLUMN else None
    rows = {name: images[:most] for name, images in rows.items()}
    strips = {name: image_strip(images, name) for name, images in rows.items()}
    heights = [(width - left) * strip.shape[0] / strip.shape[1] for strip in strips.values()]
    size = _size_of_names(columns[:most], width - left)
    head = points(_HEAD) if size else 0.0
    total = head + sum(heights) + _ROW_GAP * (len(heights) - 1)
    figure, top = Figure(figsize=(width, total)), total - head
    for (name, strip), height in zip(strips.items(), heights, strict=True):
        box = (left / width, (top - height) / total, 1 - left / width, height / total)
        _show_strip(figure.add_axes(box), strip, name, len(rows[name]))
        top -= height + _ROW_GAP
    if size:
        _name_columns(figure.axes[0], columns[:most], size)
    return figure


def _size_of_names(names: Sequence[str], room: float) -> float:
    """Points at which the longest name fits above its image; 0 where that is too small to read, or there are none."""
    longest = max(map(len, names), default=0)
    if not longest:
        return 0.0
    size = min(points(_HEAD_SIZE), 72 * room / len(names) / (_LETTER * longest))
    return size if size >= points(_LEAST_SIZE) else 0.0


def _name_columns(ax: "Axes", names: Sequence[str], size: float) -> None:
    for i, name in enumerate(names):
        ax.text((i + 0.5) / len(names), 1.02, name, transform=ax.transAxes, ha="center", va="bottom", fontsize=size)


def image_strip(images: np.ndarray, name: str = "images") -> np.ndarray:
    """Images side by side with white gaps: [height, total width, channel]."""
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"{name}: expected [image, height, width] or [image, 1 or 3 channels, height, width], got shape {images.shape}"
        )
    tiles = np.moveaxis(np.asarray(images, dtype=float), 1, -1)
    gap = np.ones((tiles.shape[1], _GAP, tiles.shape[3]))
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=1)


def name_row(ax: "Axes", name: str) -> None:
    """Write a row's name to the left of its axes."""
    label = (_FIRST.get(name) or label_of(name)).replace(" (", "\n(").replace(", ", ",\n")
    ax.text(-0.012, 0.5, label, transform=ax.transAxes, ha="right", va="center", fontsize=_size_in_row(ax, label))


def _size_in_row(ax: "Axes", label: str) -> float:
    """Points at which a name of several lines fits beside its row: it would run into its neighbors."""
    lines, own = label.split("\n"), float(rcParams["font.size"])
    if len(lines) < _MANY_LINES:
        return own
    row = 72 * ax.bbox.height / ax.figure.dpi
    letters = points(LABEL_WIDTH - 0.1) * 72 / (_LETTER * max(map(len, lines)))
    return max(points(_LEAST_SIZE), min(own, row / (1.25 * len(lines)), letters))


def _show_strip(ax: "Axes", strip: np.ndarray, name: str, count: int) -> None:
    shown = strip[..., 0] if strip.shape[-1] == 1 else strip.clip(0, 1)
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1, aspect="auto")
    ax.set_axis_off()
    name_row(ax, name)
    _frame_tiles(ax, strip, count)


def _frame_tiles(ax: "Axes", strip: np.ndarray, count: int) -> None:
    """A thin frame around each image, so that white ones end somewhere."""
    height, total = strip.shape[:2]
    width = (total + _GAP) // count - _GAP
    for i in range(count):
        corner = (i * (width + _GAP) - 0.5, -0.5)
        ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="#888888", linewidth=0.4, clip_on=False))
