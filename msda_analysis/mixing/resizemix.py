"""ResizeMix: the partner, made small, pasted somewhere."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from msda_analysis.checks import check_in_range
from msda_analysis.mixing.mixed import Mixed
from msda_analysis.rng import derive_key, generator_from_key, philox_uniforms, take_key

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class ResizeMix:
    """The whole partner, its sides scaled by tau, pasted at a uniform place; labels weigh what areas show.

    Attributes:
        low, high: tau is uniform on [low, high], for each image.

    Source: Qin et al. 2020 (arXiv 2012.11101). Differs: tau and place are drawn for each image; in two dimensions the
    partner is smoothed as it shrinks; any number of dimensions.
    """

    low: float = 0.1
    high: float = 0.8

    def __post_init__(self) -> None:
        check_in_range("low", self.low, 0.0, 1.0)
        check_in_range("high", self.high, self.low, 1.0)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Mixed:
        """Mix images [n, channel, *size]; on a GPU it waits for the places."""
        key, n, size = take_key(generator), len(images), images.shape[2:]
        permutation = torch.randperm(n, generator=generator_from_key(derive_key(key, "pairs")))
        uniform = philox_uniforms(derive_key(key, "patches"), n, 1 + len(size))
        tau = self.low + (self.high - self.low) * uniform[:, :1]
        lengths = torch.tensor(size, dtype=torch.float64)
        sides = torch.round(tau * lengths).clamp(min=1)  # a patch of no pixels would not be one
        starts = torch.floor(uniform[:, 1:] * (lengths - sides + 1))
        mixed = images.clone()
        for i, (partner, side, start) in enumerate(
            zip(permutation.tolist(), sides.long().tolist(), starts.long().tolist(), strict=True)
        ):
            box = (i, slice(None), *(slice(first, first + length) for first, length in zip(start, side, strict=True)))
            mixed[box] = _shrink(images[partner], side)
        lam = (1 - (sides / lengths).prod(1)).to(torch.float32).to(images.device)
        permutation = permutation.to(images.device)
        return Mixed(mixed, labels, labels[permutation], lam, permutation)


def _shrink(image: Tensor, side: list[int]) -> Tensor:
    smooth = len(side) == 2
    return functional.interpolate(
        image[None], size=side, mode=_MODES[len(side)], align_corners=False, antialias=smooth
    )[0]  # fmt: skip


MIXERS = {"resizemix": ResizeMix()}
