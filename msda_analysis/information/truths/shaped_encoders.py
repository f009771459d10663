"""Gaussian encoders whose code is not normal, with information known by quadrature: other sources, curves, clusters."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msda_analysis.information.truths.linear_encoders import Code, EncoderCase

_REACH = 10.0  # standard deviations of the noise beyond which a density is left out: e^-50 there
_POINTS = 4001

#: Sources of unit variance: (n, dim, generator) -> [n, dim] float64.
SOURCES: dict[str, Callable[[int, int, torch.Generator], Tensor]] = {
    "gaussian": lambda n, dim, generator: torch.randn(n, dim, generator=generator, dtype=torch.float64),
    "uniform": lambda n, dim, generator: math.sqrt(12) * (_uniforms(n, dim, generator) - 0.5),
    "laplace": lambda n, dim, generator: _laplace(_uniforms(n, dim, generator)),
    "two_points": lambda n, dim, generator: 2 * (_uniforms(n, dim, generator) > 0.5).double() - 1,
}


def source_information(source: str, scale: float) -> float:
    """I(S; scale * S + N) in nats for a source S of unit variance and N standard normal: h(scale * S + N) - h(N).

    The density of the sum is closed (a difference of normal distribution functions, a sum of two of them, two normals);
    its entropy is a trapezoidal sum, whose error is far below 1e-9 for such smooth densities.

    Args:
        source: one of SOURCES.
        scale: standard deviation of the signal, in those of the noise.
    """
    from scipy.special import log_ndtr, ndtr

    reach = _REACH + scale * (40 if source == "laplace" else 2)
    z = np.linspace(-reach, reach, _POINTS * max(1, round(reach / 20)))
    if source == "gaussian":
        return 0.5 * math.log1p(scale**2)
    if source == "uniform":
        half = math.sqrt(3) * scale
        density = (ndtr(half - np.abs(z)) - ndtr(-half - np.abs(z))) / (2 * half)
    elif source == "laplace":
        rate = math.sqrt(2) / scale
        both = np.logaddexp(rate * z + log_ndtr(-z - rate), -rate * z + log_ndtr(z - rate))
        density = 0.5 * rate * np.exp(0.5 * rate**2 + both)
    else:
        density = (_normal(z - scale) + _normal(z + scale)) / 2
    return _entropy(density, z) - _NOISE_ENTROPY


def ring_information(radius: float) -> float:
    """I(angle; Z) in nats for Z = radius * (cos, sin) of a uniform angle + standard normal noise in the plane.

    Z's density depends on its length r alone: exp(-(r^2 + radius^2) / 2) I_0(r radius) / (2 pi); its entropy is an
    integral over r.
    """
    from scipy.special import i0e

    r = np.linspace(0, radius + _REACH, _POINTS)
    density = np.exp(-0.5 * (r - radius) ** 2) * i0e(r * radius) / (2 * math.pi)
    return float(np.trapezoid(2 * math.pi * r * _plogp(density), r)) - 2 * _NOISE_ENTROPY


def source_encoder(source: str, nats: float, *, latent: int, name: str = "") -> EncoderCase:
    """An encoder that scales `latent` independent sources alike and keeps exactly `nats` of them.

    Args:
        source: one of SOURCES; "two_points" holds at most ln 2 each.
        nats: I(X; Z), nats.
        latent: dimensions of source and code.
        name: of the case.
    """
    scale = _find_scale(source, nats / latent)

    def sample(n: int, generator: torch.Generator) -> Code:
        return scale * SOURCES[source](n, latent, generator), torch.zeros(n, latent, dtype=torch.float64)

    return EncoderCase(name, latent, nats, sample)


def ring_encoder(radius: float, *, rings: int, name: str = "") -> EncoderCase:
    """An encoder that lays each of `rings` independent angles on a circle: a curve in every pair of latents."""

    def sample(n: int, generator: torch.Generator) -> Code:
        angle = 2 * math.pi * _uniforms(n, rings, generator)
        loc = radius * torch.cat([angle.cos(), angle.sin()], dim=1)
        return loc, torch.zeros_like(loc)

    return EncoderCase(name, 2 * rings, rings * ring_information(radius), sample)


def shaped_cases() -> list[EncoderCase]:
    """27 nats of three kinds of sources in 16 and 64 latents, curves, clusters."""
    return [
        *(
            source_encoder(source, 27.0, latent=latent, name=f"shaped_{source}_{latent}")
            for latent in (16, 64)
            for source in ("gaussian", "uniform", "laplace")
        ),
        *(ring_encoder(radius, rings=8, name=f"shaped_rings_16_radius_{radius:g}") for radius in (2.0, 5.0)),
        source_encoder("two_points", 4.0, latent=8, name="shaped_clusters_8"),
    ]


@cache
def _find_scale(source: str, nats: float) -> float:
    from scipy.optimize import brentq

    scale: Any = brentq(lambda scale: source_information(source, scale) - nats, 1e-3, 50.0, xtol=1e-12)
    return float(scale)


def _uniforms(n: int, dim: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, dim, generator=generator, dtype=torch.float64)


def _laplace(uniforms: Tensor) -> Tensor:
    """Quantiles of the Laplace distribution of unit variance."""
    centered = uniforms - 0.5
    return -centered.sign() * (-2 * centered.abs()).log1p() / math.sqrt(2)


def _normal(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * np.square(z)) / math.sqrt(2 * math.pi)


def _plogp(density: np.ndarray) -> np.ndarray:
    from scipy.special import entr

    return entr(density)


def _entropy(density: np.ndarray, z: np.ndarray) -> float:
    return float(np.trapezoid(_plogp(density), z))


_NOISE_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
