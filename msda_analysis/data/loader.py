"""Batches from a dataset that is already in memory: no worker processes, images stay uint8 until used."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from msda_analysis.checks import check_choice, check_count
from msda_analysis.data import augment as augmentation
from msda_analysis.data.datasets import Dataset
from msda_analysis.rng import stream


class Turn(NamedTuple):
    """What an augmentation of a batch may draw from.

    Attributes:
        generator: of this batch.
        is_mirrored: [batch] bool, images whose turn it is to be mirrored.
    """

    generator: torch.Generator
    is_mirrored: Tensor


_Augment = Callable[[Tensor, Turn], Tensor]


def _drawn(change: Callable[..., Tensor], **settings: Any) -> _Augment:
    """An augmentation whose draws are each batch's own."""
    return lambda images, turn: change(images, turn.generator, **settings)


def _alternate(images: Tensor, turn: Turn) -> Tensor:
    return augmentation.mirror(images, turn.is_mirrored)


_FLIP = _drawn(augmentation.flip)
_AUGMENTS: dict[str, tuple[_Augment, ...]] = {
    "none": (),
    "flip": (_FLIP,),
    "crop_flip": (_drawn(augmentation.crop), _FLIP),
    "crop": (_drawn(augmentation.crop, padding=2),),
    "jitter_flip": (_drawn(augmentation.jitter), _FLIP),
    "shift_flip": (_drawn(augmentation.shift), _alternate),
}
#: Ordinary augmentations by name: "crop_flip" pads by 4, "crop" by 2 without flips (digits), "jitter_flip" is the VAEs',
#: "shift_flip" shifts by 2 with reflection and mirrors each image in every other epoch.
AUGMENTS = tuple(_AUGMENTS)


class Batch(NamedTuple):
    """One training batch: normalized float images, labels, and its number within the epoch."""

    images: Tensor
    labels: Tensor
    step: int


def iterate_batches(
    dataset: Dataset, batch_size: int, *, seed: int, epoch: int = 0, augment: str = "none", rank: int = 0
) -> Iterator[Batch]:
    """One shuffled epoch. Order and augmentation are functions of (seed, epoch, step, rank) alone.

    The last batch is dropped when it is not full, unless it is the only one.

    Args:
        dataset: on the device where the batches are wanted.
        augment: one of AUGMENTS, applied before mixing.

    Raises:
        ValueError: bad batch size or augmentation name, a dataset of fewer than two images, or one that is to be
            augmented and whose images do not have a height and a width.
    """
    check_count("batch_size", batch_size, minimum=2)
    check_choice("augment", augment, AUGMENTS)
    if len(dataset) < 2:
        raise ValueError(f"dataset: expected at least 2 images to train on, got {len(dataset)}")
    if _AUGMENTS[augment] and dataset.images.ndim != 4:
        raise ValueError(
            f"augment: expected 'none' for images that are not [n, channel, height, width], got {augment!r} "
            f"and images {list(dataset.images.shape)}"
        )
    order = torch.randperm(len(dataset), generator=stream(seed, "order", epoch=epoch, rank=rank))
    order = order.to(dataset.images.device)
    is_mirrored = augmentation.mirrored_in(epoch, len(dataset), seed).to(dataset.images.device)
    for step in range(max(1, len(dataset) // batch_size)):
        chosen = order[step * batch_size : (step + 1) * batch_size]
        images = dataset.images[chosen]
        if _AUGMENTS[augment]:
            turn = Turn(stream(seed, "augment", epoch=epoch, step=step, rank=rank), is_mirrored[chosen])
            for change in _AUGMENTS[augment]:
                images = change(images, turn)
        yield Batch(dataset.normalize(images, validate=False), dataset.labels[chosen], step)
