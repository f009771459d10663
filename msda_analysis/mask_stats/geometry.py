"""Shape of masks, batched and on the masks' device: edges, Euler number, chords, and exact components.

Everything here looks at the set of cells whose mask value exceeds 1/2; for masks of zeros and ones that is the mask.
"""

from itertools import combinations
from typing import cast

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from msda_analysis.checks import check_choice

CONNECTIVITIES = ("face", "full")


def mask_fields(masks: Tensor) -> Tensor:
    """Masks as [n, *size], one to three axes: the channel axis of [n, 1, *size] is dropped.

    A batch [n, 1, length] is read as n one-dimensional masks with their channel axis, not as images of height 1.

    Args:
        masks: [n, 1, *size] or [n, *size], float or bool, n >= 1.

    Raises:
        TypeError: no tensor.
        ValueError: no mask, an empty axis, or other than one to three axes.
    """
    if not isinstance(masks, Tensor):
        raise TypeError(f"masks: expected a torch.Tensor, got {type(masks).__name__}; convert with torch.as_tensor")
    fields = masks[:, 0] if masks.ndim > 2 and masks.shape[1] == 1 else masks
    if fields.ndim not in (2, 3, 4) or 0 in fields.shape:
        raise ValueError(
            "masks: expected [n, 1, *size] or [n, *size] with one to three axes, none empty; "
            f"got shape {tuple(masks.shape)}"
        )
    return fields


def kept_sets(masks: Tensor) -> Tensor:
    """[n, *size] bool: cells whose mask value exceeds 1/2."""
    fields = mask_fields(masks)
    return fields if fields.dtype == torch.bool else fields > 0.5


def transitions(masks: Tensor, axis: int) -> Tensor:
    """Number of neighbor pairs along one axis of which one is kept and the other is not.

    Args:
        masks: [n, 1, *size] or [n, *size].
        axis: spatial axis, 0 for the first (the height of an image); a change along axis 1 is a vertical edge.

    Returns:
        [n] int64 counts. The border is open: its two ends are no neighbors.

    Raises:
        ValueError: no such axis.
    """
    kept = kept_sets(masks)
    _check_axis(axis, kept.ndim - 1)
    length = kept.shape[axis + 1]
    changed = kept.narrow(axis + 1, 1, length - 1) ^ kept.narrow(axis + 1, 0, length - 1)
    return _count(changed)


def circular_runs(masks: Tensor, axis: int) -> Tensor:
    """Number of runs of kept cells on every line along an axis whose two ends are joined; 0 where all is kept.

    Returns:
        [n, lines] int64.

    Raises:
        ValueError: no such axis.
    """
    kept = kept_sets(masks)
    _check_axis(axis, kept.ndim - 1)
    lines = kept.movedim(axis + 1, -1).reshape(len(kept), -1, kept.shape[axis + 1])
    return (lines & ~lines.roll(1, -1)).sum(-1)


def euler_numbers(masks: Tensor, connectivity: str = "face") -> Tensor:
    """Euler number by counting local patterns: in 2-D, components minus holes.

    "face" connects cells that share a face (4-connectivity in 2-D, 6 in 3-D): cells minus neighbor pairs plus full 2x2
    blocks (minus full 2x2x2 blocks). "full" also connects across corners (8 and 26): the closed cells' vertices minus
    edges plus faces (minus volumes). Cells beyond the border count as not kept.

    Args:
        masks: [n, 1, *size] or [n, *size].
        connectivity: "face" or "full".

    Returns:
        [n] int64.

    Raises:
        ValueError: unknown connectivity.

    Source: Gray 1971, Local properties of binary images in two dimensions (doi 10.1109/T-C.1971.223289).
    """
    check_choice("connectivity", connectivity, CONNECTIVITIES)
    kept = kept_sets(masks)
    axes = range(1, kept.ndim)
    total = torch.zeros(len(kept), dtype=torch.int64, device=kept.device)
    for order in range(kept.ndim):
        for chosen in combinations(axes, order):
            if connectivity == "face":
                total += (-1) ** order * _count(_windows(kept, chosen, every=True))
            else:
                total += (-1) ** (len(axes) - order) * _count(_windows(kept, chosen, every=False))
    return total


def count_components(masks: Tensor, connectivity: str = "face") -> Tensor:
    """Exact number of connected regions of kept cells in each mask.

    All masks are labeled in one pass on the host, stacked along an axis that the labeling may not cross.

    Args:
        masks: [n, 1, *size] or [n, *size].
        connectivity: "face" (4-connectivity in 2-D, 6 in 3-D) or "full" (8 and 26).

    Returns:
        [n] int64 on the masks' device.

    Raises:
        ValueError: unknown connectivity.
    """
    check_choice("connectivity", connectivity, CONNECTIVITIES)
    kept = kept_sets(masks).cpu().numpy()
    n_axes = kept.ndim - 1
    structure = np.zeros((3,) * kept.ndim, dtype=bool)
    structure[1] = ndimage.generate_binary_structure(n_axes, 1 if connectivity == "face" else n_axes)
    labels, n_labels = cast(tuple[np.ndarray, int], ndimage.label(kept, structure))
    owner = np.zeros(n_labels + 1, dtype=np.int64)  # mask of each label; label 0 is the rest
    owner[labels.reshape(len(kept), -1)] = np.arange(len(kept))[:, None]
    return torch.from_numpy(np.bincount(owner[1:], minlength=len(kept))).to(masks.device)


def mean_chords(masks: Tensor, axis: int) -> Tensor:
    """[n] float64: mean length in cells of the kept runs along one axis; NaN where nothing is kept."""
    kept = kept_sets(masks)
    _check_axis(axis, kept.ndim - 1)
    length = kept.shape[axis + 1]
    first = _count(kept.narrow(axis + 1, 0, 1))
    rising = kept.narrow(axis + 1, 1, length - 1) & ~kept.narrow(axis + 1, 0, length - 1)
    return _count(kept).to(torch.float64) / (first + _count(rising))


def _windows(kept: Tensor, axes: tuple[int, ...], *, every: bool) -> Tensor:
    """Whether every (or any) cell of each window of length 2 along the given axes is kept; "any" looks past the border."""
    for axis in axes:
        if not every:
            kept = torch.cat([kept, torch.zeros_like(kept.narrow(axis, 0, 1))], axis)
            kept = kept | torch.roll(kept, 1, axis)
        else:
            length = kept.shape[axis]
            kept = kept.narrow(axis, 1, length - 1) & kept.narrow(axis, 0, length - 1)
    return kept


def _count(cells: Tensor) -> Tensor:
    return cells.flatten(1).sum(1, dtype=torch.int64)


def _check_axis(axis: int, n_axes: int) -> None:
    if not isinstance(axis, int) or not 0 <= axis < n_axes:
        raise ValueError(f"axis: expected a spatial axis in 0..{n_axes - 1}, got {axis!r}")
