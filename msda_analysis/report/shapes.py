"""Signals as lines and volumes as slices and surfaces, one labelled row an entry, from plain arrays as in pictures.py."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from msda_analysis.report.pictures import LABEL_WIDTH, draw_picture_grid, name_row
from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.style import DOUBLE_COLUMN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_HEIGHT, _ROW_GAP = 0.42, 0.06  # inches
SIGNALS, VOLUMES = 4, 2  # drawn of each row
_CHANNELS = 3
_GAP = 0.06  # between two signals, as a share of one
_TONES = ("#222222", "#1F5FA8", "#E69F00")
_TILES, _SCALE = 8, 6  # tiles in a row, and their pixels for each voxel's side
_LEVEL = 0.5  # of the surface
_TURN, _TILT = 35.0, 25.0  # degrees from which a surface is seen
_VIEW = 1.55  # sides that a turned cube needs
_DARKEST = 0.25  # grey of a face that turns away from the light


@styled
def draw_signal_grid(rows: Mapping[str, np.ndarray], *, is_mask: bool = False, width: float = DOUBLE_COLUMN) -> Figure:
    """A grid: one labelled row per entry, signals side by side, time to the right, values upwards from 0 to 1.

    Args:
        rows: name -> [signal, channel, length]; at most four signals and three channels are drawn.
        is_mask: fill what the mask keeps instead of drawing a line.
        width: of the figure, in inches.

    Raises:
        ValueError: no rows, or a row with another shape.
    """
    if not rows:
        raise ValueError("rows: expected at least one row of signals, got none")
    width, left, step = page_width(width), points(LABEL_WIDTH), _ROW_HEIGHT + _ROW_GAP
    figure = Figure(figsize=(width, step * len(rows)))
    for i, (name, signals) in enumerate(rows.items()):
        _check(name, signals, ("signal", "channel", "length"))
        bottom = 1 - (i * step + _ROW_HEIGHT) / (step * len(rows))
        box = (left / width, bottom, 1 - left / width, _ROW_HEIGHT / (step * len(rows)))
        ax = figure.add_axes(box)
        _show_signals(ax, signals[:SIGNALS, :_CHANNELS], is_mask)
        name_row(ax, name)
    return figure


def draw_volume_grid(rows: Mapping[str, np.ndarray], *, is_mask: bool = False, width: float = DOUBLE_COLUMN) -> Figure:
    """A grid: one labelled row per entry, of each of two volumes slices from the first to the last along its first axis.

    Args:
        rows: name -> [volume, channel, depth, height, width] with 1 or 3 channels.
        is_mask: a surface where the mask is one half, seen from a corner, follows the slices.
        width: of the figure, in inches.

    Raises:
        ValueError: no rows, or a row with another shape.
    """
    tiles = {}
    for name, volumes in rows.items():
        _check(name, volumes, ("volume", "channel", "depth", "height", "width"))
        tiles[name] = np.concatenate([_tiles_of(volume, is_mask) for volume in volumes[:VOLUMES]])
    return draw_picture_grid(tiles, width=width)


def surface(volume: np.ndarray, scale: int = 1) -> np.ndarray:
    """A grey picture of a solid [depth, height, width], where it is at least one half, lit from where it is seen.

    Returns:
        [side, side] in [0, 1], 1 where there is no solid; side is `scale` times the longest length.
    """
    from scipy import ndimage

    side = max(volume.shape)
    room = int(np.ceil(side * (np.sqrt(3) - 1) / 2)) + 1  # a turned corner stays inside
    padding = [(room + (side - part) // 2, room + (side - part + 1) // 2) for part in volume.shape]
    solid = np.pad(np.asarray(volume, dtype=float), padding).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    for angle, axes in ((_TURN, (0, 2)), (_TILT, (0, 1))):
        solid = ndimage.rotate(solid, angle, axes, reshape=False, order=1)
    solid = ndimage.gaussian_filter(solid, 1.0)  # smooth normals
    is_in = solid >= _LEVEL
    first = is_in.argmax(0)[None]
    slopes = [np.take_along_axis(slope, first, 0)[0] for slope in np.gradient(solid)]
    steepness = np.sqrt(sum(slope**2 for slope in slopes))
    light = np.divide(slopes[0], steepness, out=np.zeros_like(steepness), where=steepness > 0)
    grey = np.where(is_in.any(0), _DARKEST + (0.95 - _DARKEST) * light.clip(0), 1.0)
    cut = (len(grey) - round(2 * side * _VIEW)) // 2
    grey = grey[cut : len(grey) - cut, cut : len(grey) - cut]
    return np.asarray(ndimage.zoom(grey, scale * side / len(grey), order=1, grid_mode=True, mode="nearest"))


def _show_signals(ax: "Axes", signals: np.ndarray, is_mask: bool) -> None:
    length = signals.shape[-1]
    for i, channels in enumerate(signals):
        start = i * (1 + _GAP)
        place = start + (np.arange(length) + 0.5) / length
        for values, tone in zip(channels, _TONES, strict=False):
            if is_mask:
                edges = np.repeat(start + np.arange(length + 1) / length, 2)[1:-1]
                ax.fill_between(edges, np.repeat(values, 2), color="#777777", linewidth=0)
            else:
                ax.plot(place, values, color=tone, linewidth=0.7)
        ax.plot(
            start + np.array([0, 1, 1, 0, 0]), [0, 0, 1, 1, 0], color="#aaaaaa", linewidth=0.4, clip_on=False, zorder=0
        )
    ax.set(xlim=(0, SIGNALS * (1 + _GAP) - _GAP), ylim=(0, 1))
    ax.set_axis_off()


def _tiles_of(volume: np.ndarray, is_mask: bool) -> np.ndarray:
    """[tile, channel, side, side] of one volume."""
    count = _TILES // 2 - is_mask
    places = np.round(np.linspace(0, volume.shape[1] - 1, count + 2)[1:-1]).astype(int)
    side = max(volume.shape[1:])
    slices = np.moveaxis(volume[:, places], 1, 0)
    padding = [((side - part) // 2, (side - part + 1) // 2) for part in slices.shape[2:]]
    slices = np.pad(slices, ((0, 0), (0, 0), *padding), constant_values=1.0)
    tiles = slices.repeat(_SCALE, 2).repeat(_SCALE, 3)
    if not is_mask:
        return tiles
    seen = np.broadcast_to(surface(volume[0], _SCALE), (1, *tiles.shape[1:]))
    return np.concatenate([tiles, seen])


def _check(name: str, arrays: np.ndarray, axes: tuple[str, ...]) -> None:
    if arrays.ndim != len(axes) or 0 in arrays.shape:
        raise ValueError(f"{name}: expected [{', '.join(axes)}], got shape {arrays.shape}")
