"""Batches from a dataset that is already in memory: no worker processes, images stay uint8 until used."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from msda_analysis.checks import check_count
from msda_analysis.data.augment import mirrored_in
from msda_analysis.data.augments import Turn, find_augment
from msda_analysis.data.datasets import Dataset
from msda_analysis.rng import stream


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
        augment: one of AUGMENTS, or several joined by "+" in their order; applied before mixing.

    Raises:
        ValueError: bad batch size or augmentation name, a dataset of fewer than two images, or one that is to be
            augmented and whose images do not have a height and a width.
    """
    check_count("batch_size", batch_size, minimum=2)
    changes = find_augment(augment)
    if len(dataset) < 2:
        raise ValueError(f"dataset: expected at least 2 images to train on, got {len(dataset)}")
    if changes and dataset.images.ndim != 4:
        raise ValueError(
            f"augment: expected 'none' for images that are not [n, channel, height, width], got {augment!r} "
            f"and images {list(dataset.images.shape)}"
        )
    order = torch.randperm(len(dataset), generator=stream(seed, "order", epoch=epoch, rank=rank))
    order = order.to(dataset.images.device)
    is_mirrored = mirrored_in(epoch, len(dataset), seed).to(dataset.images.device)
    for step in range(max(1, len(dataset) // batch_size)):
        chosen = order[step * batch_size : (step + 1) * batch_size]
        images = dataset.images[chosen]
        if changes:
            generator = stream(seed, "augment", epoch=epoch, step=step, rank=rank)
            turn = Turn(generator, is_mirrored[chosen], dataset.mean)
            for change in changes:
                images = change(images, turn)
        yield Batch(dataset.normalize(images, validate=False), dataset.labels[chosen], step)
