"""Given pairs of images, mixed by whatever mixes: for pictures of what an augmentation does."""

import torch
from torch import Tensor

from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.registry import Alternate
from msda_analysis.masks.sampling import sample_masks
from msda_analysis.mixing.mixer import Augmentation, run_mixer
from msda_analysis.rng import stream

_TRIES = 64  # calls of a mixer that pairs at random, until it mixes the two images of a batch with each other


def mix_pairs(first: Tensor, second: Tensor, augmentation: Augmentation, *, seed: int = 0) -> Tensor:
    """Image i of `first` mixed with image i of `second`.

    A family's masks are those of sample_masks with stream(seed, "pictures"). A mixer pairs by itself: it is given both images
    of a pair as a batch, again until it mixes the one into the other.

    Args:
        first, second: [n, channel, *size] float, of one shape.
        augmentation: a mask family or a mixer; of an Alternate, its parts are what can be shown.

    Raises:
        TypeError: an Alternate.
        ValueError: a mixer that leaves the images of such batches unmixed.
    """
    if isinstance(augmentation, Alternate):
        raise TypeError("augmentation: expected a mask family or a mixer, got an Alternate; show each of its families")
    if isinstance(augmentation, MaskFamily):
        masks = sample_masks(augmentation, len(first), tuple(first.shape[2:]), generator=stream(seed, "pictures")).masks
        return torch.lerp(second, first, masks)
    return torch.stack(
        [_mix_pair(torch.stack(pair), augmentation, seed, i) for i, pair in enumerate(zip(first, second, strict=True))]
    )


def _mix_pair(pair: Tensor, mixer: Augmentation, seed: int, number: int) -> Tensor:
    labels = torch.arange(2)
    for step in range(_TRIES):
        mixed = run_mixer(mixer, pair, labels, stream(seed, "pictures", epoch=number, step=step))  # type: ignore[arg-type]
        if not torch.equal(mixed.images[0], pair[0]):
            return mixed.images[0]
    raise ValueError(
        f"augmentation: expected {mixer!r} to mix two images with each other, got them unmixed {_TRIES} times"
    )
