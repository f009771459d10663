"""Datasets as one uint8 tensor: torchvision's, scikit-learn's digits, any folder of images."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msda_analysis.checks import (
    check_choice,
    check_count,
    check_image_batch,
    check_labels,
    check_pixels,
    check_statistics,
    check_unit_range,
)
from msda_analysis.data.folder import load_folder
from msda_analysis.rng import derive_key, generator_from_key

#: Names that load_dataset knows, besides "folder:PATH".
NAMES = ("digits", "cifar10", "cifar100", "fashion_mnist")
SPLITS = ("train", "test")
_DIGITS_TEST = 297
# the constants of the released training code, so that mse and rate are in the paper's units; the true pixel standard
# deviations are about 0.247, 0.243, 0.262
RELEASED_CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one split, in memory or on a device.

    Attributes:
        name: "digits", "cifar10", ..., "folder:NAME".
        split: "train" or "test".
        images: uint8 [n, channel, *size], one to three lengths; files and torchvision give [n, channel, height, width].
        labels: int64 [n].
        classes: class names; labels index them.
        mean, std: per channel, in [0, 1] pixel units, of the training split, std above zero; normalize() uses them.

    Raises:
        TypeError: images are not uint8 pixels, or labels not int64 [n].
        ValueError: not one label per image, labels that do not index classes, or mean and std that do not fit.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        check_pixels(self.images)
        if not isinstance(self.labels, Tensor) or self.labels.dtype != torch.int64:
            got = self.labels.dtype if isinstance(self.labels, Tensor) else type(self.labels).__name__
            raise TypeError(f"labels: expected an int64 torch.Tensor [n], got {got}; use torch.as_tensor(x).long()")
        check_labels(self.labels, len(self.images), num_classes=len(self.classes))
        check_statistics(self.mean, self.std, self.in_channels)

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
        """float32 images in [0, 1], as attacks expect them."""
        return self.images.to(torch.float32) / 255

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


def load_dataset(
    name: str,
    split: str = "train",
    root: str | Path | None = None,
    *,
    train_size: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Dataset:
    """Load one split of a dataset.

    Args:
        name: "digits" (1,797 handwritten digits shipped with scikit-learn, resized to 32x32, works offline),
            "cifar10", "cifar100", "fashion_mnist" (downloaded on first use), or "folder:PATH" with
            PATH/train/CLASS/* and PATH/test/CLASS/*.
        split: "train" or "test".
        root: where downloads and the cache of decoded folders live; ~/.cache/msda_analysis if None.
        train_size: keep a seeded, class-balanced part of the training split; the test split is always whole.
        seed: of that part.
        progress: show bars on what takes time; silent when not a terminal.

    Returns:
        Dataset with uint8 images; mean and std are those of the whole training split (CIFAR: the released constants).

    Raises:
        ValueError: unknown name or split, a bad train_size, or a folder that is not laid out as above.
        FileNotFoundError: the files are neither there nor can be downloaded; the message says where to put them.
    """
    check_choice("split", split, SPLITS)
    root = Path(root).expanduser() if root is not None else Path.home() / ".cache" / "msda_analysis"
    if name.startswith("folder:"):
        dataset = _load_folder(name.removeprefix("folder:"), split, root, progress)
    elif name == "digits":
        dataset = _load_digits(split)
    elif name in NAMES:
        dataset = _load_torchvision(name, split, root)
    else:
        raise ValueError(f"dataset: expected one of {', '.join(NAMES)} or folder:PATH; got {name!r}")
    if train_size is not None and split == "train":
        return dataset.take(train_size, seed=seed)
    return dataset


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 images, in [0, 1] pixel units.

    Exact, from the 256-bin histogram of each channel. A constant channel gets std 1 so that it can be divided by.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.bincount(images[:, channel].cpu().numpy().ravel(), minlength=256)
        mean = float((counts * values).sum() / counts.sum())
        std = float(np.sqrt((counts * (values - mean) ** 2).sum() / counts.sum()))
        means.append(mean)
        stds.append(std if np.count_nonzero(counts) > 1 else 1.0)  # rounding hides that a constant has no spread
    return tuple(means), tuple(stds)


def _load_digits(split: str) -> Dataset:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    small = torch.from_numpy(bunch.images).to(torch.float32).unsqueeze(1) / 16  # 17 grey levels
    check_image_batch(small)
    large = torch.nn.functional.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    images, labels = (large * 255).round().to(torch.uint8), torch.from_numpy(bunch.target).to(torch.int64)
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    is_test[balanced_indices(labels, _DIGITS_TEST, 10, seed=0)] = True
    mean, std = channel_statistics(images[~is_test])
    chosen = is_test if split == "test" else ~is_test
    return Dataset("digits", split, images[chosen], labels[chosen], tuple("0123456789"), mean, std)


def _load_torchvision(name: str, split: str, root: Path) -> Dataset:
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "fashion_mnist": datasets.FashionMNIST}[name]
    source = _open_or_download(kind, name, split == "train", root)
    images, labels = _tensors(source)
    if name.startswith("cifar"):
        mean, std = RELEASED_CIFAR
    else:
        whole = images if split == "train" else _tensors(_open_or_download(kind, name, True, root))[0]
        mean, std = channel_statistics(whole)
    return Dataset(name, split, images, labels, tuple(source.classes), mean, std)


def _open_or_download(kind, name: str, train: bool, root: Path):
    try:
        return kind(root, train=train, download=False)
    except RuntimeError:
        pass  # torchvision's word for "not there, or damaged"
    try:
        return kind(root, train=train, download=True)
    except (RuntimeError, OSError) as error:  # URLError is an OSError
        place = root / ("FashionMNIST/raw" if name == "fashion_mnist" else kind.base_folder)
        raise FileNotFoundError(
            f"dataset {name}: no files under {place}, and the download failed ({error}). "
            f"Put torchvision's files there, or name their folder with root= (--root)"
        ) from error


def _tensors(source) -> tuple[Tensor, Tensor]:
    images = torch.as_tensor(source.data)
    # grey datasets come without a channel axis, colour ones with it last
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return images.contiguous(), torch.as_tensor(source.targets, dtype=torch.int64)


def _load_folder(path: str, split: str, root: Path, progress: bool) -> Dataset:
    folder = Path(path).expanduser()
    images, labels, classes = load_folder(folder, split, root, progress=progress)
    whole = images if split == "train" else load_folder(folder, "train", root, progress=progress)[0]
    mean, std = channel_statistics(whole)
    return Dataset(f"folder:{folder.absolute().name}", split, images, labels, classes, mean, std)


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
