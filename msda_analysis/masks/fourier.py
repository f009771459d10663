"""FMix grey images: low-frequency Fourier noise, and the rank threshold that turns them into masks.

Two laws (see FMix.spectrum). "isotropic" is Re(IFFT(f^-delta Z)), what the paper describes. "released" is what the
released code samples: it pairs real and imaginary parts along the first frequency axis instead of the trailing one, so
only two bins remain along the last axis.
"""

import math
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from msda_analysis.checks import check_choice, check_finite, check_in_range, check_positive, check_size
from msda_analysis.rng import Key, philox_normals

SPECTRA = ("isotropic", "released")
SHORT_AXIS = 64
_LARGEST_LOG2 = 64  # of an amplitude: leaves half of float32's exponents to the sums


class FourierLaw(Protocol):
    """What decides a law of Fourier masks, as FMix has it."""

    @property
    def spectrum(self) -> str: ...

    @property
    def decay_power(self) -> float: ...

    @property
    def max_soft(self) -> float: ...


def grey_images(noise: Tensor, size: tuple[int, ...], decay_power: float, spectrum: str) -> Tensor:
    """Grey images from given noise, each stretched to [0, 1]. A pure function: it compiles and needs no generator.

    Args:
        noise: [n, *noise_shape(size, spectrum)] standard normals; the trailing axis of 2 holds real and imaginary parts.
        size: one, two or three lengths.
        decay_power: delta of the amplitude decay 1 / f^delta.
        spectrum: "isotropic" or "released".

    Returns:
        [n, *size] in [0, 1], of the noise's dtype. A constant image (all lengths 1) is all zeros.

    Raises:
        ValueError: unknown spectrum, bad size or decay, noise of another shape, or, on a CPU, fields that are not
            finite (a GPU would have to wait for the look).

    Source: Harris et al. 2020 (arXiv 2002.12047), section 4.
    """
    check_choice("spectrum", spectrum, SPECTRA)
    check_size("size", size)
    check_positive("decay_power", decay_power)
    expected = noise_shape(tuple(size), spectrum)
    if tuple(noise.shape[1:]) != expected:
        raise ValueError(f"noise: expected shape [n, {', '.join(map(str, expected))}], got {tuple(noise.shape)}")
    fields = (isotropic_fields if spectrum == "isotropic" else released_fields)(noise, tuple(size), decay_power)
    check_fields("fields made from this noise", fields)
    flat = fields.flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    span = high - low
    return ((flat - low) / torch.where(span > 0, span, 1.0)).view_as(fields)


