"""Student copula: a Gaussian copula whose variables share one random scale, so that they are large together."""

import math
from dataclasses import replace

import numpy as np

from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.information.ranks import uniform_scores
from msda_analysis.information.truths.closed_form import student_information

#: Degrees of freedom that are tried; more than the last is as good as Gaussian.
_DEGREES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 25.0)
_BEYOND_CHANCE = 3.0  # standard errors
_ROUNDS = 3  # of weighted covariances for one number of degrees


def estimate_student(x: np.ndarray, z: np.ndarray, correction: float = 0.0) -> Estimate | None:
    """Information of the Student copula that fits best, if it fits better than a Gaussian one beyond chance.

    Args:
        x, z: [n, dim_x] and [n, dim_z] float64, paired samples.
        correction: nats to add for what fitting a dispersion of this size adds, as for a Gaussian.

    Returns:
        Estimate in nats, its interval the spread of the log ratio, with details["degrees"]; None where the mean log
        density exceeds that of the Gaussian copula by no more than three standard errors.

    Source: Demarta & McNeil 2005 (doi 10.1111/j.1751-5823.2005.tb00254.x) for the copula.
    """
    uniforms, dim_x = uniform_scores(np.hstack([x, z])), x.shape[1]
    gaussian = _copula_terms(uniforms, None)[0]
    fits = {degrees: _copula_terms(uniforms, degrees) for degrees in _DEGREES}
    best = max(fits, key=lambda degrees: fits[degrees][0].mean())
    terms, points, dispersion = fits[best]
    gain = terms - gaussian
    if not gain.mean() > _BEYOND_CHANCE * gain.std() / math.sqrt(len(gain)):  # also when it is not a number
        return None
    parts = (slice(None), slice(dim_x), slice(dim_x, None))
    whole, first, second = (_log_density(points[:, p], dispersion[p, p], best) for p in parts)
    ratio = mean_estimate((whole - first - second).tolist(), "nats")
    assert ratio.high is not None
    value, half = student_information(dispersion, dim_x, best) + correction, ratio.high - ratio.value
    return replace(ratio, value=value, low=value - half, high=value + half, details={"degrees": best})


def _copula_terms(uniforms: np.ndarray, degrees: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log density of the copula [n], the points on its own scale [n, dim], and its dispersion, scaled to a correlation."""
    from scipy.special import ndtri, stdtrit

    points = ndtri(uniforms) if degrees is None else stdtrit(degrees, uniforms)
    dispersion = _dispersion(points, degrees)
    single = sum(_log_density(column[:, None], np.eye(1), degrees) for column in points.T)
    return _log_density(points, dispersion, degrees) - single, points, dispersion


def _dispersion(points: np.ndarray, degrees: float | None) -> np.ndarray:
    """Weighted correlations: the maximum-likelihood iteration for a Student t, plain correlations for a normal."""
    weights = np.ones(len(points))
    dispersion = np.eye(points.shape[1])
    for _ in range(1 if degrees is None else _ROUNDS + 1):
        if degrees is not None:
            distance = np.square(points @ np.linalg.inv(np.linalg.cholesky(dispersion)).T).sum(axis=1)
            weights = (degrees + points.shape[1]) / (degrees + distance)
        covariance = (points * weights[:, None]).T @ points / len(points)
        std = np.sqrt(np.diag(covariance))
        dispersion = covariance / np.outer(std, std)
    return dispersion


def _log_density(points: np.ndarray, dispersion: np.ndarray, degrees: float | None) -> np.ndarray:
    """Of the multivariate Student t (normal for None), [n] nats."""
    from scipy.special import gammaln

    dim, factor = points.shape[1], np.linalg.cholesky(dispersion)
    distance = np.square(np.linalg.solve(factor, points.T)).sum(axis=0)
    log_det = np.log(np.diag(factor)).sum()
    if degrees is None:
        return -0.5 * distance - log_det - 0.5 * dim * math.log(2 * math.pi)
    half = (degrees + dim) / 2
    constant = gammaln(half) - gammaln(degrees / 2) - 0.5 * dim * math.log(degrees * math.pi)
    return constant - log_det - half * np.log1p(distance / degrees)
