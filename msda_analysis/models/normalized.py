"""Normalization as part of the model, so that everything outside speaks of pixels in [0, 1]."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from msda_analysis import checks


class Normalized(nn.Module):
    """A network on images in [0, 1]: network((x - mean) / std).

    Args:
        network: takes normalized images.
        mean, std: one number per channel, in [0, 1] pixel units; std above zero.

    Raises:
        ValueError: mean and std differ in length, or a value is out of range.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        super().__init__()
        means, stds = [float(value) for value in mean], [float(value) for value in std]
        checks.check_statistics(means, stds)
        self.network = network
        self.register_buffer("mean", torch.tensor(means).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(stds).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """The network's output for images [n, channel, *size] in [0, 1], of one to three lengths.

        Raises:
            ValueError: the images have another number of channels.
        """
        if images.ndim not in (3, 4, 5) or images.shape[1] != len(self.mean):
            raise ValueError(
                f"images: expected [n, {len(self.mean)}, *size] to match mean and std, got {list(images.shape)}"
            )
        shape = (-1, *[1] * (images.ndim - 2))
        return self.network((images - self.mean.view(shape)) / self.std.view(shape))
