"""Nearest-neighbor estimators of mutual information."""

from dataclasses import replace
from functools import partial

import numpy as np

from msda_analysis.checks import check_count
from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.information.ceiling import NEAR_CEILING
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.ranks import normal_scores

_TRUSTED_DIMENSIONS = 6
_ROUNDING = 1e-10  # far below any distance, far above what adding a radius to a coordinate rounds away


def estimate_ksg(x: np.ndarray, z: np.ndarray, *, variant: int = 1, n_neighbors: int = 3) -> Estimate:
    """Mutual information from distances to nearest neighbors, in the maximum norm; not clamped at zero.

    Args:
        x, z: [n, dim_x] and [n, dim_z] float64, paired samples of continuous variables.
        variant: 1 (one cube around each sample) or 2 (a rectangle).
        n_neighbors: neighbors in the joint space; more means less variance and more bias.

    Returns:
        Estimate in nats, a bound of neither kind (too low when the information or the dimension is high). The interval
        treats the samples' local terms as independent. details["ceiling_nats"]: the largest value that n samples can
        give, about ln(n / n_neighbors).

    Raises:
        ValueError: variant other than 1 or 2, or not more samples than neighbors.

    Source: Kraskov, Stoegbauer & Grassberger 2004 (arXiv cond-mat/0305641), equations 8 and 9.
    """
    from scipy.spatial import KDTree
    from scipy.special import digamma

    n = len(x)
    check_count("n_neighbors", n_neighbors)
    check_count("x: samples", n, n_neighbors + 2)
    if variant not in (1, 2):
        raise ValueError(f"variant: expected 1 or 2, got {variant!r}")
    joint = np.concatenate([x, z], axis=1)
    distances, neighbors = KDTree(joint).query(joint, n_neighbors + 1, p=np.inf)
    if variant == 1:
        # strictly closer than the k-th neighbor; the count holds the sample itself, as psi(n_x + 1) asks for
        radius_x = radius_z = distances[:, -1] * (1 - _ROUNDING)
        local = digamma(n_neighbors) + digamma(n)
        self_count = 0
    else:
        radius_x, radius_z = (
            np.abs(part[neighbors] - part[:, None]).max(axis=(1, 2)) * (1 + _ROUNDING) for part in (x, z)
        )
        local = digamma(n_neighbors) - 1 / n_neighbors + digamma(n)
        self_count = 1
    counts = [count_within(part, radius) - self_count for part, radius in ((x, radius_x), (z, radius_z))]
    estimate = mean_estimate((local - digamma(counts[0]) - digamma(counts[1])).tolist(), "nats")
    ceiling = float(local - 2 * digamma(n_neighbors))  # both counts hold at least the neighbors
    details = {"n_neighbors": n_neighbors, "ceiling_nats": ceiling}
    warnings = _warnings(distances[:, -1], joint.shape[1])
    if estimate.value > NEAR_CEILING * ceiling:
        warnings += (f"near its ceiling {ceiling:.4g} nats, the most that neighbors among {n} samples can show",)
    return replace(estimate, warnings=warnings, details=details)


def count_within(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """How many points lie within each point's radius (maximum norm, border included), itself included; [n]."""
    from scipy.spatial import KDTree

    if points.shape[1] > 1:
        counts = KDTree(points).query_ball_point(points, radius, p=np.inf, return_length=True)
        return np.asarray(counts)
    line = points[:, 0]
    ordered = np.sort(line)
    return np.searchsorted(ordered, line + radius, "right") - np.searchsorted(ordered, line - radius, "left")


def _warnings(radius: np.ndarray, dim: int) -> tuple[str, ...]:
    found = []
    if (radius == 0).any():
        found.append(
            f"{int((radius == 0).sum())} samples coincide with their neighbors; the variables are not continuous"
        )
    if dim > _TRUSTED_DIMENSIONS:
        found.append(f"neighbors in {dim} dimensions: too low unless the information is small")
    return tuple(found)


def _estimate(variant: int, x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> Estimate:
    return estimate_ksg(normal_scores(x), normal_scores(z), variant=variant)


ESTIMATORS = {"ksg1": partial(_estimate, 1), "ksg2": partial(_estimate, 2)}
