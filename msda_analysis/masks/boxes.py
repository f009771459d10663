"""Box masks in one, two and three dimensions, and the law of what they cut."""

import math

import numpy as np
import torch
from torch import Tensor

from msda_analysis.masks.blocks import BLOCK_VALUES, empty_on_cpu, run_on_threads
from msda_analysis.masks.draws import draw_uniforms
from msda_analysis.rng import Key, numpy_from_key

GEOMETRIES = ("clipped", "inside")


def box_masks(starts: Tensor, lengths: Tensor, size: tuple[int, ...]) -> Tensor:
    """Masks that are 0 inside a box and 1 outside; parts of a box beyond the border are dropped.

    Args:
        starts: [n, axis] integer position of the first cut index on each axis; may be negative.
        lengths: [n, axis] integer number of cut indices on each axis.
        size: lengths of the axes.

    Returns:
        [n, 1, *size] float32 on the device of `starts`.
    """
    return (write_boxes if starts.device.type == "cpu" else compare_boxes)(starts, lengths, size)


def compare_boxes(starts: Tensor, lengths: Tensor, size: tuple[int, ...]) -> Tensor:
    """box_masks by comparing index ranges with box edges: no loop over masks, for a GPU."""
    n, n_axes = starts.shape
    inside = torch.ones((), dtype=torch.bool, device=starts.device)
    for axis, length in enumerate(size):
        index = torch.arange(length, device=starts.device)
        start, stop = starts[:, axis, None], starts[:, axis, None] + lengths[:, axis, None]
        covers = (index >= start) & (index < stop)  # [n, length]
        inside = inside & covers.view(n, *(length if i == axis else 1 for i in range(n_axes)))
    return (~inside).to(torch.float32).unsqueeze(1)


def write_boxes(starts: Tensor, lengths: Tensor, size: tuple[int, ...]) -> Tensor:
    """box_masks on a CPU: one write of the masks, box by box."""
    masks = empty_on_cpu(len(starts), 1, *size)
    cells = masks[:, 0].numpy()
    firsts = starts.clamp(min=0).tolist()
    stops = (starts + lengths).clamp(min=0).tolist()
    step = max(1, BLOCK_VALUES // math.prod(size))

    def write(block: int) -> None:
        part = slice(block * step, (block + 1) * step)
        cells[part] = 1.0
        for mask, first, stop in zip(cells[part], firsts[part], stops[part], strict=True):
            mask[tuple(map(slice, first, stop))] = 0.0

    n_blocks = -(-len(starts) // step)
    if step > 1:  # small masks are quicker written than handed out
        for block in range(n_blocks):
            write(block)
    else:
        run_on_threads(write, n_blocks)
    return masks


def kept_shares(starts: Tensor, lengths: Tensor, size: tuple[int, ...]) -> Tensor:
    """[n] float32: the share of cells outside each box, what really is kept of the first image."""
    cut = torch.ones(len(starts), dtype=torch.float64, device=starts.device)
    for axis, length in enumerate(size):
        start, stop = starts[:, axis], starts[:, axis] + lengths[:, axis]
        cut = cut * (stop.clamp(min=0, max=length) - start.clamp(min=0, max=length)) / length
    return (1 - cut).to(torch.float32)


def draw_boxes(lam: Tensor, size: tuple[int, ...], geometry: str, key: Key) -> tuple[Tensor, Tensor]:
    """Draw boxes whose side on each of d axes is round(length * (1 - lam)^(1/d)).

    "clipped": the centre is uniform on the continuous image and the box may stick out. "inside": uniform among the
    positions where the box fits. In one dimension lambda is a length, so no square root is taken.

    Args:
        lam: [n] float64 on any device, share to keep.
        size: lengths of the axes.

    Returns:
        starts, lengths: [n, axis] int64 each, on lambda's device.

    Source: Yun et al. 2019, section 3.1. Differs: box sides may be odd; theirs lose a pixel to two rounded halves.
    """
    lengths = _lengths(size, lam.device)
    sides = box_sides(lam, size)
    if lam.device.type == "cpu":
        place = torch.from_numpy(numpy_from_key(int(key)).random((len(lam), len(size))))
    else:
        place = draw_uniforms(key, len(lam), len(size), lam.device)
    if geometry == "clipped":
        starts = torch.floor(place * lengths - sides / 2 + 0.5)
    else:
        starts = torch.floor(place * (lengths - sides + 1))
    return starts.to(torch.int64), sides.to(torch.int64)


def box_sides(lam: Tensor, size: tuple[int, ...]) -> Tensor:
    """[n, axis] float64 sides round(length * (1 - lam)^(1/d)) of boxes that cut about 1 - lam of an image, before clipping."""
    return torch.round(_lengths(size, lam.device) * _root(1 - lam, len(size))[:, None])


def _lengths(size: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.stack([torch.full((), length, dtype=torch.float64, device=device) for length in size])


def _root(share: Tensor, degree: int) -> Tensor:
    """share ** (1 / degree). On a CPU by NumPy: torch hands even a few hundred roots to several threads."""
    if share.device.type == "cpu":
        return torch.from_numpy(np.power(share.numpy(), 1 / degree))
    return share ** (1 / degree)


def side_distribution(length: int, side: int, geometry: str) -> dict[int, float]:
    """Exact law of the number of cut indices on one axis for a box of a given side.

    Used to check samplers and to tabulate the label weights they should give.

    Returns:
        {number of cut indices: probability}.
    """
    if geometry == "inside":
        return {side: 1.0}
    law: dict[int, float] = {}
    low, high = math.floor(0.5 - side / 2), math.floor(length - side / 2 + 0.5)
    for start in range(low, high + 1):
        # start is hit when centre - side/2 + 0.5 falls in [start, start + 1)
        left, right = max(0.0, start + side / 2 - 0.5), min(float(length), start + side / 2 + 0.5)
        if right > left:
            cut = min(start + side, length) - max(start, 0)
            law[cut] = law.get(cut, 0.0) + (right - left) / length
    return law
