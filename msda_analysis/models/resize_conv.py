"""Resize, then convolve to few channels: the decoder's last step, two thirds of a VAE's training time on a CPU."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional


def resize_convolve(x: Tensor, resize: nn.Upsample, convolution: nn.Conv2d) -> Tensor:
    """convolution(resize(x)), by the cheapest route of the device.

    On a CPU a convolution to three channels leaves most of each vector register empty. There the channels are combined
    first, at the small size, and rows and columns are resized and shifted by two products with fixed matrices: the
    same linear map in another order, equal to rounding. On other devices, and in lower precision, whose rounding would
    touch the resizing weights, it is the two modules one after the other.

    Args:
        x: [n, channel, height, width].
        resize: bilinear, corners not aligned.
        convolution: stride 1, no dilation, one group.

    Returns:
        [n, out channel, height', width'].
    """
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return convolution(resize(x))
    assert isinstance(resize.size, tuple) and isinstance(convolution.padding, tuple)
    n, channels, height, width = x.shape
    out_channels, _, *kernel = convolution.weight.shape
    taps_y, taps_x = kernel
    rows, columns = (
        _resizing_matrix(length, size, taps, padding, x.dtype)
        for length, size, taps, padding in zip((height, width), resize.size, kernel, convolution.padding, strict=True)
    )
    weight = convolution.weight.permute(1, 3, 2, 0).reshape(channels, taps_x * taps_y * out_channels)
    y = x.permute(0, 2, 3, 1).reshape(n * height * width, channels) @ weight
    y = columns @ y.view(n * height, width * taps_x, taps_y * out_channels)
    y = y.view(n, height, len(columns), taps_y, out_channels).transpose(2, 3)
    y = rows @ y.reshape(n, height * taps_y, len(columns) * out_channels)
    y = y.view(n, len(rows), len(columns), out_channels).permute(0, 3, 1, 2)
    return y if convolution.bias is None else y + convolution.bias.view(-1, 1, 1)


@cache
@torch.inference_mode(False)  # kept for later calls, which may want gradients
@torch.no_grad()
def _resizing_matrix(length: int, size: int, taps: int, padding: int, dtype: torch.dtype) -> Tensor:
    """[size + 2 padding - taps + 1, length * taps]: position i of the output, under tap t, looks at resized i + t."""
    resized = functional.interpolate(torch.eye(length, dtype=torch.float64)[None], size=size, mode="linear")[0]
    windows = functional.pad(resized, (padding, padding)).unfold(1, taps, 1)  # [length, output, taps]
    return windows.permute(1, 0, 2).reshape(windows.shape[1], length * taps).to(dtype)
