"""The same layers in one, two and three dimensions, by number of spatial axes."""

from typing import Any, NamedTuple

import torch
from torch import nn


class Layers(NamedTuple):
    """Classes of layers for so many axes, and the interpolation that is linear along each.

    Attributes:
        memory_format: in which convolutions are quickest.
    """

    convolution: Any
    normalization: Any
    pooling: Any
    interpolation: str
    memory_format: torch.memory_format


LAYERS = {
    1: Layers(nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, "linear", torch.contiguous_format),
    2: Layers(nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, "bilinear", torch.channels_last),
    3: Layers(nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d, "trilinear", torch.channels_last_3d),
}


def memory_format(axes: int) -> torch.memory_format:
    """The layout of images with so many spatial axes in which networks are quickest."""
    return LAYERS[axes].memory_format


#: Every class of convolution among them.
CONVOLUTIONS = tuple(layers.convolution for layers in LAYERS.values())
