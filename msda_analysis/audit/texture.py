"""Textured probe images, which show whether every pixel comes from its own place.

Constant images cannot: what moves pixels around before mixing looks the same. Here every pixel of every image has a color
of its own, three random numbers, so that m * a + (1 - m) * b with one m for the three channels holds for the right
partner only, and only if both images lie where they were.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from msda_analysis.audit.probe import decode_images, probe_images
from msda_analysis.audit.subject import Mixer, Trial
from msda_analysis.mixing.seeds import global_seeds
from msda_analysis.rng import stream

_N_COMPARED = 4  # batches of constant and of textured images with the same seeds
_EXACT, _LOOSE = 1e-4, 1e-2  # of mask values; colors that happen to be alike tell a mask less exactly


@dataclass(frozen=True)
class Textured:
    """One mixed batch of textured images, decoded.

    Attributes:
        masks: [n, *size] share kept of image i that explains each pixel best, 1 where an image came back unchanged.
        partner: [n] int64 image that explains the rest best; the image itself where it came back unchanged.
        misfit: [n] largest difference of a channel from that explanation.
        untouched: [n, *size] bool: pixels that are those of image i, in all channels.
    """

    masks: Tensor
    partner: Tensor
    misfit: Tensor
    untouched: Tensor


def texture_images(n: int, size: tuple[int, ...], number: int) -> Tensor:
    """[n, 3, *size] float32 uniform in [0, 1]; another batch for every number."""
    return torch.rand(n, 3, *size, generator=stream(0, "audit texture", step=number))


def observe_texture(mixer: Mixer, n: int, size: tuple[int, ...], number: int) -> Textured:
    """Mix one batch of textured images with labels 0..n-1 and decode it."""
    images = texture_images(n, size, number)
    mixed = mixer(images.clone(), torch.arange(n))[0].detach()
    return decode_texture(mixed.to(torch.float64), images.to(torch.float64))


def decode_texture(mixed: Tensor, images: Tensor) -> Textured:
    """Masks and partners that explain a batch best, by least squares over the channels of every pixel."""
    n, found = len(images), []
    for i in range(n):
        untouched = (mixed[i] - images[i]).abs().amax(0) < 1e-6
        if bool(untouched.all()):
            found.append((torch.ones_like(mixed[i, 0]), i, 0.0, untouched))
            continue
        gap = images[i] - images  # [n, 3, *size]; zero for j = i
        rest = mixed[i] - images
        masks = (rest * gap).sum(1) / (gap * gap).sum(1).clamp(min=1e-12)
        misfit = (rest - masks[:, None] * gap).abs().flatten(1)
        misfit[i] = torch.inf
        partner = int(misfit.mean(1).argmin())
        found.append((masks[partner], partner, float(misfit[partner].max()), untouched))
    masks, partners, misfits, untouched = zip(*found, strict=True)
    return Textured(
        torch.stack(masks), torch.tensor(partners), torch.tensor(misfits, dtype=torch.float64), torch.stack(untouched)
    )


def looks_at_images(trial: Trial) -> bool:
    """Whether masks depend on what images show: with the same seeds, constant and textured images keep other pixels.

    False, too, where a fresh mixer does not repeat itself, so that nothing can be told.
    """
    n, size = trial.num_classes, trial.size

    def run(images: Callable[[int], Tensor]) -> list[Tensor]:
        with global_seeds(trial.seed):
            mixer = trial.make()
            return [mixer(images(k).clone(), torch.arange(n))[0].detach() for k in range(_N_COMPARED)]

    constant, again = (run(lambda k: probe_images(n, size)) for _ in range(2))
    if not all(torch.equal(a, b) for a, b in zip(constant, again, strict=True)):
        return False
    for k, (plain, textured) in enumerate(zip(constant, run(lambda k: texture_images(n, size, k)), strict=True)):
        masks, partner, _ = decode_images(plain.to(torch.float64), n)
        found = decode_texture(textured.to(torch.float64), texture_images(n, size, k).to(torch.float64))
        told = partner >= 0
        explained = told & (found.misfit < _EXACT) & (found.partner == partner)
        differs = ((masks > 1 - _EXACT) != found.untouched)[told]
        if differs.any() or (explained.any() and float((masks - found.masks)[explained].abs().max()) > _LOOSE):
            return True
    return False
