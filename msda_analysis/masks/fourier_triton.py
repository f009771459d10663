"""FMix masks on a GPU: what fourier.py defines with counter-based draws, in Triton kernels.

Axes up to SHORT_AXIS in one or two dimensions: one program makes one mask, from the draws to the finished mask, which
is written once. Larger images: draws, torch's inverse FFT (the same call as the reference) and a selection kernel.
Shown equal to the reference through Triton's interpreter, and compiled for compute capability 9.0; not measured on a
GPU.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from msda_analysis.masks import fourier
from msda_analysis.masks.draws_triton import key_on_device
from msda_analysis.rng import Key

IS_INTERPRETED = triton.knobs.runtime.interpret


def sample_masks(
    law: fourier.FourierLaw,
    lam: Tensor,
    *,
    size: tuple[int, ...],
    key: Key,
    round_up: Tensor | None = None,
    block: int = 16,
) -> Tensor:
    """fourier.sample_masks. The block size changes nothing but speed."""
    n, n_cells = len(lam), math.prod(size)
    if law.max_soft > 0 or len(size) == 3 or not fourier.has_short_axes(size):
        fields = draw_fields(law, n, size=size, key=key, device=lam.device)
        if law.max_soft > 0:  # the ramp needs whole ranks: the reference sorts
            return fourier.binarize(fields, lam, law.max_soft, round_up)
        counts = fourier.keep_counts(lam, n_cells, round_up)
        return keep_brightest(fields.flatten(1), counts).view(n, 1, *size)
    counts = fourier.keep_counts(lam, n_cells, round_up)
    return _fuse(law, counts, size=size, key=key, block=block, thresholds=True).view(n, 1, *size)


def draw_fields(
    law: fourier.FourierLaw, n: int, *, size: tuple[int, ...], key: Key, device: torch.device, block: int = 16
) -> Tensor:
    """fourier.draw_fields."""
    if len(size) < 3 and fourier.has_short_axes(size):
        counts = torch.zeros(n, dtype=torch.int64, device=device)
        return _fuse(law, counts, size=size, key=key, block=block, thresholds=False).view(n, *size)
    if law.spectrum == "released":  # few draws: the reference is a handful of small operations
        return fourier.draw_fields(law, n, size=size, key=key, device=device)
    if fourier.has_short_axes(size):
        row = -(-size[-1] // 4) * 4
        noise = philox_normals(key, n, math.prod(size[:-1]) * row, device).view(n, *size[:-1], row)[..., : size[-1]]
        return fourier.product_fields(noise, size, law.decay_power)
    shape = fourier.noise_shape(size, "isotropic")
    noise = philox_normals(key, n, math.prod(shape), device).view(n, *shape)
    return fourier.isotropic_fields(noise, size, law.decay_power)


def philox_normals(key: Key, n: int, count: int, device: torch.device, block: int = 1024) -> Tensor:
    """rng.philox_normals."""
    normals = torch.empty(n, count, dtype=torch.float32, device=device)
    _philox_normals_kernel[(n, triton.cdiv(count, block))](normals, key_on_device(key, device), count, BLOCK=block)
    return normals


def keep_brightest(fields: Tensor, counts: Tensor, block: int = 1024) -> Tensor:
    """fourier.keep_brightest, without sorting."""
    fields = fields.contiguous()
    masks = torch.empty_like(fields)
    _keep_brightest_kernel[(len(fields),)](fields, counts, masks, fields.shape[1], BLOCK=block)
    return masks


def _fuse(
    law: fourier.FourierLaw, counts: Tensor, *, size: tuple[int, ...], key: Key, block: int, thresholds: bool
) -> Tensor:
    """[n, *size], masks or (for tests) fields, by one program per mask."""
    height, width = (1, *size)[-2:]
    out = torch.empty(len(counts), height, width, dtype=torch.float32, device=counts.device)
    tile = [max(block, triton.next_power_of_2(length)) for length in (height, width)]
    if law.spectrum == "isotropic":
        scale = fourier.table(_padded_scale, size, law.decay_power, *tile, like=out)
        waves = [
            fourier.table(_padded_waves, length, side, like=out)
            for length, side in zip((height, width), tile, strict=True)
        ]
        _product_kernel[(len(out),)](
            out, counts, key_on_device(key, out.device), scale, *waves, height, width, H=tile[0], W=tile[1], THRESHOLDS=thresholds
        )  # fmt: skip
    else:
        n_bins = min(height, fourier.noise_shape(size, "released")[-2]) if len(size) == 2 else 1
        bins = max(block, triton.next_power_of_2(n_bins))
        along = fourier.table(_released_waves, size, law.decay_power, tile[0], bins, like=out)
        across = fourier.table(_padded_two_bin_waves, width, tile[1], like=out)
        _released_kernel[(len(out),)](
            out, counts, key_on_device(key, out.device), along, across, height, width, H=tile[0], W=tile[1], K=bins, THRESHOLDS=thresholds
        )  # fmt: skip
    return out


def _padded_scale(size: tuple[int, ...], decay_power: float, tile_height: int, tile_width: int) -> Tensor:
    scale = fourier.product_scale(size, decay_power).view((1, *size)[-2:])
    return _pad(scale, tile_height, tile_width)  # zeros silence the draws of cells that do not exist


def _padded_waves(length: int, side: int) -> Tensor:
    return _pad(fourier.real_waves(length), side, side)


def _padded_two_bin_waves(length: int, side: int) -> Tensor:
    return _pad(fourier.two_bin_waves(length), 3, side)


def _released_waves(size: tuple[int, ...], decay_power: float, tile_height: int, bins: int) -> Tensor:
    """[4, height, bin]: cosines and sines of the inverse DFT times the amplitude of the first and the second row."""
    scale = fourier.released_scale(size, decay_power).flatten(1)  # [1 or 2, bins]
    height = size[0] if len(size) == 2 else 1
    scale = _pad(scale, 2, scale.shape[1])[:, :height]
    if len(size) == 1:
        scale = _pad(fourier.released_scale(size, decay_power).view(-1, 1), 2, 1)
    turn = torch.outer(torch.arange(height), torch.arange(scale.shape[1])).to(torch.float64)
    angle = 2 * math.pi * turn / height
    parts = [trig(angle) * row / height for row in scale for trig in (torch.cos, torch.sin)]
    return torch.stack([_pad(part, tile_height, bins) for part in parts])


def _pad(table: Tensor, rows: int, columns: int) -> Tensor:
    return torch.nn.functional.pad(table, (0, columns - table.shape[1], 0, rows - table.shape[0]))


@triton.jit
def _four_normals(key, group, row):
    """rng.philox_normals: the four draws of one counter; `key` points to the key."""
    zero = group * 0
    first, second, third, fourth = tl.philox(tl.load(key), group, zero + row, zero, zero)
    normal_a, normal_b = _box_muller(first, second)
    normal_c, normal_d = _box_muller(third, fourth)
    return normal_a, normal_b, normal_c, normal_d


@triton.jit
def _box_muller(first, second):
    radius = tl.sqrt(-2.0 * tl.log((first >> 8).to(tl.float32) / 16777216.0 + 5.9604644775390625e-08))
    angle = 6.283185307179586 * ((second >> 8).to(tl.float32) / 16777216.0)
    return radius * tl.cos(angle), radius * tl.sin(angle)


@triton.jit
def _interleave(a, b, c, d):
    """[..., 4] in the order a, b, c, d."""
    return tl.join(tl.join(a, c), tl.join(b, d))


@triton.jit
def _philox_normals_kernel(normals, key, count, BLOCK: tl.constexpr):
    """rng.philox_normals."""
    row = tl.program_id(0)
    group = tl.program_id(1) * (BLOCK // 4) + tl.arange(0, BLOCK // 4)
    a, b, c, d = _four_normals(key, group, row)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    values = tl.reshape(_interleave(a, b, c, d), [BLOCK])
    tl.store(normals + row.to(tl.int64) * count + column, values, mask=column < count)


@triton.jit
def _ordered(values):
    """Unsigned integers in the order of the floats; both zeros are one."""
    bits = (values + 0.0).to(tl.int32, bitcast=True)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(tl.uint32, bitcast=True) ^ 0x80000000


@triton.jit
def _store(out, field, counts, height, width, H: tl.constexpr, W: tl.constexpr, THRESHOLDS: tl.constexpr):
    """fourier.keep_brightest on a field in registers: the k-th value bit by bit, from the highest."""
    row, column = tl.arange(0, H)[:, None], tl.arange(0, W)[None, :]
    exists = (row < height) & (column < width)
    values = field
    if THRESHOLDS:
        count = tl.load(counts + tl.program_id(0)).to(tl.int32)
        order = _ordered(field)
        threshold = tl.full([], 0, tl.uint32)
        for bit in tl.static_range(32):
            higher = threshold | tl.full([], 1 << (31 - bit), tl.uint32)
            enough = tl.sum((exists & (order >= higher)).to(tl.int32)) >= count
            threshold = tl.where(enough, higher, threshold)
        above = exists & (order > threshold)
        ties = (exists & (order == threshold)).to(tl.int32)
        # padding lies at the end of rows, so cell indices keep their order in the flattened tile
        place = tl.reshape(tl.cumsum(tl.reshape(ties, [H * W]), axis=0), [H, W])
        keep = above | ((ties == 1) & (place <= count - tl.sum(above.to(tl.int32))))
        values = keep.to(tl.float32)
    start = tl.program_id(0).to(tl.int64) * height * width
    tl.store(out + start + row * width + column, values, mask=exists)


@triton.jit
def _product_kernel(
    out, counts, key, scale, waves_height, waves_width, height, width,
    H: tl.constexpr, W: tl.constexpr, THRESHOLDS: tl.constexpr,
):  # fmt: skip
    """fourier.product_fields on fourier.draw_cell_noise, then the threshold. Full float32 products, as a rank needs."""
    row, column = tl.arange(0, H)[:, None], tl.arange(0, W)[None, :]
    group = row * ((width + 3) // 4) + tl.arange(0, W // 4)[None, :]
    a, b, c, d = _four_normals(key, group, tl.program_id(0))
    noise = tl.reshape(_interleave(a, b, c, d), [H, W]) * tl.load(scale + row * W + column)
    field = tl.dot(noise, tl.load(waves_width + tl.arange(0, W)[:, None] * W + column), input_precision="ieee")
    across = tl.load(waves_height + tl.arange(0, H)[None, :] * H + row)  # transposed: [pixel, wave]
    _store(out, tl.dot(across, field, input_precision="ieee"), counts, height, width, H, W, THRESHOLDS)


@triton.jit
def _released_kernel(
    out, counts, key, along, across, height, width,
    H: tl.constexpr, W: tl.constexpr, K: tl.constexpr, THRESHOLDS: tl.constexpr,
):  # fmt: skip
    """fourier.released_fields on fourier.draw_released_noise, then the threshold."""
    wave = along + tl.arange(0, H)[:, None] * K + tl.arange(0, K)[None, :]
    # one counter per bin: first row's two parts, second row's two parts
    a, b, c, d = _four_normals(key, tl.arange(0, K)[None, :], tl.program_id(0))
    cos_first, sin_first = tl.load(wave), tl.load(wave + H * K)
    cos_second, sin_second = tl.load(wave + 2 * H * K), tl.load(wave + 3 * H * K)
    constant = tl.sum(a * cos_first - c * sin_second, axis=1)[:, None]
    real = tl.sum(b * cos_first - d * sin_second, axis=1)[:, None]
    imaginary = tl.sum(b * sin_first + d * cos_second, axis=1)[:, None]
    column = tl.arange(0, W)[None, :]
    field = constant * tl.load(across + column) + real * tl.load(across + W + column)
    field += imaginary * tl.load(across + 2 * W + column)
    _store(out, field, counts, height, width, H, W, THRESHOLDS)


@triton.jit
def _keep_brightest_kernel(fields, counts, masks, n_cells, BLOCK: tl.constexpr):
    """fourier.keep_brightest: the k-th value byte by byte, from the highest, by histograms."""
    start = tl.program_id(0).to(tl.int64) * n_cells
    remaining = tl.load(counts + tl.program_id(0)).to(tl.int32)
    threshold = tl.full([], 0, tl.uint32)
    bins = tl.arange(0, 256)
    for byte in tl.static_range(4):
        histogram = tl.zeros([256], tl.int32)
        for first in range(0, n_cells, BLOCK):
            cell = first + tl.arange(0, BLOCK)
            order = _ordered(tl.load(fields + start + cell, mask=cell < n_cells, other=0.0))
            matches = cell < n_cells
            if byte > 0:
                matches = matches & ((order >> (32 - 8 * byte)) == (threshold >> (32 - 8 * byte)))
            histogram += tl.histogram(((order >> (24 - 8 * byte)) & 255).to(tl.int32), 256, mask=matches)
        at_least = tl.sum(histogram) - tl.cumsum(histogram, axis=0) + histogram
        chosen = tl.max(tl.where(at_least >= remaining, bins, 0))
        remaining -= tl.sum(tl.where(bins == chosen, at_least - histogram, 0))
        threshold = threshold | (chosen.to(tl.uint32) << (24 - 8 * byte))
    n_ties = tl.full([], 0, tl.int32)
    for first in range(0, n_cells, BLOCK):
        cell = first + tl.arange(0, BLOCK)
        exists = cell < n_cells
        order = _ordered(tl.load(fields + start + cell, mask=exists, other=0.0))
        ties = (exists & (order == threshold)).to(tl.int32)
        keep = (order > threshold) | ((ties == 1) & (n_ties + tl.cumsum(ties, axis=0) <= remaining))
        tl.store(masks + start + cell, keep.to(tl.float32), mask=exists)
        n_ties += tl.sum(ties)
