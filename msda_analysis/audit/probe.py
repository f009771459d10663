"""Probe images from which mask and partner of every mixed image can be read, whatever the implementation.

Image i is constant: its channels hold a code a_i, its square, and 1. Where mixing keeps the share m of image i and takes
the rest from image j, the first channel has moved by (1 - m)(a_j - a_i) and the second by (1 - m)(a_j^2 - a_i^2); the
ratio is a_i + a_j, which names the partner, and the first then gives m pixel by pixel. The third channel shows whether
the weights add up to one. What moves pixels around before mixing (resizing, shifting) is invisible to constant images; texture.py
looks at that.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from msda_analysis.audit.subject import Mixer

UNKNOWN = -1  #: partner that cannot be told, or that there is none of

_EXACT = 2e-4  # how far a decoded float32 mask value may be off


class Undecodable(ValueError):
    """The result of an implementation has a form that the audit cannot read."""


@dataclass(frozen=True)
class LabelInfo:
    """What label information says about each mixed image.

    Attributes:
        form: "soft" ([n, classes] weights), "pair" (labels_a, labels_b, coefficient) or "number" (labels averaged).
        weight: [n] label weight of image i's own label (nan for "number").
        partner: [n] int64 index of the other label, UNKNOWN where its weight is zero or it is the own one.
        total: [n] sum of the label weights.
    """

    form: str
    weight: Tensor
    partner: Tensor
    total: Tensor


@dataclass(frozen=True)
class Observation:
    """One mixed batch, decoded.

    Attributes:
        masks: [n, *size] share kept of image i, in [0, 1] up to rounding.
        partner: [n] int64 image mixed in, UNKNOWN where the image came back unchanged.
        is_mix: whether every image is a mix of two images, with weights that add up to one.
        labels: the label information.
    """

    masks: Tensor
    partner: Tensor
    is_mix: bool
    labels: LabelInfo

    @property
    def both_known(self) -> Tensor:
        """[n] bool: both the image and its label name a partner."""
        return (self.partner >= 0) & (self.labels.partner >= 0)

    @property
    def n_wrong_labels(self) -> int:
        """How many labels are another image's than the one mixed in."""
        return int((self.both_known & (self.partner != self.labels.partner)).sum())


def probe_images(n: int, size: tuple[int, ...]) -> Tensor:
    """[n, 3, *size] float32 probe images in [0, 1]."""
    codes = torch.arange(n, dtype=torch.float32) / (n - 1)
    channels = torch.stack([codes, codes**2, torch.ones(n)], 1)
    return channels.view(n, 3, *[1] * len(size)).expand(n, 3, *size).clone()


def observe(mixer: Mixer, n: int, size: tuple[int, ...], num_classes: int) -> Observation:
    """Mix one probe batch with labels 0..n-1 and decode it.

    Raises:
        Undecodable: the result is no pair of mixed images of the same shape and label information.
    """
    images = probe_images(n, size)
    mixed, info = split_result(mixer(images.clone(), torch.arange(n)))
    if mixed.shape != images.shape:
        raise Undecodable(f"expected mixed images of shape {tuple(images.shape)}, got {tuple(mixed.shape)}")
    masks, partner, is_mix = decode_images(mixed.detach().to(torch.float64), n)
    return Observation(masks, partner, is_mix, decode_labels(info, n, num_classes))


def split_result(result: Any) -> tuple[Tensor, Any]:
    """Mixed images, and everything behind them as label information.

    Raises:
        Undecodable: not a sequence that starts with a tensor.
    """
    if not isinstance(result, (tuple, list)) or len(result) < 2 or not isinstance(result[0], Tensor):
        raise Undecodable(f"expected (mixed images, label information), got {type(result).__name__}")
    return result[0], (result[1] if len(result) == 2 else tuple(result[1:]))


def decode_images(mixed: Tensor, n: int) -> tuple[Tensor, Tensor, bool]:
    """Masks [n, *size], partners [n] and whether all is explained by two images each (see the module)."""
    codes = torch.arange(n, dtype=torch.float64) / (n - 1)
    own = codes.view(n, *[1] * (mixed.ndim - 2))
    moved, moved_square = mixed[:, 0] - own, mixed[:, 1] - own**2
    total, total_square = moved.flatten(1).sum(1), moved_square.flatten(1).sum(1)
    changed = moved.flatten(1).abs().amax(1) > 1e-6
    guess = torch.where(changed, total_square / torch.where(changed, total, 1.0) - codes, codes)
    index = torch.round(guess * (n - 1)).to(torch.int64).clamp(0, n - 1)
    partner = torch.where(changed & (index != torch.arange(n)), index, UNKNOWN)
    gap = torch.where(partner >= 0, codes[index] - codes, 1.0).view_as(own)
    masks = torch.where((partner >= 0).view_as(own), 1 - moved / gap, 1.0)
    rest = moved_square - moved * (own + codes[index].view_as(own))
    known = (partner >= 0) | ~changed
    is_mix = bool(known.all() and rest.abs().max() < _EXACT and (mixed[:, 2] - 1).abs().max() < _EXACT)
    return masks, partner, is_mix


def decode_labels(info: Any, n: int, num_classes: int) -> LabelInfo:
    """Label weights from soft labels, (labels_a, labels_b, coefficient) in any of its forms, or averaged numbers.

    Raises:
        Undecodable: another form.
    """
    if isinstance(info, Tensor):
        if info.shape == (n, num_classes):
            return _from_soft(info.detach().to(torch.float64), n)
        if info.shape[-2:] == (n, 3) and info[..., 0].numel() == n:
            a, b, coefficient = info.reshape(n, 3).to(torch.float64).unbind(1)
            return _from_pair(a, b, coefficient, n)
        if info.shape == (n,):
            nothing = torch.full((n,), torch.nan, dtype=torch.float64)
            return LabelInfo("number", nothing, torch.full((n,), UNKNOWN), nothing)
    if isinstance(info, (tuple, list)) and len(info) == 3:
        a, b = (torch.as_tensor(labels).to(torch.float64) for labels in info[:2])
        if a.shape == b.shape == (n,):
            coefficient = torch.as_tensor(info[2], dtype=torch.float64).detach().reshape(-1)
            return _from_pair(a, b, coefficient.expand(n), n)
    shape = tuple(info.shape) if isinstance(info, Tensor) else type(info).__name__
    raise Undecodable(
        f"expected soft labels ({n}, {num_classes}), rows ({n}, 3), or label a, label b and coefficient; got {shape}"
    )


def _from_soft(soft: Tensor, n: int) -> LabelInfo:
    own = torch.arange(n)
    weight = soft[own, own]
    others = soft.clone()
    others[own, own] = 0
    largest, partner = others.max(1)
    return LabelInfo("soft", weight, torch.where(largest > 1e-7, partner, UNKNOWN), soft.sum(1))


def _from_pair(a: Tensor, b: Tensor, coefficient: Tensor, n: int) -> LabelInfo:
    """The coefficient is read as the papers do: the weight of label a."""
    own = torch.arange(n, dtype=torch.float64)
    weight = coefficient * (a == own) + (1 - coefficient) * (b == own)
    other = torch.where(a == own, b, a).to(torch.int64)
    return LabelInfo("pair", weight, torch.where(other != own.to(torch.int64), other, UNKNOWN), torch.ones(n))
