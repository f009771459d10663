"""Box-counting dimension of the edges of masks, by a pyramid of max-pooling."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from msda_analysis.checks import check_choice
from msda_analysis.mask_stats.geometry import kept_sets


def edge_cells(masks: Tensor) -> Tensor:
    """[n, *size] bool: kept cells with a neighbor (sharing a face) that is not kept; the border is no edge."""
    kept = kept_sets(masks)
    is_edge = torch.zeros_like(kept)
    for axis in range(1, kept.ndim):
        length = kept.shape[axis]
        low, high = kept.narrow(axis, 0, length - 1), kept.narrow(axis, 1, length - 1)
        is_edge.narrow(axis, 0, length - 1).logical_or_(low & ~high)
        is_edge.narrow(axis, 1, length - 1).logical_or_(high & ~low)
    return is_edge


def box_counts(masks: Tensor, of: str = "edge") -> tuple[Tensor, Tensor]:
    """How many boxes of side 1, 2, 4, ... hold a cell of the edge (or of the kept set).

    Boxes start at the first cell; those at the far border may stick out. Sides stay below the shortest length.

    Args:
        masks: [n, 1, *size] or [n, *size].
        of: "edge" or "kept".

    Returns:
        sides [scales] in cells, counts [n, scales] int64.

    Raises:
        ValueError: unknown `of`.
    """
    check_choice("of", of, ("edge", "kept"))
    cells = edge_cells(masks) if of == "edge" else kept_sets(masks)
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[cells.ndim - 2]
    level = cells.to(torch.float32).unsqueeze(1)
    n_scales = max(1, math.ceil(math.log2(min(cells.shape[1:]))))
    counts = [level.flatten(1).sum(1)]
    for _ in range(n_scales - 1):
        level = pool(level, 2, ceil_mode=True)
        counts.append(level.flatten(1).sum(1))
    return 2 ** torch.arange(n_scales), torch.stack(counts, 1).to(torch.int64)


def box_dimensions(masks: Tensor, of: str = "edge") -> Tensor:
    """Box-counting dimension of each mask's edge: minus the least-squares slope of log count over log side.

    1 for a straight edge in 2-D; NaN where there is no edge or only one scale. The kept set itself has the dimension
    of the image in the limit of small boxes, whatever its shape, so the edge is what tells masks apart.

    Returns:
        [n] float64.

    Raises:
        ValueError: unknown `of`.
    """
    sides, counts = box_counts(masks, of)
    x = torch.log(sides.to(torch.float64)).to(counts.device)
    x = x - x.mean()
    logs = torch.log(torch.where(counts > 0, counts.to(torch.float64), torch.nan))
    return -(logs * x).sum(1) / (x * x).sum()
