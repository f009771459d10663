"""Argument checks: the one place that words such errors (which argument, what was expected, what came, what to do)."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise ValueError listing the valid choices unless `value` is one of them."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}; got {value!r}")


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number above zero."""
    if not _is_number(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name}: expected a finite number > 0, got {value!r}")


def check_in_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless low <= value <= high (NaN fails)."""
    if not _is_number(value) or not low <= value <= high:
        raise ValueError(f"{name}: expected a number in [{low}, {high}], got {value!r}")


def check_count(name: str, value: int, minimum: int = 1) -> None:
    """Raise ValueError unless `value` is an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name}: expected an integer >= {minimum}, got {value!r}")


def check_size(name: str, size: tuple[int, ...]) -> None:
    """Raise ValueError unless `size` holds one, two or three lengths of at least 1."""
    if not isinstance(size, (tuple, list, torch.Size)) or len(size) not in (1, 2, 3):
        raise ValueError(f"{name}: expected 1, 2 or 3 lengths such as (32, 32), got {size!r}")
    for length in size:
        check_count(f"{name} {tuple(size)!r}", length)


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise ValueError when a floating tensor holds NaN or infinity, saying how many and where the first one is."""
    # a finite sum proves that all are finite (one pass); a non-finite one may be mere overflow, so look closer
    if not tensor.is_floating_point() or math.isfinite(float(tensor.detach().sum())):
        return
    bad = ~torch.isfinite(tensor)
    if bad.any():
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise ValueError(f"{name}: expected finite values, got {int(bad.sum())} NaN or infinite, the first at {first}")


def check_image_batch(images: Tensor, *, minimum: int = 1, name: str = "images") -> None:
    """Raise unless `images` is a float batch [n, channel, 1 to 3 lengths] of at least `minimum` samples.

    Values are not looked at here: that would make a GPU wait; see check_finite.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(images).__name__}")
    if images.ndim not in (3, 4, 5):
        raise ValueError(
            f"{name}: expected [n, channel, length], [n, channel, height, width] or [n, channel, depth, height, width], "
            f"got shape {tuple(images.shape)}"
        )
    if not images.is_floating_point():
        raise TypeError(f"{name}: expected a floating dtype, got {images.dtype}; convert with images.float() / 255")
    if images.shape[0] < minimum:
        raise ValueError(f"{name}: expected at least {minimum} samples, got {images.shape[0]}")
    if 0 in images.shape:
        raise ValueError(f"{name}: expected no empty axis, got shape {tuple(images.shape)}")


def check_pixels(images: Tensor, *, name: str = "images") -> None:
    """Raise unless `images` is a uint8 batch [n, channel, 1 to 3 lengths]; n may be 0."""
    if not isinstance(images, Tensor):
        raise TypeError(f"{name}: expected a uint8 torch.Tensor, got {type(images).__name__}; use torch.from_numpy")
    if images.dtype != torch.uint8:
        raise TypeError(
            f"{name}: expected uint8 pixels in 0..255, got {images.dtype}; "
            f"convert with (x * 255).round().to(torch.uint8) from [0, 1], or x.round().to(torch.uint8) from 0..255"
        )
    if images.ndim not in (3, 4, 5) or 0 in images.shape[1:]:
        raise ValueError(
            f"{name}: expected [n, channel, *size] with one to three lengths of at least 1, got {list(images.shape)}"
        )


def check_sides(images: Tensor, minimum: int, *, model: str, axes: int = 2) -> None:
    """Raise ValueError unless `images` is [n, channel, *size] of so many axes with sides of at least `minimum` pixels."""
    if images.ndim != 2 + axes or min(images.shape[2:]) < minimum:
        form = {1: "length", 2: "height, width", 3: "depth, height, width"}[axes]
        raise ValueError(
            f"images: {model} expects [n, channel, {form}] with at least {minimum} pixels on each side, "
            f"got {list(images.shape)}; enlarge the images, or take another model"
        )


def check_statistics(mean: Sequence[float], std: Sequence[float], channels: int | None = None) -> None:
    """Raise ValueError unless mean and std hold one finite number per channel each, and every std is above zero."""
    if len(mean) != len(std) or len(mean) != (channels or len(mean) or 1):
        wanted = f", {channels} as the images [n, channel, *size] have" if channels else ""
        raise ValueError(f"mean, std: expected one number per channel in each{wanted}, got {len(mean)} and {len(std)}")
    for value in std:
        check_positive("std", value)
    check_finite("mean", torch.tensor(mean, device="cpu"))


def check_unit_range(name: str, images: Tensor) -> None:
    """Raise ValueError unless every value lies in [0, 1]."""
    check_finite(name, images)
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise ValueError(
            f"{name}: expected values in [0, 1], got [{low:.4g}, {high:.4g}]; "
            "give raw pixels divided by 255 and not normalized"
        )


def check_labels(labels: Tensor, n: int, *, num_classes: int | None = None, name: str = "labels") -> None:
    """Raise unless `labels` is int64 [n] (in 0..num_classes-1 if given) or float [n, classes].

    The range of integer labels is looked at only when `num_classes` is given.
    """
    if not isinstance(labels, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(labels).__name__}")
    is_index = labels.ndim == 1 and labels.dtype == torch.int64
    is_soft = labels.ndim == 2 and labels.is_floating_point()
    if not (is_index or is_soft):
        raise TypeError(
            f"{name}: expected int64 [n] or float [n, classes], got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    if labels.shape[0] != n:
        raise ValueError(f"{name}: expected {n} labels, one per image, got {labels.shape[0]}")
    if num_classes is None:
        return
    if is_soft and labels.shape[1] != num_classes:
        raise ValueError(f"{name}: expected {num_classes} columns, one per class, got {labels.shape[1]}")
    if is_index and n:
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= num_classes:
            raise ValueError(f"{name}: expected classes in 0..{num_classes - 1}, got {low}..{high}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
