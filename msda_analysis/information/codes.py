"""Codes that VAEs give to images: every network sees every image once, and all measurements share what came out."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from msda_analysis.checks import check_count, check_finite, check_image_batch, check_in_range
from msda_analysis.models.frozen import frozen
from msda_analysis.models.own_vae import to_code
from msda_analysis.models.vae import GaussianCode
from msda_analysis.rng import stream

#: loc and log_std of a Gaussian code, each [n, latent].
Code = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class VaeCodes:
    """What a VAE makes of a set of images, row by row the same ones.

    Attributes:
        own: loc, log_std of the images, each [n, latent] float64 on the CPU.
        errors: [n] float64 mean squared error of the reconstruction from a sampled code, squared normalized pixels.
        baseline: the code that the baseline VAE gives to the images; None without a baseline.
        reconstructed: the code that the VAE gives to the baseline's noisy reconstructions; None without a baseline.
        reconstruction_std: of that noise, in normalized-pixel units.
        is_own_baseline: whether the baseline is the VAE itself.
    """

    own: Code
    errors: Tensor
    baseline: Code | None = None
    reconstructed: Code | None = None
    reconstruction_std: float = 0.1
    is_own_baseline: bool = False


def check_code(loc: Tensor, log_std: Tensor) -> None:
    """Raise ValueError unless `loc` and `log_std` are finite and share one shape [n, latent]."""
    if loc.ndim != 2 or loc.shape != log_std.shape or 0 in loc.shape:
        raise ValueError(
            "loc, log_std: expected one shape [n, latent] for both, "
            f"got {tuple(loc.shape)} and {tuple(log_std.shape)}; give loc and log_std of the same images"
        )
    check_finite("loc", loc)
    check_finite("log_std", log_std)


def encode_images(vae: Any, images: Tensor, *, batch_size: int = 500) -> Code:
    """Codes of all images, in eval mode: what `encoder_bounds` takes.

    Args:
        vae: module with encode(images) -> the pair (mean, log-variance), or an object with .loc and .log_std, each
            [batch, latent].
        images: [n, channel, *size] float, normalized, on the model's device.
        batch_size: images per pass; changes memory only.

    Returns:
        loc, log_std: [n, latent] float64 on the CPU.

    Raises:
        TypeError, ValueError: `images` is not a float batch, or batch_size < 1.
    """
    check_image_batch(images)
    check_count("batch_size", batch_size)
    with frozen(vae), torch.no_grad():
        return _join([to_code(vae.encode(batch)) for batch in images.split(batch_size)])


def encode_once(
    vae: Any,
    images: Tensor,
    baseline: Any = None,
    *,
    reconstruction_std: float = 0.1,
    seed: int = 0,
    batch_size: int = 500,
) -> VaeCodes:
    """Everything that the measurements of a VAE need of its networks, with one pass for each code.

    Args:
        vae: the VAE under study, with encode(images) as of encode_images and decode(z) -> mean image.
        images: [n, channel, *size] float, normalized, on the model's device; clean images.
        baseline: VAE trained without mixing, from another seed.
        reconstruction_std: standard deviation of the Gaussian noise put on the baseline's reconstruction, in
            normalized-pixel units; the released script used 0.1.
        seed: stream seed. Noise is drawn on the CPU, so that every device sees the same.
        batch_size: images per pass.

    Raises:
        TypeError, ValueError: `images` is not a float batch, or a setting is out of range.
    """
    check_image_batch(images)
    check_count("batch_size", batch_size)
    check_in_range("reconstruction_std", reconstruction_std, 0, float("inf"))
    # two streams, so that the error does not depend on whether there is a baseline
    code_noise, pixel_noise = (stream(seed, f"vae_information/{name}") for name in ("code", "pixels"))
    own, errors, others, seen = [], [], [], []
    with frozen(vae, *([] if baseline is None else [baseline])), torch.no_grad():
        for batch in images.split(batch_size):
            own.append(to_code(vae.encode(batch)))
            error = vae.decode(_sample(own[-1], code_noise)) - batch
            errors.append(error.double().square().flatten(1).mean(dim=1).cpu())
            if baseline is not None:
                others.append(to_code(baseline.encode(batch)))
                mean = baseline.decode(_sample(others[-1], pixel_noise))
                seen.append(to_code(vae.encode(mean + reconstruction_std * _normal_like(mean, pixel_noise))))
    other, reconstructed = (_join(others), _join(seen)) if baseline is not None else (None, None)
    return VaeCodes(_join(own), torch.cat(errors), other, reconstructed, reconstruction_std, baseline is vae)


def _join(codes: list[GaussianCode]) -> Code:
    loc, log_std = (torch.cat(parts) for parts in zip(*codes, strict=True))
    return loc.double().cpu(), log_std.double().cpu()


def _sample(code: GaussianCode, generator: torch.Generator) -> Tensor:
    return code.loc + code.log_std.exp() * _normal_like(code.loc, generator)


def _normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normals drawn on the CPU in float32, then moved."""
    return torch.randn(tensor.shape, generator=generator).to(tensor)
