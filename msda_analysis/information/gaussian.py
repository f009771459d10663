"""Information between jointly Gaussian variables, from canonical correlations, with the exact small-sample correction."""

import math
from dataclasses import dataclass, replace

import numpy as np

from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.ranks import normal_scores

_ROUNDING = 1e-12  # correlations this close to 1 are rounding: 13 nats from one pair of variables


@dataclass(frozen=True)
class GaussianRatio:
    """log p(x, z) / p(x) p(z) of a fitted joint normal, in whitened coordinates: u = (x - mean) A, v = (z - mean) B.

    Attributes:
        mean_x, mean_z: [dim_x], [dim_z].
        to_u, to_v: [dim_x, dim_x], [dim_z, dim_z] maps to canonical variates.
        correlations: [min(dim_x, dim_z)] canonical correlations, largest first.
    """

    mean_x: np.ndarray
    mean_z: np.ndarray
    to_u: np.ndarray
    to_v: np.ndarray
    correlations: np.ndarray

    def variates(self, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Canonical variates, [n, dim_x] and [n, dim_z]."""
        return (x - self.mean_x) @ self.to_u, (z - self.mean_z) @ self.to_v

    @property
    def nats(self) -> float:
        """Information of the fitted normal."""
        return float(-0.5 * np.log1p(-np.square(self.correlations)).sum())

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """a, b with log ratio = nats + sum_i (a_i u_i v_i - b_i (u_i^2 + v_i^2)), each [min(dim_x, dim_z)]."""
        rest = 1 - np.square(self.correlations)
        return self.correlations / rest, 0.5 * np.square(self.correlations) / rest


def fit_gaussian_ratio(x: np.ndarray, z: np.ndarray) -> GaussianRatio:
    """Canonical correlation analysis of [n, dim_x] and [n, dim_z].

    Raises:
        ValueError: not more samples than dimensions, redundant variables, or a direction of x that z determines.
    """
    dim = x.shape[1] + z.shape[1]
    if len(x) < dim + 3:
        raise ValueError(f"x: expected more samples than dimensions ({dim} + 2) for a Gaussian fit, got {len(x)}")
    mean_x, mean_z = x.mean(axis=0), z.mean(axis=0)
    white_x, white_z = _whitener(x - mean_x), _whitener(z - mean_z)
    cross = white_x.T @ ((x - mean_x).T @ (z - mean_z) / len(x)) @ white_z
    left, correlations, right = np.linalg.svd(cross)
    if correlations[0] > 1 - _ROUNDING:
        raise ValueError(
            "x, z: expected that no direction of x is a linear function of z, got a canonical correlation of 1 up to rounding; "
            "between continuous variables the information is then infinite"
        )
    return GaussianRatio(mean_x, mean_z, white_x @ left, white_z @ right.T, correlations)


def estimate_gaussian(x: np.ndarray, z: np.ndarray, *, ranks: bool = False) -> Estimate:
    """Information of the normal distribution that fits best; exactly unbiased when the data are normal.

    Args:
        x, z: [n, dim_x] and [n, dim_z] float64, paired samples.
        ranks: replace every variable by its normal scores first (Gaussian copula).

    Returns:
        Estimate in nats, a bound of neither kind; the interval treats the normal as the truth.

    Raises:
        ValueError: as fit_gaussian_ratio.

    Source: Cai, Liang & Zhou 2015 (arXiv 1309.0482), equation 7, for the expected log determinant.
    """
    n, dim = len(x), x.shape[1] + z.shape[1]
    if ranks:
        x, z = normal_scores(x), normal_scores(z)
    ratio = fit_gaussian_ratio(x, z)
    u, v = ratio.variates(x, z)
    rank = len(ratio.correlations)
    cross, own = ratio.weights()
    influence = (cross * u[:, :rank] * v[:, :rank] - own * (u[:, :rank] ** 2 + v[:, :rank] ** 2)).sum(axis=1)
    bias = log_det_bias(n, x.shape[1]) + log_det_bias(n, z.shape[1]) - log_det_bias(n, dim)
    estimate = mean_estimate((ratio.nats - 0.5 * bias + influence).tolist(), "nats")
    # near independence the influence vanishes and the squares of the sample correlations are what varies
    assert estimate.high is not None
    half = math.hypot(estimate.high - estimate.value, 1.96 * math.sqrt(x.shape[1] * z.shape[1] / 2) / n)
    estimate = replace(estimate, low=estimate.value - half, high=estimate.value + half)
    details = {"largest_correlation": float(ratio.correlations[0]), "correction_nats": -0.5 * bias}
    return replace(estimate, details=details)


def log_det_bias(n: int, dim: int) -> float:
    """Expected log determinant of the sample covariance (divided by n) of n standard normals in `dim` dimensions."""
    from scipy.special import digamma

    return float(digamma((n - np.arange(1, dim + 1)) / 2).sum() + dim * math.log(2 / n))


def _whitener(centered: np.ndarray) -> np.ndarray:
    """W with W' C W = I for the sample covariance C."""
    values, vectors = np.linalg.eigh(centered.T @ centered / len(centered))
    if values[0] <= 1e-12 * values[-1]:
        raise ValueError(
            "x, z: expected variables of which none is constant or a sum of others, "
            f"got covariance eigenvalues from {values[0]:.3g} to {values[-1]:.3g}; drop the redundant ones"
        )
    return vectors / np.sqrt(values)


def _check_squares(name: str, part: np.ndarray) -> None:
    """Moments are sums of squares: those of values this far from their mean overflow."""
    with np.errstate(over="ignore"):
        spread = np.square(part - part.mean(axis=0)).sum(axis=0)
    for column in np.flatnonzero(~np.isfinite(spread)):
        largest = np.abs(part[:, column]).max()
        raise ValueError(
            f"{name}: expected values whose squares are finite, got up to {largest:.3g} in column {column}; divide the column "
            'by a constant, which changes no information, or use "gaussian_copula"'
        )


def _estimate_raw(x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> Estimate:
    _check_squares("x", x)
    _check_squares("z", z)
    return estimate_gaussian(x, z)


def _estimate_copula(x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> Estimate:
    return estimate_gaussian(x, z, ranks=True)


ESTIMATORS = {"gaussian": _estimate_raw, "gaussian_copula": _estimate_copula}
