"""Pixel coverage: how often a mask law keeps each cell, and how far that is from the same everywhere."""

from dataclasses import dataclass

import torch
from torch import Tensor

from msda_analysis.mask_stats.geometry import mask_fields


@dataclass(frozen=True)
class Coverage:
    """Coverage of a mask law.

    Attributes:
        map: [*size] float64, mean mask.
        deviation: [*size] float64, mean of each cell minus its mask's own mean; zero for a law that prefers no place.
        standard_error: [*size] float64 of the deviation.
        largest: the largest absolute deviation.
        largest_z: the largest absolute deviation in standard errors; 0 where masks are constant.
        mean_square: mean squared deviation less what sampling alone adds; can be negative.
        n: number of masks.
    """

    map: Tensor
    deviation: Tensor
    standard_error: Tensor
    largest: float
    largest_z: float
    mean_square: float
    n: int


def measure_coverage(masks: Tensor) -> Coverage:
    """Coverage of independent masks.

    Box masks clipped at the border keep corners more often than the centre; rank masks of a stationary field cover
    every cell alike.

    Args:
        masks: [n, 1, *size] or [n, *size], n >= 2.

    Raises:
        ValueError: fewer than two masks.
    """
    fields = mask_fields(masks)
    if len(fields) < 2:
        raise ValueError(f"masks: expected at least 2 masks to tell deviation from chance, got {len(fields)}")
    fields = fields.to(torch.float64)
    centered = fields - fields.mean(tuple(range(1, fields.ndim)), keepdim=True)
    deviation = centered.mean(0)
    error = centered.std(0) / len(fields) ** 0.5
    z = torch.where(error > 1e-12, deviation / error, 0.0)
    excess = (deviation**2 - error**2).mean()
    return Coverage(
        map=fields.mean(0),
        deviation=deviation,
        standard_error=error,
        largest=float(deviation.abs().max()),
        largest_z=float(z.abs().max()),
        mean_square=float(excess),
        n=len(fields),
    )
