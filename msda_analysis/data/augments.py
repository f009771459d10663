"""Ordinary augmentations by name, as settings choose them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from msda_analysis.checks import check_choice
from msda_analysis.data import augment as augmentation
from msda_analysis.data import policies


class Turn(NamedTuple):
    """What an augmentation of a batch may draw from.

    Attributes:
        generator: of this batch.
        is_mirrored: [batch] bool, images whose turn it is to be mirrored.
        mean: [channel], the data's mean in [0, 1].
    """

    generator: torch.Generator
    is_mirrored: Tensor
    mean: Sequence[float]


Augment = Callable[[Tensor, Turn], Tensor]


def _drawn(change: Callable[..., Tensor], **settings: Any) -> Augment:
    """An augmentation whose draws are each batch's own."""
    return lambda images, turn: change(images, turn.generator, **settings)


def _alternate(images: Tensor, turn: Turn) -> Tensor:
    return augmentation.mirror(images, turn.is_mirrored)


def _cutout(images: Tensor, turn: Turn) -> Tensor:
    return augmentation.cutout(images, turn.generator, turn.mean)


_FLIP = _drawn(augmentation.flip)
_AUGMENTS: dict[str, tuple[Augment, ...]] = {
    "none": (),
    "flip": (_FLIP,),
    "crop_flip": (_drawn(augmentation.crop), _FLIP),
    "crop": (_drawn(augmentation.crop, padding=2),),
    "jitter_flip": (_drawn(augmentation.jitter), _FLIP),
    "shift": (_drawn(augmentation.shift),),
    "shift_flip": (_drawn(augmentation.shift), _alternate),
    "cutout": (_cutout,),
    "autoaugment": (_drawn(policies.auto_augment),),
    "fast_autoaugment": (_drawn(policies.fast_auto_augment),),
}
#: Ordinary augmentations by name: "crop_flip" pads by 4, "crop" by 2 without flips (digits), "jitter_flip" is the VAEs',
#: "shift" shifts by 2 with reflection, "shift_flip" then mirrors each image in every other epoch, "cutout" is a square of 16 pixels.
AUGMENTS = tuple(_AUGMENTS)


def find_augment(text: str) -> tuple[Augment, ...]:
    """What is done to a batch, in order, by a name of AUGMENTS or several joined by "+".

    Raises:
        ValueError: an unknown name.
    """
    names = text.split("+") if isinstance(text, str) else [text]
    for name in names:
        check_choice("augment", name, AUGMENTS)
    return tuple(change for name in names for change in _AUGMENTS[name])
