"""A dataset in memory: one tensor of images, one of labels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msda_analysis.checks import (
    check_count,
    check_image_batch,
    check_labels,
    check_pixels,
    check_statistics,
    check_unit_range,
)
from msda_analysis.data.arrays import read_items, to_images, to_labels
from msda_analysis.rng import derive_key, generator_from_key

# the constants of the released training code, so that mse and rate are in the paper's units; the true pixel standard
# deviations are about 0.247, 0.243, 0.262
RELEASED_CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one split, in memory or on a device.

    Attributes:
        name: "digits", "cifar10", ..., "folder:NAME".
        split: "train" or "test".
        images: [n, channel, *size], one to three lengths, uint8 or float32 in [0, 1]; pictures are uint8
            [n, channel, height, width].
        labels: int64 [n].
        classes: class names; labels index them.
        mean, std: per channel, in [0, 1] pixel units, of the training split, std above zero; normalize() uses them.

    Raises:
        TypeError: images are neither uint8 nor float32, or labels not int64 [n].
        ValueError: float images outside [0, 1], not one label per image, labels that do not index classes, or mean and std that do not fit.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_images(self.images)
        if not isinstance(self.labels, Tensor) or self.labels.dtype != torch.int64:
            got = self.labels.dtype if isinstance(self.labels, Tensor) else type(self.labels).__name__
            raise TypeError(f"labels: expected an int64 torch.Tensor [n], got {got}; use torch.as_tensor(x).long()")
        check_labels(self.labels, len(self.images), num_classes=len(self.classes))
        check_statistics(self.mean, self.std, self.in_channels)

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        classes: Sequence[str] | None = None,
        *,
        name: str = "arrays",
        split: str = "train",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> "Dataset":
        """A dataset of arrays, which are copied.

        Args:
            images: NumPy array or tensor [n, channel, *size] with one to three lengths, uint8 or floats in [0, 1]. Grey
                pictures [n, height, width] need their channel: images[:, None]. Floats stay float32, unless all are
                exactly pixels divided by 255, which are kept as uint8.
            labels: [n] or [n, 1]: integers that index classes, or names of classes.
            classes: names; None for "0", "1", ... up to the largest label, or for the names found, sorted.
            name, split: as the dataset's attributes.
            mean, std: per channel, in [0, 1] units; None for those of these images. Give a test split those of the
                training split, as load_dataset does.

        Raises:
            TypeError, ValueError: arrays of another kind, shape or range, or labels that do not fit; the message says which.

        >>> Dataset.from_arrays(np.zeros((4, 1, 8), np.uint8), [0, 1, 1, 0]).classes
        ('0', '1')
        """
        pixels = to_images(images)
        indices, names = to_labels(labels, classes)
        found = channel_statistics(pixels)
        means, stds = (found[i] if given is None else tuple(map(float, given)) for i, given in enumerate((mean, std)))
        return cls(name, split, pixels, indices, names, means, stds)

    @classmethod
    def from_torch(
        cls,
        dataset: Any,
        classes: Sequence[str] | None = None,
        *,
        name: str = "torch",
        split: str = "train",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        progress: bool = True,
    ) -> "Dataset":
        """What a torch dataset of (image, label) holds, read once; its random transforms are frozen at their first draw.

        Args:
            dataset: with len() and [i], or iterable. Images are PIL pictures, or arrays and tensors [channel, *size], all
                of one shape.
            classes: names; None takes dataset.classes where there is such a thing.
            progress: a bar on standard error, silent when not a terminal.
            name, split, mean, std: as from_arrays().

        Raises:
            TypeError, ValueError: items that are no such pairs or differ in shape, and as from_arrays().
        """
        images, labels = read_items(dataset, progress)
        names = getattr(dataset, "classes", None) if classes is None else classes
        return cls.from_arrays(images, labels, names, name=name, split=split, mean=mean, std=std)

    @cached_property
    def digest(self) -> str:
        """What tells this content (images, labels, classes, mean, std) from any other, whatever it is called."""
        digest = hashlib.blake2b(digest_size=8)
        for tensor in (self.images, self.labels):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().numpy().ravel().data)
        digest.update(repr((self.classes, self.mean, self.std)).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> tuple[int, ...]:
        """Lengths of the spatial axes in pixels, (height, width) of pictures."""
        return tuple(self.images.shape[2:])

    @property
    def in_channels(self) -> int:
        """Channels per image."""
        return self.images.shape[1]

    def to(self, device: str | torch.device) -> "Dataset":
        """The same dataset on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def normalize(self, images: Tensor, *, validate: bool = True) -> Tensor:
        """(x - mean) / std per channel, of uint8 images or of floats in [0, 1]: float32 of the same shape.

        Args:
            images: [n, channel, *size].
            validate: look at types and values; False saves that where they are known, and a wait on a GPU.

        Raises:
            TypeError: images of another dtype.
            ValueError: another number of channels, or floats outside [0, 1].
        """
        if validate:
            self._check_normalizable(images)
        scale = 255.0 if images.dtype == torch.uint8 else 1.0
        shape = (-1, *[1] * (images.ndim - 2))
        mean = torch.tensor(self.mean, device=images.device).view(shape) * scale
        std = torch.tensor(self.std, device=images.device).view(shape) * scale
        return (images.to(torch.float32) - mean) / std

    def _check_normalizable(self, images: Tensor) -> None:
        is_pixels = isinstance(images, Tensor) and images.dtype == torch.uint8
        check_pixels(images) if is_pixels else check_image_batch(images)
        if images.shape[1] != self.in_channels:
            raise ValueError(
                f"images: expected {self.in_channels} channels, those of {self.name}; got {images.shape[1]}"
            )
        if not is_pixels:
            check_unit_range("images", images)

    def unit_images(self) -> Tensor:
        """float32 images in [0, 1], as attacks expect them; a copy."""
        return self.images / 255 if self.images.dtype == torch.uint8 else self.images.clone()

    def take(self, n: int, *, seed: int = 0, name: str = "train_size") -> "Dataset":
        """A seeded part with the same number of each class, up to one and as far as a class has images.

        The images keep their order, class after class in a folder's: the first few of a part are no part of many classes.
        Errors call `n` by `name`.

        Raises:
            ValueError: n is below 1 or above the number of images.
        """
        check_count(name, n)
        if n > len(self):
            raise ValueError(f"{name}: expected at most {len(self)}, the images of {self.name} {self.split}; got {n}")
        chosen = balanced_indices(self.labels, n, len(self.classes), seed)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 images or of floats in [0, 1], in [0, 1] pixel units.

    Those of uint8 images are exact, from the 256-bin histogram of each channel. A constant channel gets std 1 so that it
    can be divided by.
    """
    if images.dtype != torch.uint8:
        channels = images.transpose(0, 1).flatten(1).double()
        is_constant = (channels == channels[:, :1]).all(1)
        stds = channels.std(1, correction=0).where(~is_constant, 1.0)
        return tuple(channels.mean(1).tolist()), tuple(stds.tolist())
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.bincount(images[:, channel].cpu().numpy().ravel(), minlength=256)
        mean = float((counts * values).sum() / counts.sum())
        std = float(np.sqrt((counts * (values - mean) ** 2).sum() / counts.sum()))
        means.append(mean)
        stds.append(std if np.count_nonzero(counts) > 1 else 1.0)  # rounding hides that a constant has no spread
    return tuple(means), tuple(stds)


def balanced_indices(labels: Tensor, n: int, n_classes: int, seed: int) -> Tensor:
    """Sorted indices of n images, taken class after class in a seeded order, so that class counts differ by one at most."""
    generator = generator_from_key(derive_key(seed, "balanced part"))
    order = torch.randperm(len(labels), generator=generator)
    shuffled = labels.cpu()[order]
    turn = torch.empty(len(labels), dtype=torch.int64)
    for label in range(n_classes):
        of_class = (shuffled == label).nonzero().flatten()
        turn[of_class] = torch.arange(len(of_class))
    return order[torch.argsort(turn, stable=True)[:n]].sort().values.to(labels.device)


def _check_images(images: Tensor) -> None:
    if isinstance(images, Tensor) and images.dtype == torch.float32:
        check_image_batch(images)
        check_unit_range("images", images)
    else:
        check_pixels(images)