def noise_shape(size: tuple[int, ...], spectrum: str) -> tuple[int, ...]:
    """Shape of the noise for one image: the frequency grid and a trailing 2.

    "isotropic" uses the half grid of a real FFT. "released" uses the released code's grid: one axis: all n bins; two:
    (h, w // 2 + 1), one more when w is odd; three axes (h, w, z): (h, z, w // 2 + 1), one more when w is odd.
    """
    if spectrum == "isotropic":
        return (*size[:-1], size[-1] // 2 + 1, 2)
    middle = [size[2]] if len(size) == 3 else []
    last = [min(size[1], size[1] // 2 + 1 + size[1] % 2)] if len(size) > 1 else []
    return (size[0], *middle, *last, 2)  # type: ignore


def isotropic_fields(noise: Tensor, size: tuple[int, ...], decay_power: float) -> Tensor:
    """Re(IFFT(f^-delta Z)) in distribution, from noise on the half grid.

    Interior columns stand for two conjugate bins of the full grid, so they get 1 / sqrt(2) of the amplitude. The real
    FFT keeps only the Hermitian half of the power of the zero and Nyquist columns, so these get the full amplitude.

    Returns:
        [n, *size] real field, not normalized.
    """
    spectrum = noise * table(half_grid_scale, size, decay_power, like=noise)
    return torch.fft.irfftn(torch.view_as_complex(spectrum), s=size, dim=tuple(range(1, len(size) + 1)))


def product_fields(noise: Tensor, size: tuple[int, ...], decay_power: float) -> Tensor:
    """The law of isotropic_fields from one normal per cell, by matrix products: faster than an FFT for short axes.

    The decay does not change when one component of the frequency changes sign, so products of real sines and cosines
    diagonalize the covariance just as complex waves do.

    Args:
        noise: [n, *size] standard normals.

    Returns:
        [n, *size] real field, not normalized.
    """
    fields = noise * table(product_scale, size, decay_power, like=noise)
    for axis, length in enumerate(size, start=1):
        fields = (fields.movedim(axis, -1) @ table(real_waves, length, like=noise)).movedim(-1, axis)
    return fields


def real_waves(length: int) -> Tensor:
    """[length, length] float64 orthonormal waves, one per row: constant, cos 1, sin 1, cos 2, sin 2, ... in index order."""
    order = _wave_number(length)
    angle = 2 * math.pi / length * torch.outer(order, torch.arange(length, dtype=torch.float64))
    is_sine = torch.arange(length) % 2 == 0
    is_sine[0] = False
    waves = torch.where(is_sine[:, None], torch.sin(angle), torch.cos(angle))
    return waves / torch.linalg.vector_norm(waves, dim=1, keepdim=True)


def product_scale(size: tuple[int, ...], decay_power: float) -> Tensor:
    """[*size] float64 amplitude of each product of real waves."""
    frequency = _magnitude([_wave_number(length) / length for length in size])
    return _decay(frequency, size, decay_power) / math.sqrt(math.prod(size))


def _wave_number(length: int) -> Tensor:
    return torch.div(torch.arange(length, dtype=torch.float64) + 1, 2, rounding_mode="floor")  # 0, 1, 1, 2, 2, ...


def half_grid_scale(size: tuple[int, ...], decay_power: float) -> Tensor:
    """[*size[:-1], size[-1] // 2 + 1, 2] float64 amplitude of each bin of the half grid, for both its parts."""
    axes = [torch.fft.fftfreq(length, dtype=torch.float64) for length in size[:-1]]
    axes.append(torch.fft.rfftfreq(size[-1], dtype=torch.float64))
    scale = _decay(_magnitude(axes), size, decay_power)
    column = torch.arange(size[-1] // 2 + 1)
    is_paired = (column > 0) & (2 * column < size[-1])
    return torch.where(is_paired, scale / math.sqrt(2), scale).unsqueeze(-1).repeat_interleave(2, dim=-1)


def released_fields(noise: Tensor, size: tuple[int, ...], decay_power: float) -> Tensor:
    """The released code's fields. It reproduces a published indexing and must not be tidied.

    Index 0 and 1 of the first frequency axis serve as real and imaginary part, which leaves the trailing axis of
    length 2 as the last frequency axis; an inverse real FFT pads these bins up to `size`. Only those two rows count,
    and a row of two bins is a constant and one harmonic, so the last transform is a product with a 3-row basis.

    Returns:
        [n, *size] real field, not normalized.
    """
    return released_parts(noise, size, decay_power) @ table(two_bin_waves, size[-1], like=noise)


def released_parts(noise: Tensor, size: tuple[int, ...], decay_power: float) -> Tensor:
    """[n, *size[:-1], 3]: along the last axis, the constant and the real and imaginary part of the one harmonic."""
    # a grid of one row (first length 1) has no imaginary row; the released code fails there, we take zero
    rows = noise[:, :2] * table(released_scale, size, decay_power, like=noise)
    real = rows[:, 0]
    imaginary = rows[:, 1] if rows.shape[1] > 1 else torch.zeros_like(real)
    bins = torch.complex(real, imaginary)  # [n, *remaining grid axes, 2]
    if len(size) > 1:
        bins = torch.fft.ifftn(bins, s=size[:-1], dim=tuple(range(1, len(size))))
    constant, harmonic = bins[..., 0].real, bins[..., 1]
    return torch.stack([constant, harmonic.real, harmonic.imag], dim=-1)


def released_response(size: tuple[int, ...], decay_power: float) -> Tensor:
    """[noise values, product of size[:-1] and 3] float64: released_parts as a matrix, for short axes."""
    first, *rest = noise_shape(size, "released")
    shape = (min(first, 2), *rest)
    units = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    return released_parts(units, size, decay_power).flatten(1)


def two_bin_waves(length: int) -> Tensor:
    """[3, length] float64: what a real inverse FFT adds per unit of bin 0 and of bin 1's real and imaginary part."""
    angle = 2 * math.pi * torch.arange(length, dtype=torch.float64) / length
    # bin 1 of a length-2 signal is the Nyquist bin: alone, and without imaginary part; length 1 has bin 0 only
    weight = {1: 0.0, 2: 1.0}.get(length, 2.0)
    return torch.stack([torch.ones_like(angle), weight * torch.cos(angle), -weight * torch.sin(angle)]) / length


def released_scale(size: tuple[int, ...], decay_power: float) -> Tensor:
    """[up to 2, *remaining grid axes, 1] float64 amplitude of the two first-axis rows that the released code uses."""
    return _decay(_released_frequencies(size), size, decay_power)[:2].unsqueeze(-1)


def table(make: Callable[..., Tensor], *arguments: Hashable, like: Tensor) -> Tensor:
    """A table that depends on the size alone, on the device and in the dtype of `like`; made once.

    A compiler traces the plain function, because it cannot look through the cache.
    """
    if torch.compiler.is_compiling():
        return make(*arguments).to(like)
    return _remembered(make, arguments, like.device, like.dtype)


@lru_cache(maxsize=256)
def _remembered(make: Callable[..., Tensor], arguments: tuple, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        made = make(*arguments).to(dtype)
        # on the host and once: with finite amplitudes, fields on a GPU are finite and need no look
        check_finite(f"{make.__name__}{arguments} in {dtype}", made)
        return made.to(device)


def _released_frequencies(size: tuple[int, ...]) -> Tensor:
    """Magnitudes on the released code's grid (see noise_shape)."""
    axes = [torch.fft.fftfreq(size[0], dtype=torch.float64)]
    if len(size) == 3:
        axes.append(torch.fft.fftfreq(size[2], dtype=torch.float64))
    if len(size) > 1:
        axes.append(torch.fft.fftfreq(size[1], dtype=torch.float64)[: noise_shape(size, "released")[-2]])
    return _magnitude(axes)


def _magnitude(axes: list[Tensor]) -> Tensor:
    grids = torch.meshgrid(*axes, indexing="ij")
    return torch.sqrt(sum(grid**2 for grid in grids))  # type: ignore[arg-type]


def _decay(frequency: Tensor, size: tuple[int, ...], decay_power: float) -> Tensor:
    """f^-delta, the zero frequency as the lowest; relative to the largest amplitude where this would leave float32.

    Masks and grey images do not depend on a field's scale.
    """
    lowest = 1 / max(size)
    frequency = frequency.clamp(min=lowest)
    if decay_power * math.log2(max(size)) > _LARGEST_LOG2:
        frequency = frequency / lowest  # exactly 1 at the lowest: any power of it is
    return frequency**-decay_power


def check_fields(name: str, fields: Tensor) -> None:
    """Raise ValueError unless fields on a CPU are finite; see table for those on a GPU. Compilers trace past it."""
    if not torch.compiler.is_compiling() and fields.device.type == "cpu":
        check_finite(name, fields)


def sample_masks(
    law: FourierLaw, lam: Tensor, *, size: tuple[int, ...], key: Key, round_up: Tensor | None = None
) -> Tensor:
    """FMix masks as a pure function of lambda and a key, on lambda's device, without waiting for it.

    This is what fourier_triton.sample_masks reproduces; fourier_cpu.sample_masks has the same law and other draws.

    Args:
        law: its spectrum, decay and softness.
        lam: [n] float64.
        key: of the noise, drawn by counter: mask i does not depend on n or on the device. A tensor must be on lambda's.
        round_up: see keep_counts.

    Returns:
        [n, 1, *size] float32 in [0, 1].
    """
    fields = draw_fields(law, len(lam), size=size, key=key, device=lam.device)
    if law.max_soft > 0:
        return binarize(fields, lam, law.max_soft, round_up)
    counts = keep_counts(lam, math.prod(size), round_up)
    return keep_brightest(fields.flatten(1), counts).view(len(lam), 1, *size)


def draw_fields(law: FourierLaw, n: int, *, size: tuple[int, ...], key: Key, device: torch.device) -> Tensor:
    """[n, *size] float32 fields by counter-based draws, not normalized."""
    if law.spectrum == "released":
        return released_fields(draw_released_noise(n, size, key, device), size, law.decay_power)
    if has_short_axes(size):
        return product_fields(draw_cell_noise(n, size, key, device), size, law.decay_power)
    shape = noise_shape(size, "isotropic")
    noise = philox_normals(key, n, math.prod(shape), device).view(n, *shape)
    return isotropic_fields(noise, size, law.decay_power)


def has_short_axes(size: tuple[int, ...]) -> bool:
    """Whether products with tables of waves beat an FFT."""
    return max(size) <= SHORT_AXIS


def draw_cell_noise(n: int, size: tuple[int, ...], key: Key, device: torch.device) -> Tensor:
    """[n, *size] normals, one per cell; a row of cells takes whole groups of four draws."""
    row = -(-size[-1] // 4) * 4
    normals = philox_normals(key, n, math.prod(size[:-1]) * row, device)
    return normals.view(n, *size[:-1], row)[..., : size[-1]]


def draw_released_noise(n: int, size: tuple[int, ...], key: Key, device: torch.device) -> Tensor:
    """[n, up to 2, *remaining grid axes, 2]: the part of the released noise that counts, four draws for each bin."""
    first, *middle, last = noise_shape(size, "released")
    noise = philox_normals(key, n, math.prod(middle) * 4, device).view(n, *middle, 2, last)
    return noise.movedim(-2, 1)[:, : min(first, 2)]


def keep_brightest(fields: Tensor, counts: Tensor) -> Tensor:
    """Masks with exactly counts[i] ones at the largest values of field i; ties go to the lower cell index.

    Args:
        fields: [n, cells] float.
        counts: [n] int64 in 0..cells.

    Returns:
        [n, cells] float32 of zeros and ones.
    """
    order = torch.argsort(fields, dim=1, descending=True, stable=True)
    keep = torch.arange(fields.shape[1], device=fields.device) < counts[:, None]
    return torch.empty_like(fields, dtype=torch.float32).scatter_(1, order, keep.to(torch.float32))


def keep_counts(lam: Tensor, n_cells: int, round_up: Tensor | None = None) -> Tensor:
    """How many cells each mask keeps: lam * n_cells rounded to the nearest, or up or down as asked.

    Args:
        lam: [n] in [0, 1].
        round_up: [n] bool, ceil where true and floor elsewhere, or None for the nearest integer.

    Returns:
        [n] int64 in 0..n_cells.
    """
    wanted = lam.to(torch.float64) * n_cells
    if round_up is None:
        return torch.round(wanted).to(torch.int64)
    return torch.where(round_up, torch.ceil(wanted), torch.floor(wanted)).to(torch.int64)


def binarize(grey: Tensor, lam: Tensor, max_soft: float = 0.0, round_up: Tensor | None = None) -> Tensor:
    """Masks that keep the brightest share `lam` of each grey image; ties go to the lower cell index.

    Args:
        grey: [n, *size] real; left as it is.
        lam: [n] in [0, 1].
        max_soft: half-width of the soft edge as a share of the cells, in [0, 0.5]; never more than lam or 1 - lam.
        round_up: see keep_counts.

    Returns:
        [n, 1, *size] float32 in [0, 1]; with max_soft = 0 exactly keep_counts(...) ones.

    Raises:
        ValueError: lam of another length, max_soft out of range, or, on a CPU, grey images that are not finite.

    Source: Harris et al. 2020 (arXiv 2002.12047), section 4.
    """
    check_in_range("max_soft", max_soft, 0.0, 0.5)
    if lam.shape != grey.shape[:1]:
        raise ValueError(f"lam: expected shape ({grey.shape[0]},), one per image, got {tuple(lam.shape)}")
    check_fields("grey", grey)
    cells = grey.flatten(1)
    counts = keep_counts(lam, cells.shape[1], round_up)
    order = torch.argsort(cells, dim=1, descending=True, stable=True)
    rank = torch.arange(cells.shape[1], device=grey.device)
    values = _values_by_rank(rank, counts, _soft_counts(lam, cells.shape[1], max_soft))
    masks = torch.empty_like(cells, dtype=torch.float32).scatter_(1, order, values)
    return masks.view(grey.shape[0], 1, *grey.shape[1:])


def _soft_counts(lam: Tensor, n_cells: int, max_soft: float) -> Tensor:
    """[n] int64: cells on each side of the threshold that the ramp covers."""
    lam = lam.to(torch.float64)
    share = torch.minimum(torch.minimum(lam, 1 - lam), torch.full_like(lam, max_soft))
    return torch.floor(share * n_cells).to(torch.int64)


def _values_by_rank(rank: Tensor, counts: Tensor, soft: Tensor) -> Tensor:
    """[n, n_cells] mask value of the cell of each rank: 1, then a line from 1 to 0 over 2 * soft cells, then 0."""
    ahead = rank - (counts - soft)[:, None]  # position on the ramp
    width = 2 * soft[:, None]
    ramp = 1 - ahead.to(torch.float64) / (width - 1).clamp(min=1)
    hard = (ahead < width // 2).to(torch.float64)
    on_ramp = (ahead >= 0) & (ahead < width)
    return torch.where(on_ramp, ramp, torch.where(ahead < 0, 1.0, hard * (width == 0))).to(torch.float32)
