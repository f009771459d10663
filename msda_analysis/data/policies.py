"""Augmentation policies: one pair of operations drawn for each image, AutoAugment's and Fast AutoAugment's for CIFAR-10."""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from msda_analysis.checks import check_pixels
from msda_analysis.rng import take_key

_FILE = Path(__file__).with_name("fast_autoaugment_cifar10.json")


def auto_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """torchvision's AutoAugment with the policies for CIFAR-10, on each image.

    Args:
        images: [n, 1 or 3, height, width] uint8.
        generator: one key is taken from it, by which torch's own generator is seeded meanwhile and then put back.

    Raises:
        TypeError, ValueError: other images.

    Source: Cubuk et al. 2019 (arXiv 1805.09501).
    """
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy

    _check(images)
    transform = AutoAugment(AutoAugmentPolicy.CIFAR10)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(take_key(generator))
        return torch.stack([transform(image) for image in images])


def fast_auto_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """One of the 493 published pairs of operations for each image: each is applied with its probability, at its level.

    Shears, translations and rotations turn their sign with probability one half; what comes in is black.

    Args:
        images: [n, 1 or 3, height, width] uint8.

    Raises:
        TypeError, ValueError: other images.

    Source: Lim et al. 2019 (arXiv 1905.00397), policies found on reduced CIFAR-10. Differs: its own Cutout fills with grey.
    """
    _check(images)
    pairs = _pairs()
    chosen = torch.randint(len(pairs), (len(images),), generator=generator).tolist()
    draws = torch.rand(len(images), 2, 4, generator=generator).tolist()
    return torch.stack([
        _apply_pair(image, pairs[number], drawn) for image, number, drawn in zip(images, chosen, draws, strict=True)
    ])  # fmt: skip


def _apply_pair(image: Tensor, pair: list[Any], drawn: list[list[float]]) -> Tensor:
    """Each operation of a pair with four numbers in [0, 1): whether, which sign, and two for a place."""
    for (name, probability, level), (whether, sign, *place) in zip(pair, drawn, strict=True):
        if whether < probability:
            low, high = _published()["ranges"][name]
            value = low + level * (high - low)
            image = apply_operation(image, name, -value if name in _SIGNED and sign < 0.5 else value, place)
    return image


def apply_operation(image: Tensor, name: str, value: float, place: list[float]) -> Tensor:
    """One operation on one image [channel, height, width] uint8.

    Args:
        name: as in the published policies.
        value: shear as a tangent; translation and Cutout as a share of the side; rotation in degrees; threshold of Solarize;
            bits of Posterize; factor of a color operation, 1 changing nothing.
        place: row and column of Cutout's center, as shares of the sides.
    """
    return _OPERATIONS[name](image, value, place)


def _affine(image: Tensor, value: float, of_shear: tuple[int, int], of_shift: tuple[int, int]) -> Tensor:
    from torchvision.transforms import functional

    side_y, side_x = image.shape[1:]
    degrees = math.degrees(math.atan(value))
    return functional.affine(
        image, angle=0.0, translate=[round(value * side_x) * of_shift[0], round(value * side_y) * of_shift[1]], scale=1.0,
        shear=[degrees * of_shear[0], degrees * of_shear[1]], center=[0, 0],
    )  # fmt: skip


def _by_name(name: str, change: Callable[[float], Any] | None = None) -> Callable[[Tensor, float, Any], Tensor]:
    """A function of torchvision's, which takes the image and perhaps the value."""

    def apply(image: Tensor, value: float, _: Any) -> Tensor:
        from torchvision.transforms import functional

        return getattr(functional, name)(image, *(() if change is None else (change(value),)))

    return apply


def _cut_out(image: Tensor, value: float, place: list[float]) -> Tensor:
    """A square of grey around the place, cut at the border."""
    height, width = image.shape[1:]
    rows = _within(height, value * width, place[0], image.device)
    columns = _within(width, value * width, place[1], image.device)
    return torch.where(rows[:, None] & columns, 125, image)


def _within(length: int, side: float, place: float, device: torch.device) -> Tensor:
    start = max(0.0, place * length - side / 2)
    at = torch.arange(length, device=device)
    return (at >= int(start)) & (at <= int(min(length, start + side)))


_OPERATIONS: dict[str, Callable[[Tensor, float, list[float]], Tensor]] = {
    "ShearX": lambda image, value, _: _affine(image, value, (1, 0), (0, 0)),
    "ShearY": lambda image, value, _: _affine(image, value, (0, 1), (0, 0)),
    "TranslateX": lambda image, value, _: _affine(image, value, (0, 0), (1, 0)),
    "TranslateY": lambda image, value, _: _affine(image, value, (0, 0), (0, 1)),
    "Rotate": _by_name("rotate", float),
    "AutoContrast": _by_name("autocontrast"),
    "Invert": _by_name("invert"),
    "Equalize": _by_name("equalize"),
    "Solarize": _by_name("solarize", lambda value: min(value, 255.0)),
    "Posterize": _by_name("posterize", int),
    "Contrast": _by_name("adjust_contrast", float),
    "Color": _by_name("adjust_saturation", float),
    "Brightness": _by_name("adjust_brightness", float),
    "Sharpness": _by_name("adjust_sharpness", float),
    "Cutout": _cut_out,
}
_SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


@cache
def _published() -> dict[str, Any]:
    return json.loads(_FILE.read_text(encoding="utf-8"))


def _pairs() -> list[Any]:
    return _published()["policies"]


def _check(images: Tensor) -> None:
    check_pixels(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images: policies are for [n, 1 or 3, height, width], got {list(images.shape)}")
