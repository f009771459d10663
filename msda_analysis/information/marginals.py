"""Densities fitted to the marginal of a Gaussian encoder's code: any of them gives a valid upper bound on I(X; Z)."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from msda_analysis.rng import derive_key, numpy_from_key

_SAMPLES_PER_IMAGE = 2  # codes drawn from every image's Gaussian to fit and to evaluate mixtures


@dataclass(frozen=True)
class Codes:
    """Gaussian codes of n images: mean and variance, each [n, latent] float64."""

    loc: np.ndarray
    var: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Codes":
        return Codes(self.loc[rows], self.var[rows])

    def __len__(self) -> int:
        return len(self.loc)

    def negative_entropy(self) -> np.ndarray:
        """E log q(z|x) for every image, exact; [n] nats."""
        return -0.5 * (np.log(self.var) + math.log(2 * math.pi) + 1).sum(axis=1)

    def sample(self, rng: np.random.Generator, n_each: int = _SAMPLES_PER_IMAGE) -> np.ndarray:
        """[n_each, n, latent] draws."""
        return self.loc + np.sqrt(self.var) * rng.standard_normal((n_each, *self.loc.shape))


def to_codes(loc: Tensor, log_std: Tensor) -> Codes:
    """Mean and variance as float64 arrays."""
    return Codes(*(part.detach().double().cpu().numpy() for part in (loc, (2 * log_std.double()).exp())))


@dataclass(frozen=True)
class Gaussian:
    """Normal density with mean [latent] and precision factor [latent, latent]: precision = factor @ factor.T."""

    mean: np.ndarray
    factor: np.ndarray

    @property
    def log_scale(self) -> float:
        """Log density at the mean, nats."""
        return float(np.linalg.slogdet(self.factor)[1] - 0.5 * len(self.mean) * math.log(2 * math.pi))

    def expected_log_density(self, codes: Codes, seed: int = 0) -> np.ndarray:
        """E log m(z) with z from each image's code, exact (nothing is drawn); [n] nats."""
        spread = codes.var @ np.square(self.factor).sum(axis=1)
        return self.log_scale - 0.5 * (np.square(self.whiten(codes.loc)).sum(axis=-1) + spread)

    def whiten(self, z: np.ndarray) -> np.ndarray:
        """Points in the coordinates where this density is standard normal."""
        return (z - self.mean) @ self.factor


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixture fitted in the whitened coordinates of a Gaussian."""

    base: Gaussian
    model: Any
    name: str

    def expected_log_density(self, codes: Codes, seed: int = 0) -> np.ndarray:
        """E log m(z) for each image: exact for the base, plus drawn differences between mixture and base; [n] nats."""
        z = self.base.whiten(codes.sample(numpy_from_key(derive_key(seed, "mixture/evaluate"))))
        flat = z.reshape(-1, z.shape[-1])
        base = -0.5 * np.square(flat).sum(axis=1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)
        gain = (self.model.score_samples(flat) - base).reshape(z.shape[:2]).mean(axis=0)
        return self.base.expected_log_density(codes) + gain


def standard_normal(latent: int) -> Gaussian:
    """The prior N(0, I)."""
    return Gaussian(np.zeros(latent), np.eye(latent))


def fit_diagonal(codes: Codes) -> Gaussian:
    """Moments of the marginal by the law of total variance, without correlations."""
    variance = codes.loc.var(axis=0) + codes.var.mean(axis=0)
    return Gaussian(codes.loc.mean(axis=0), np.diag(1 / np.sqrt(variance)))


def fit_full(codes: Codes) -> Gaussian:
    """Moments of the marginal by the law of total variance; correlations of the means shrunk as far as n asks for.

    The noise part of the covariance is known, so only the covariance of the means is estimated (and shrunk towards its
    diagonal); the sum is positive definite however few images there are.

    Source: Ledoit & Wolf 2004 (doi 10.1016/S0047-259X(03)00096-4) for the amount of shrinkage.
    """
    from sklearn.covariance import ledoit_wolf

    std = codes.loc.std(axis=0)
    std = np.where(std > 0, std, 1)  # a dimension that never moves has no correlation to estimate
    mean = codes.loc.mean(axis=0)
    correlation = ledoit_wolf((codes.loc - mean) / std, assume_centered=True)[0]
    covariance = correlation * np.outer(std, std)
    np.fill_diagonal(covariance, codes.loc.var(axis=0) + codes.var.mean(axis=0))
    return Gaussian(mean, np.linalg.inv(np.linalg.cholesky(covariance)).T)


def fit_mixture(codes: Codes, n_components: int, seed: int) -> Mixture:
    """A scikit-learn mixture fitted to drawn codes, its components diagonal where the full Gaussian is white.

    Args:
        codes: the images to fit on.
        n_components: how many.
        seed: stream seed of the draws and of the start.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    base = fit_full(codes)
    z = base.whiten(codes.sample(numpy_from_key(derive_key(seed, "mixture/fit"))))
    model = GaussianMixture(
        n_components,
        covariance_type="diag",
        reg_covar=1e-3,
        max_iter=40,
        tol=2e-3,
        random_state=derive_key(seed, "mixture/start") % 2**32,
    )
    with warnings.catch_warnings():
        # an unfinished fit is a valid density too, and whether it is good is decided on held-out images
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(z.reshape(-1, z.shape[-1]))
    return Mixture(base, model, f"{n_components} components")
