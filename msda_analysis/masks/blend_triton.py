"""Mixing on a GPU: mixing.blend in one Triton kernel, each mixed value written once.

Shown equal to the reference through Triton's interpreter; not measured on a GPU.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


def blend(images: Tensor, permutation: Tensor, masks: Tensor, out: Tensor | None = None, block: int = 1024) -> Tensor:
    """mixing.blend for contiguous images; masks may repeat one value per image in memory.

    Args:
        images: [n, channel, *size].
        permutation: [n] int64 on the images' device.
        masks: [n, 1, *size].
    """
    n, channels = images.shape[:2]
    cells = images[0, 0].numel()
    out = torch.empty_like(images) if out is None else out
    is_constant = all(stride == 0 for stride in masks.stride()[2:])
    masks = masks[(slice(None), slice(None), *[slice(0, 1)] * (masks.ndim - 2))] if is_constant else masks.contiguous()
    steps = masks.stride(0), 0 if is_constant else 1
    wide = tl.float64 if images.dtype == torch.float64 else tl.float32
    grid = (n, triton.cdiv(cells, block))
    _blend_kernel[grid](images, permutation, masks, out, channels, cells, *steps, BLOCK=block, WIDE=wide)
    return out


@triton.jit
def _blend_kernel(
    images, permutation, masks, out, channels, cells, mask_step, cell_step, BLOCK: tl.constexpr, WIDE: tl.constexpr
):  # fmt: skip
    """mixing.blend; a mask is read once for all channels. Arithmetic is at least float32."""
    i = tl.program_id(0).to(tl.int64)
    partner = tl.load(permutation + i)
    cell = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    exists = cell < cells
    mask = tl.load(masks + i * mask_step + cell * cell_step, mask=exists, other=0.0).to(WIDE)
    for channel in range(channels):
        first = tl.load(images + (i * channels + channel) * cells + cell, mask=exists, other=0.0)
        second = tl.load(images + (partner * channels + channel) * cells + cell, mask=exists, other=0.0)
        mixed = second.to(WIDE) + mask * (first.to(WIDE) - second.to(WIDE))
        mixed = tl.where(mask == 1.0, first.to(WIDE), mixed)  # a mask of one keeps the first image to the last bit
        tl.store(out + (i * channels + channel) * cells + cell, mixed.to(first.dtype), mask=exists)
