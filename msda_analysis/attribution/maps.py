"""Numbers of maps, one an image; NaN where a map is zero everywhere, which has no shape."""

import numpy as np
import torch
from torch import Tensor

from msda_analysis.checks import check_finite


def is_zero(maps: Tensor) -> Tensor:
    """bool [n]: maps that are zero everywhere, where Grad-CAM's ReLU leaves nothing."""
    return (_flat(maps) == 0).all(1)


def half_area(maps: Tensor) -> Tensor:
    """Smallest share of the image that holds half of a map's attribution.

    It is the size of the map's 50 % highest density region, with the map as a density that is constant at each position:
    0.5 of a constant map, 0.5 / N of one that is zero at all of its N positions but one.

    Args:
        maps: [n, *positions] float >= 0.

    Returns:
        [n] float64 in (0, 0.5]; NaN of zero maps.

    Source: Hyndman 1996, "Computing and graphing highest density regions".
    """
    values = _flat(maps).sort(1, descending=True).values
    sums = values.cumsum(1)
    half = sums[:, -1:] / 2
    place = (sums < half).sum(1, keepdim=True)
    reached = values.gather(1, place)
    before = sums.gather(1, place) - reached
    return (place + (half - before) / reached)[:, 0] / values.shape[1]


def entropy(maps: Tensor, *, normalized: bool = False) -> Tensor:
    """Entropy of where the attribution is, each map divided by its sum.

    Args:
        maps: [n, *positions] float >= 0.
        normalized: divide by ln N of N positions, the entropy of a constant map.

    Returns:
        [n] float64 in [0, ln N] nats, or in [0, 1]; NaN of zero maps.

    Source: Shannon 1948.
    """
    values = _flat(maps)
    found = torch.special.entr(values / values.sum(1, keepdim=True)).sum(1)
    return found / float(np.log(values.shape[1])) if normalized else found


def rank_correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Spearman's rank correlation over positions between each map and the other of the same image; ties share a rank.

    Args:
        maps, others: [n, *positions] float of one shape.

    Returns:
        [n] float64 in [-1, 1]; NaN where either map is constant, such as zero maps.

    Source: Spearman 1904; as a measure of agreement of maps, Adebayo et al. 2018 (arXiv 1810.03292).
    """
    if maps.shape != others.shape:
        raise ValueError(f"others: expected the shape of maps {list(maps.shape)}, got {list(others.shape)}")
    a, b = _centered_ranks(maps), _centered_ranks(others)
    return (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).sqrt()


def share_on(maps: Tensor, parts: Tensor) -> Tensor:
    """Share of each map's attribution that falls on a part of the image.

    Args:
        maps: [n, *positions] float >= 0.
        parts: the same shape, in [0, 1]; 1 where the part is.

    Returns:
        [n] float64 in [0, 1]; NaN of zero maps.

    Source: the energy-based pointing game of Wang et al. 2020 (arXiv 1910.01279).
    """
    if maps.shape != parts.shape:
        raise ValueError(f"parts: expected the shape of maps {list(maps.shape)}, got {list(parts.shape)}")
    values = _flat(maps)
    return (values * parts.flatten(1).double()).sum(1) / values.sum(1)


def _flat(maps: Tensor) -> Tensor:
    if maps.ndim < 2 or not maps.is_floating_point() or (maps < 0).any():
        raise ValueError(f"maps: expected float [n, *positions] >= 0, got {maps.dtype} {list(maps.shape)}")
    check_finite("maps", maps)
    return maps.flatten(1).double()


def _centered_ranks(maps: Tensor) -> Tensor:
    from scipy.stats import rankdata

    check_finite("maps", maps)
    ranks = torch.from_numpy(rankdata(maps.flatten(1).cpu().numpy(), axis=1))
    return ranks - ranks.mean(1, keepdim=True)
