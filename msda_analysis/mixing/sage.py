"""SAGE: each pixel of the image that matters more there to the network, after moving the partner to where both matter most."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis.checks import check_count, check_in_range
from msda_analysis.mixing.mixed import Mixed
from msda_analysis.mixing.saliencymix import spectral_residual
from msda_analysis.rng import derive_key, generator_from_key, philox_uniforms, take_key

_TAPS = tuple(math.exp(-(k**2) / 2) for k in range(-2, 3))  # a Gaussian of one pixel, cut at two


@dataclass(frozen=True)
class SAGE:
    """The image and the moved partner weighed by their saliency at each pixel; labels weigh the mean of the weights.

    A pixel weighs the first image by s_a / (s_a + s_b): its saliency, which sums to lambda over the image, and the partner's,
    which sums to 1 - lambda before it is moved, out of the image in part. Of some random translations, that is taken which
    keeps the most saliency. Saliency is the gradient of the cross-entropy of an image's label with respect to its pixels,
    absolute, averaged over channels, smoothed.

    Attributes:
        upper: lambda is uniform on [0, upper], for each image; 0.5 to 0.7 in the paper's runs.
        n_shifts: translations tried for each batch; the paper's runs try one in a hundred, 40 for 32 x 32 pixels.

    Source: Ma et al. 2022 (arXiv 2211.00113) and its code. Differs: lambda is drawn for each image; the network is in
    evaluation mode, and is trained on mixed images alone; saliency is smoothed around the edges; where there is no network,
    it is the spectral residual; any number of dimensions.
    """

    upper: float = 0.6
    n_shifts: int = 40

    def __post_init__(self) -> None:
        check_in_range("upper", self.upper, 0.0, 1.0)
        check_count("n_shifts", self.n_shifts)

    def __call__(
        self, images: Tensor, labels: Tensor, generator: torch.Generator, network: nn.Module | None = None
    ) -> Mixed:
        """Mix images [n, channel, *size]; the network, where there is one, gives logits [n, class] of them."""
        key, n, size = take_key(generator), len(images), tuple(images.shape[2:])
        permutation = torch.randperm(n, generator=generator_from_key(derive_key(key, "pairs"))).to(images.device)
        lam = self.upper * philox_uniforms(derive_key(key, "lam"), n, 1, images.device).float().view(
            n, *[1] * len(size)
        )
        saliency = spectral_residual(images).abs() if network is None else gradient_saliency(network, images, labels)
        own, other = lam * _to_shares(saliency), (1 - lam) * _to_shares(saliency[permutation])
        longest = torch.tensor(size) - 1
        uniform = philox_uniforms(derive_key(key, "shifts"), self.n_shifts, len(size))
        shifts = (torch.floor(uniform * (2 * longest + 1)).long() - longest).tolist()
        best = torch.stack([_kept_saliency(own, _shift(other, shift)) for shift in shifts]).argmax(0).tolist()
        other = torch.stack([_shift(field, shifts[i]) for field, i in zip(other, best, strict=True)])
        moved = torch.stack([_shift(image, shifts[i]) for image, i in zip(images[permutation], best, strict=True)])
        masks = _weights(own, other).to(images.dtype)[:, None]
        kept = masks.flatten(1).mean(1).to(torch.float32)
        return Mixed(torch.lerp(moved, images, masks), labels, labels[permutation], kept, permutation)


def gradient_saliency(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """[n, *size] >= 0 of images [n, channel, *size] and labels, int64 [n] or float [n, class]; see SAGE."""
    with torch.enable_grad():
        given = images.detach().requires_grad_()
        loss = functional.cross_entropy(network(given).float(), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, given)
    saliency = gradient.abs().mean(1).float()
    for axis in range(1, saliency.ndim):
        around = torch.stack([tap * saliency.roll(k, axis) for k, tap in enumerate(_TAPS, -2)])
        saliency = around.sum(0) / sum(_TAPS)
    return saliency


def _to_shares(saliency: Tensor) -> Tensor:
    """Saliency that sums to one over each image; even, where an image has none."""
    total = saliency.flatten(1).sum(1).view(-1, *[1] * (saliency.ndim - 1))
    return torch.where(total > 0, saliency / total, 1 / saliency[0].numel()).float()


def _weights(own: Tensor, other: Tensor) -> Tensor:
    """Weight of the first image; 1 where neither has saliency."""
    return torch.where(own + other > 0, own / (own + other), 1.0)


def _kept_saliency(own: Tensor, other: Tensor) -> Tensor:
    return torch.lerp(other, own, _weights(own, other)).flatten(1).sum(1)


def _shift(field: Tensor, shift: list[int]) -> Tensor:
    """Its last axes moved by so many places, and zeros where nothing moved to."""
    pairs = list(zip(shift, field.shape[-len(shift) :], strict=True))
    moved = torch.zeros_like(field)
    to = tuple(slice(max(by, 0), length + min(by, 0)) for by, length in pairs)
    moved[(..., *to)] = field[(..., *(slice(max(-by, 0), length - max(by, 0)) for by, length in pairs))]
    return moved


MIXERS = {"sage": SAGE()}
