"""scikit-learn's digits, and torchvision's datasets as their files are."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from msda_analysis.checks import check_count, check_image_batch
from msda_analysis.data.datasets import RELEASED_CIFAR, Dataset, balanced_indices, channel_statistics

_DIGITS_TEST = 297


def load_digits(split: str, root: Path, *, side: int = 32) -> Dataset:
    """1,797 handwritten digits shipped with scikit-learn, of 8x8 pixels, resized to side x side.

    Raises:
        ValueError: a side below 8.
    """
    del root
    check_count("side", side, minimum=8)
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    small = torch.from_numpy(bunch.images).to(torch.float32).unsqueeze(1) / 16  # 17 grey levels
    check_image_batch(small)
    large = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear", align_corners=False)
    images, labels = (large * 255).round().to(torch.uint8), torch.from_numpy(bunch.target).to(torch.int64)
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    is_test[balanced_indices(labels, _DIGITS_TEST, 10, seed=0)] = True
    mean, std = channel_statistics(images[~is_test])
    chosen = is_test if split == "test" else ~is_test
    return Dataset("digits", split, images[chosen], labels[chosen], tuple("0123456789"), mean, std)


def load_torchvision(name: str, split: str, root: Path) -> Dataset:
    """The datasets "cifar10", "cifar100" or "fashion_mnist", downloaded under `root` on first use."""
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


LOADERS = {"digits": load_digits} | {
    name: partial(load_torchvision, name) for name in ("cifar10", "cifar100", "fashion_mnist")
}
