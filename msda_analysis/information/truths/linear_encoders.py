"""Linear Gaussian encoders, whose information is a determinant, to judge the bounds of encoders by."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from msda_analysis.information.truths.closed_form import gaussian_information
from msda_analysis.rng import stream

Code = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class EncoderCase:
    """One encoder z = W x + unit noise of a standard normal x.

    Attributes:
        name: unique among `encoder_cases()`.
        latent: dimensions of the code.
        truth: I(X; Z), nats.
        sample: (n, generator) -> loc and log_std of n images' codes, each [n, latent] float64.
    """

    name: str
    latent: int
    truth: float
    sample: Callable[[int, torch.Generator], Code]


@dataclass(frozen=True)
class PairCase:
    """Two such encoders of one source.

    Attributes:
        name: unique among `pair_cases()`.
        latent: dimensions of either code.
        truth: I(Z_1; Z_2), nats.
        sample: (n, generator) -> the two codes (loc, log_std) of the same n images.
    """

    name: str
    latent: int
    truth: float
    sample: Callable[[int, torch.Generator], tuple[Code, Code]]


def linear_encoder(nats: float, *, latent: int = 64, spread: float = 0.0, name: str = "") -> EncoderCase:
    """An encoder that keeps exactly `nats`.

    Args:
        nats: I(X; Z), nats.
        latent: dimensions of source and code.
        spread: the log signal-to-noise ratios of the dimensions run evenly from -spread to spread around a common level.
        name: of the case.
    """
    shape = torch.linspace(-spread, spread, latent, dtype=torch.float64).exp()
    scale = (_find_level(shape, nats) * shape).sqrt()
    normals = torch.randn(latent, latent, generator=stream(0, "linear_encoder/turn"), dtype=torch.float64)
    weights = scale[:, None] * torch.linalg.qr(normals)[0].T

    def sample(n: int, generator: torch.Generator) -> Code:
        sources = torch.randn(n, latent, generator=generator, dtype=torch.float64)
        return sources @ weights, torch.zeros(n, latent, dtype=torch.float64)

    return EncoderCase(name, latent, nats, sample)


def linear_pair(strength: float, *, sources: int = 8, latent: int = 6, shared: bool = True, name: str = "") -> PairCase:
    """Two encoders with independent random weights, normal of standard deviation strength / sqrt(sources).

    Args:
        strength: of the weights, in standard deviations of the noise.
        sources: dimensions of the source.
        latent: dimensions of either code.
        shared: both see the whole source; otherwise each a half of its own, so that the codes are independent.
        name: of the case.
    """
    normals = torch.randn(2 * latent, sources, generator=stream(0, "linear_pair/weights"), dtype=torch.float64)
    weights = strength * normals / math.sqrt(sources)
    if not shared:
        weights[:latent, sources // 2 :] = weights[latent:, : sources // 2] = 0
    covariance = (weights @ weights.T).numpy() + np.eye(2 * latent)

    def sample(n: int, generator: torch.Generator) -> tuple[Code, Code]:
        both = torch.randn(n, sources, generator=generator, dtype=torch.float64) @ weights.T
        log_std = torch.zeros(n, latent, dtype=torch.float64)
        return (both[:, :latent], log_std), (both[:, latent:], log_std)

    return PairCase(name, latent, gaussian_information(covariance, latent), sample)


def encoder_cases() -> list[EncoderCase]:
    """64 latents at 2 to 80 nats, with equal and with unequal dimensions."""
    return [
        linear_encoder(nats, spread=spread, name=f"{kind}_64_{nats:g}_nats")
        for kind, spread in (("equal", 0.0), ("unequal", 2.0))
        for nats in (2.0, 10.0, 40.0, 80.0)
    ]


def pair_cases() -> list[PairCase]:
    """Pairs of small and of large encoders, 0 to 30 nats."""
    sizes = ((8, 6, (1.0, 3.0, 20.0)), (64, 64, (0.3, 1.0, 3.0)))
    return [
        linear_pair(3.0, shared=False, name="pair_6_independent"),
        *(
            linear_pair(strength, sources=sources, latent=latent, name=f"pair_{latent}_strength_{strength:g}")
            for sources, latent, strengths in sizes
            for strength in strengths
        ),
    ]


def _find_level(shape: Tensor, nats: float) -> float:
    """Signal-to-noise level at which dimensions of this shape hold `nats` together, by bisection."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if 0.5 * torch.log1p(middle * shape).sum() > nats else (middle, high)
    return low
