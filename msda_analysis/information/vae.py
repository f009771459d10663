"""The paper's three figures for a VAE: two rates in nats and a reconstruction error, under their own names."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.checks import check_count, check_finite, check_image_batch, check_in_range
from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.rng import stream

_SELF_BASELINE = (
    "the baseline is the VAE under study itself; the paper's figure needs a baseline trained from another seed"
)


def rate_per_image(loc: Tensor, log_std: Tensor) -> Tensor:
    """Rate of every image: KL divergence of its Gaussian code from the standard normal prior.

    Args:
        loc: [n, latent] mean of the code.
        log_std: [n, latent] natural logarithm of its standard deviation.

    Returns:
        [n] float64, nats, summed over the latent dimensions.

    Raises:
        ValueError: the shapes differ or are not [n, latent], or a value is NaN or infinite.

    Source: Kingma & Welling 2014, appendix B (arXiv 1312.6114).
    """
    check_code(loc, log_std)
    loc, log_std = loc.double(), log_std.double()
    return 0.5 * (loc.square() + (2 * log_std).exp() - 1 - 2 * log_std).sum(dim=1)


def check_code(loc: Tensor, log_std: Tensor) -> None:
    """Raise ValueError unless `loc` and `log_std` are finite and share one shape [n, latent]."""
    if loc.ndim != 2 or loc.shape != log_std.shape or 0 in loc.shape:
        raise ValueError(
            "loc, log_std: expected one shape [n, latent] for both, "
            f"got {tuple(loc.shape)} and {tuple(log_std.shape)}; give loc and log_std of the same images"
        )
    check_finite("loc", loc)
    check_finite("log_std", log_std)


@contextmanager
def eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Put modules in eval mode without gradients, and restore the mode of every submodule after."""
    before = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():
            yield
    finally:
        for part, training in before:
            part.training = training


def encode_images(vae: Any, images: Tensor, *, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """Codes of all images, in eval mode: what `encoder_bounds` takes.

    Args:
        vae: module with encode(images) -> object with .loc and .log_std, each [batch, latent].
        images: [n, channel, height, width] float, normalized, on the model's device.
        batch_size: images per pass; changes memory only.

    Returns:
        loc, log_std: [n, latent] float64 on the CPU.

    Raises:
        TypeError, ValueError: `images` is not a float batch, or batch_size < 1.
    """
    check_image_batch(images)
    check_count("batch_size", batch_size)
    with eval_mode(vae):
        codes = [vae.encode(batch) for batch in images.split(batch_size)]
    loc, log_std = (torch.cat([getattr(code, name) for code in codes]) for name in ("loc", "log_std"))
    return loc.double().cpu(), log_std.double().cpu()


def vae_information(
    vae: Any,
    images: Tensor,
    baseline: Any = None,
    *,
    reconstruction_std: float = 0.1,
    seed: int = 0,
    batch_size: int = 500,
) -> dict[str, Estimate]:
    """The paper's figures for one VAE, each a mean over images with its 95 % interval.

    Both rates are divergences from the N(0, I) prior: they exceed the information by KL(q(z) || N(0, I)). So "rate" is
    an upper bound on I(Z; X), while "rate_reconstructed", published as a lower bound of I(Z; X), is a bound of neither
    kind: it is below by data processing and above by the same slack.

    Args:
        vae: the VAE under study, with encode(images) -> .loc, .log_std and decode(z) -> mean image.
        images: [n, channel, height, width] float, normalized, on the model's device; clean images.
        baseline: VAE trained without mixing, from another seed; without it there is no "rate_reconstructed".
        reconstruction_std: standard deviation of the Gaussian noise put on the baseline's reconstruction, in
            normalized-pixel units; the released script used 0.1.
        seed: stream seed. Noise is drawn on the CPU, so that every device sees the same.
        batch_size: images per pass.

    Returns:
        "rate" (nats; published as I(Z; X)), "rate_reconstructed" (nats; published as I(Z; reconstruction)), "mse"
        (mean squared error of the reconstruction from a sampled code, in squared normalized-pixel units).

    Raises:
        TypeError, ValueError: `images` is not a float batch, or a setting is out of range, or a code is not finite.

    Source: Harris et al. 2020 (arXiv 2002.12047), section on mutual information, as in the released script.
    """
    check_image_batch(images)
    check_count("batch_size", batch_size)
    check_in_range("reconstruction_std", reconstruction_std, 0, float("inf"))
    generator = stream(seed, "vae_information/code")
    rates, errors = [], []
    with eval_mode(vae):
        for batch in images.split(batch_size):
            code = vae.encode(batch)
            rates += rate_per_image(code.loc, code.log_std).tolist()
            error = vae.decode(_sample(code, generator)) - batch
            errors += error.double().square().flatten(1).mean(dim=1).tolist()
    figures = {
        "rate": mean_estimate(rates, "nats", bound="upper"),
        "mse": mean_estimate(errors, "squared normalized pixels"),
    }
    if baseline is not None:
        seen = encode_reconstructions(
            vae, baseline, images, reconstruction_std=reconstruction_std, seed=seed, batch_size=batch_size
        )
        warnings = (_SELF_BASELINE,) if baseline is vae else ()
        estimate = mean_estimate(rate_per_image(*seen).tolist(), "nats", warnings=warnings)
        figures["rate_reconstructed"] = replace(estimate, details={"reconstruction_std": reconstruction_std})
    return figures


def encode_reconstructions(
    vae: Any,
    baseline: Any,
    images: Tensor,
    *,
    reconstruction_std: float = 0.1,
    seed: int = 0,
    batch_size: int = 500,
) -> tuple[Tensor, Tensor]:
    """Codes that one VAE gives to another's noisy reconstructions, as for "rate_reconstructed".

    Args:
        vae, baseline, images, reconstruction_std, seed, batch_size: as in `vae_information`.

    Returns:
        loc, log_std: [n, latent] float64 on the CPU.

    Raises:
        TypeError, ValueError: `images` is not a float batch, or a setting is out of range.
    """
    check_image_batch(images)
    check_count("batch_size", batch_size)
    check_in_range("reconstruction_std", reconstruction_std, 0, float("inf"))
    generator, codes = stream(seed, "vae_information/pixels"), []
    with eval_mode(vae, baseline):
        for batch in images.split(batch_size):
            mean = baseline.decode(_sample(baseline.encode(batch), generator))
            codes.append(vae.encode(mean + reconstruction_std * _normal_like(mean, generator)))
    loc, log_std = (torch.cat([getattr(code, name) for code in codes]) for name in ("loc", "log_std"))
    return loc.double().cpu(), log_std.double().cpu()


def _sample(code: Any, generator: torch.Generator) -> Tensor:
    return code.loc + code.log_std.exp() * _normal_like(code.loc, generator)


def _normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normals drawn on the CPU in float32, then moved."""
    return torch.randn(tensor.shape, generator=generator).to(tensor)
