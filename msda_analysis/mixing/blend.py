"""m * x + (1 - m) * x[permutation], by the quickest way on the device."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from msda_analysis.masks.blocks import empty_on_cpu, run_on_threads
from msda_analysis.masks.draws import has_triton

_LARGE_IMAGE = 1 << 15  # values from which reading a partner where it lies beats a copy of it in the cache
#: Values mixed at once: a block of partners stays in the cache, and starting a thread for it pays.
_BLOCK_VALUES = 1 << 20


def blend(images: Tensor, permutation: Tensor, masks: Tensor, *, out: Tensor | None = None) -> Tensor:
    """m * x + (1 - m) * x[permutation].

    On a CPU and without gradients it works in blocks that fit the cache. Large images are read twice and written once.
    Small ones are gathered first, then blended in place, two operations: one for each would cost more in calls. One
    pass takes a compiler: torch.compile of torch.lerp(images[permutation], images, masks).

    Args:
        images: [n, channel, *size]; the result has their memory format.
        permutation: [n] int64.
        masks: [n, 1, *size] in [0, 1]; where images have more axes, those before `size` share a mask.
        out: where to write, like the images but other memory. Using one buffer again saves the system's work of
            handing out fresh memory, which for large batches costs as much as mixing.

    Raises:
        ValueError: `out` differs from the images in shape, dtype, device or memory format, or is the images.
    """
    return blend_and_look(images, permutation, masks, out, look=False)[0]


def blend_and_look(
    images: Tensor, permutation: Tensor, masks: Tensor, out: Tensor | None, *, look: bool
) -> tuple[Tensor, bool]:
    """blend(), and whether the mixed batch is finite (where asked to look)."""
    layout = _memory_format(images)
    if out is not None:
        _check_out(out, images, layout)
    if layout != torch.contiguous_format:
        mixed, is_finite = blend_and_look(images.contiguous(), permutation, masks, None, look=look)
        return (mixed.contiguous(memory_format=layout) if out is None else out.copy_(mixed)), is_finite
    if masks.ndim < images.ndim:
        last = images.ndim - masks.ndim + 1  # of the axes that share a mask
        flat = None if out is None else out.flatten(1, last)
        mixed, is_finite = blend_and_look(images.flatten(1, last), permutation, masks, flat, look=look)
        return (mixed.view(images.shape) if out is None else out), is_finite
    masks = masks.to(images.dtype)
    if images.device.type == "cpu" and not images.requires_grad:
        mixed = empty_on_cpu(*images.shape, dtype=images.dtype) if out is None else out
        return mixed, _blend_in_blocks(images.contiguous(), permutation, masks, mixed, look)
    if images.device.type == "cuda" and not images.requires_grad and has_triton():
        from msda_analysis.masks import blend_triton  # only where it is used: importing Triton takes a second

        mixed = blend_triton.blend(images.contiguous(), permutation, masks, out)
    else:
        mixed = torch.lerp(images[permutation], images, masks, out=out)
    return mixed, not look or math.isfinite(float(mixed.detach().sum()))


def _memory_format(images: Tensor) -> torch.memory_format:
    """channels_last or channels_last_3d where the images lie so and not otherwise too."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if (
        images.ndim in formats
        and not images.is_contiguous()
        and images.is_contiguous(memory_format=formats[images.ndim])
    ):
        return formats[images.ndim]
    return torch.contiguous_format


def _check_out(out: Tensor, images: Tensor, layout: torch.memory_format) -> None:
    same = (out.shape, out.dtype, out.device) == (images.shape, images.dtype, images.device)
    if not same or not out.is_contiguous(memory_format=layout):
        name = {torch.contiguous_format: "contiguous"}.get(layout, "channels-last")
        raise ValueError(
            f"out: expected a {name} {images.dtype} tensor of shape {tuple(images.shape)} on {images.device}, got "
            f"{out.dtype} of shape {tuple(out.shape)} on {out.device}; make one with torch.empty_like(images)"
        )
    if out.untyped_storage().data_ptr() == images.untyped_storage().data_ptr():
        raise ValueError("out: expected other memory than the images', which are read while it is written")


def _blend_in_blocks(images: Tensor, permutation: Tensor, masks: Tensor, mixed: Tensor, look: bool) -> bool:
    """Write into `mixed`; whether all is finite (where asked to look)."""
    per_image = max(1, images.numel() // len(images))
    rows = 1 if per_image >= _LARGE_IMAGE else max(1, _BLOCK_VALUES // per_image)
    blocks = list(_parts(rows, images, permutation, masks, mixed))
    are_finite: list[bool] = []

    def mix_block(block: int) -> None:
        some, partners, their_masks, place = blocks[block]
        if rows == 1:  # large images: no copy of the partner is needed
            torch.lerp(images[int(partners)], some, their_masks, out=place)
        else:  # gather the partners into place, then blend there while they are in the cache
            torch.index_select(images, 0, partners, out=place).lerp_(some, their_masks)
        if look:
            are_finite.append(math.isfinite(float(place.sum())))

    run_on_threads(mix_block, len(blocks), tasks_per_thread=max(1, _BLOCK_VALUES // (rows * per_image)))
    return all(are_finite)


def _parts(rows: int, *tensors: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """The tensors, some rows at a time. Short ones stay whole: views of a small batch would cost a tenth of its mixing."""
    if len(tensors[0]) <= rows:
        return [tensors]
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)
