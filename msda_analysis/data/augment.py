"""Ordinary augmentation on whole batches on the device: flip, padded crop, colour jitter; one draw per image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from msda_analysis.rng import stream


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half. Images [n, channel, height, width] of any dtype."""
    chosen = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
    return mirror(images, chosen)


def mirror(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images, [n] bool, left to right."""
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(-1), images)


def mirrored_in(epoch: int, n: int, seed: int) -> Tensor:
    """[n] bool: images of a split that are mirrored in this epoch, a random half in the first and the other in the next.

    Source: Jordan 2024 (arXiv 2404.00498).
    """
    half = torch.randperm(n, generator=stream(seed, "mirror")) % 2
    return half == epoch % 2


def crop(images: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Shift each image by up to `padding` pixels on both axes, zeros coming in, as a crop of a zero-padded image."""
    return _shifted(images, torch.nn.functional.pad(images, (padding,) * 4), generator, padding)


def shift(images: Tensor, generator: torch.Generator, padding: int = 2) -> Tensor:
    """Shift each image by up to `padding` pixels on both axes; what comes in is mirrored at the outermost pixels."""
    padded = torch.nn.functional.pad(images.to(torch.float32), (padding,) * 4, mode="reflect").to(images.dtype)
    return _shifted(images, padded, generator, padding)


def _shifted(images: Tensor, padded: Tensor, generator: torch.Generator, padding: int) -> Tensor:
    n, _, height, width = images.shape
    shift = torch.randint(2 * padding + 1, (2, n), generator=generator).to(images.device)
    rows = (torch.arange(height, device=images.device) + shift[0, :, None]).view(n, 1, height, 1)
    columns = (torch.arange(width, device=images.device) + shift[1, :, None]).view(n, 1, 1, width)
    index = torch.arange(n, device=images.device).view(n, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
    return padded[index, channel, rows, columns]


def cutout(images: Tensor, generator: torch.Generator, mean: Sequence[float], side: int = 16) -> Tensor:
    """Set a square of each image to the data's mean: its center anywhere in the image, cut at the border.

    Args:
        images: [n, channel, height, width] uint8, where the mean is rounded to a pixel, or float in [0, 1].
        mean: per channel, in [0, 1].
        side: of the square in pixels; an even one reaches half its side up and left of the center, and one less down and right.

    Source: DeVries and Taylor 2017 (arXiv 1708.04552).
    """
    n, _, height, width = images.shape
    device = images.device
    rows, columns = (
        torch.randint(length, (n, 1), generator=generator).to(device) - side // 2 for length in (height, width)
    )
    is_row, is_column = (
        (torch.arange(length, device=device) >= start) & (torch.arange(length, device=device) < start + side)
        for length, start in ((height, rows), (width, columns))
    )
    fill = torch.tensor(mean, device=device).view(-1, 1, 1)
    fill = (fill * 255).round().to(torch.uint8) if images.dtype == torch.uint8 else fill.to(images.dtype)
    return torch.where((is_row[:, :, None] & is_column[:, None])[:, None], fill, images)


def jitter(images: Tensor, generator: torch.Generator, strength: float = 0.05) -> Tensor:
    """Brightness, contrast, saturation and hue, each by up to `strength`, in that order; clipped to [0, 1] after each.

    Args:
        images: [n, channel, height, width] uint8 or float in [0, 1]; grey images get brightness and contrast only.

    Returns:
        float32 in [0, 1].

    Source: Harris et al. 2020, analysis code: torchvision's ColorJitter(0.05, 0.05, 0.05, 0.05). Differs: fixed order
    of the four, and hue is turned about the grey axis of RGB instead of through HSV (equal to first order).
    """
    images = images.to(torch.float32) / 255 if images.dtype == torch.uint8 else images
    factors = 1 + strength * (2 * torch.rand(4, len(images), 1, 1, 1, generator=generator) - 1).to(images.device)
    images = (images * factors[0]).clamp(0, 1)
    images = _toward(_luma(images).mean(dim=(2, 3), keepdim=True), images, factors[1])
    if images.shape[1] != 3:
        return images
    images = _toward(_luma(images), images, factors[2])
    return _turn_hue(images, (factors[3].flatten() - 1) * 2 * torch.pi)


def _toward(anchor: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(anchor.expand_as(images), images, factor).clamp(0, 1)


def _luma(images: Tensor) -> Tensor:
    """[n, 1, height, width] brightness with the weights of ITU-R BT.601."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def _turn_hue(images: Tensor, angle: Tensor) -> Tensor:
    """Rotate RGB about the grey axis by angle [n] in radians (Rodrigues' formula)."""
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None] / 3**0.5
    third = images.new_full((3, 3), 1 / 3)
    cross = images.new_tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    turn = cos * torch.eye(3, device=images.device) + (1 - cos) * third + sin * cross  # [n, 3, 3]
    return torch.einsum("nij,njhw->nihw", turn, images).clamp(0, 1)
