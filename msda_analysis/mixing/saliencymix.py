"""SaliencyMix: a box around the partner's most salient place."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from msda_analysis.checks import check_positive
from msda_analysis.masks.boxes import box_masks, box_sides, kept_shares
from msda_analysis.masks.lam import draw_beta
from msda_analysis.mixing.blend import blend
from msda_analysis.mixing.mixed import Mixed
from msda_analysis.rng import derive_key, generator_from_key, take_key

_BLUR = 2.5 / 64  # standard deviation of the last smoothing, as a share of each side


@dataclass(frozen=True)
class SaliencyMix:
    """CutMix with the box centered on the most salient pixel of the partner, and clipped at the border.

    Attributes:
        alpha: lambda ~ Beta(alpha, alpha); the box has about the share 1 - lambda of the image before clipping. Labels weigh
            what is kept.

    Source: Uddin et al. 2021 (arXiv 2006.01791). Differs: saliency is the spectral residual (see `spectral_residual`), where
    their code takes another detector; lambda and box are drawn for each image; any number of dimensions.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Mixed:
        """Mix images [n, channel, *size]."""
        key, n, size = take_key(generator), len(images), tuple(images.shape[2:])
        device = images.device
        permutation = torch.randperm(n, generator=generator_from_key(derive_key(key, "pairs"))).to(device)
        lam = draw_beta(self.alpha, self.alpha, n, derive_key(key, "lam"), torch.device("cpu")).to(device)
        peaks = salient_places(images)[permutation]
        sides = box_sides(lam, size)
        starts = torch.floor(peaks + 0.5 - sides / 2 + 0.5).long()
        masks = box_masks(starts, sides.long(), size)
        kept = kept_shares(starts, sides.long(), size)
        return Mixed(blend(images, permutation, masks), labels, labels[permutation], kept, permutation)


def salient_places(images: Tensor) -> Tensor:
    """[n, axis] int64 position of the largest saliency of each image; the first one where several are equal."""
    size = images.shape[2:]
    flat = spectral_residual(images).flatten(1).argmax(1)
    places = []
    for length in reversed(size):
        places.append(flat % length)
        flat = flat // length
    return torch.stack(places[::-1], 1)


def spectral_residual(images: Tensor) -> Tensor:
    """[n, *size] saliency: what the log amplitude spectrum holds beyond its local mean, with the phase, back in the image.

    Channels are averaged, and the last smoothing is Gaussian, by 2.5 / 64 of each side, around the edges.

    Source: Hou & Zhang 2007, "Saliency detection: a spectral residual approach". Differs: at the image's own size, where
    they shrink it to 64 pixels.
    """
    gray = images.mean(1).to(torch.float64)
    axes = tuple(range(1, gray.ndim))
    spectrum = torch.fft.fftn(gray, dim=axes)
    amplitude = spectrum.abs().clamp(
        min=torch.finfo(torch.float64).tiny
    )  # a logarithm of zero would spread as infinity
    log = amplitude.log()
    local = log
    for axis in axes:  # mean of three neighbors on each axis; the spectrum is periodic
        local = (local.roll(1, axis) + local + local.roll(-1, axis)) / 3
    residual = torch.polar((log - local).exp(), spectrum.angle())
    saliency = torch.fft.ifftn(residual, dim=axes).abs() ** 2
    return _blur(saliency, axes)


def _blur(fields: Tensor, axes: tuple[int, ...]) -> Tensor:
    spectrum = torch.fft.fftn(fields, dim=axes)
    for axis in axes:
        length = fields.shape[axis]
        frequency = torch.fft.fftfreq(length, dtype=torch.float64, device=fields.device)
        gain = torch.exp(-2 * (math.pi * _BLUR * length * frequency) ** 2)
        spectrum = spectrum * gain.view([-1 if k == axis else 1 for k in range(fields.ndim)])
    return torch.fft.ifftn(spectrum, dim=axes).real


MIXERS = {"saliencymix": SaliencyMix()}
