"""FMix grey images: low-frequency Fourier noise, and the rank threshold that turns them into masks.

Two laws (see FMix.spectrum). "isotropic" is Re(IFFT(f^-delta Z)), what the paper describes. "released" is what the
released code samples: it pairs real and imaginary parts along the first frequency axis instead of the trailing one, so
only two bins remain along the last axis.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from msda_analysis.checks import check_choice, check_in_range, check_positive, check_size
from msda_analysis.masks.families import SPECTRA


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
        ValueError: unknown spectrum, bad size or decay, or noise of another shape.

    Source: Harris et al. 2020 (arXiv 2002.12047), section 4.
    """
    check_choice("spectrum", spectrum, SPECTRA)
    check_size("size", size)
    check_positive("decay_power", decay_power)
    expected = noise_shape(tuple(size), spectrum)
    if tuple(noise.shape[1:]) != expected:
        raise ValueError(f"noise: expected shape [n, {', '.join(map(str, expected))}], got {tuple(noise.shape)}")
    fields = (isotropic_fields if spectrum == "isotropic" else released_fields)(noise, tuple(size), decay_power)
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
    return (*_released_frequencies(size).shape, 2)


def isotropic_fields(noise: Tensor, size: tuple[int, ...], decay_power: float) -> Tensor:
    """Re(IFFT(f^-delta Z)) in distribution, from noise on the half grid.

    Interior columns stand for two conjugate bins of the full grid, so they get 1 / sqrt(2) of the amplitude. The real
    FFT keeps only the Hermitian half of the power of the zero and Nyquist columns, so these get the full amplitude.

    Returns:
        [n, *size] real field, not normalized.
    """
    scaled = noise * isotropic_scale(size, decay_power, noise.device, noise.dtype).unsqueeze(-1)
    return inverse_fft(scaled, size)


def inverse_fft(spectrum: Tensor, size: tuple[int, ...]) -> Tensor:
    """Real fields [n, *size] of half-grid spectra given as [n, *half grid, 2] real and imaginary parts."""
    return torch.fft.irfftn(torch.view_as_complex(spectrum), s=size, dim=tuple(range(1, len(size) + 1)))


@lru_cache(maxsize=64)
def isotropic_scale(size: tuple[int, ...], decay_power: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Amplitude of each bin of the half grid: [*size[:-1], size[-1] // 2 + 1]. Zero frequency like the lowest harmonic."""
    axes = [torch.fft.fftfreq(length, dtype=torch.float64) for length in size[:-1]]
    axes.append(torch.fft.rfftfreq(size[-1], dtype=torch.float64))
    scale = _decay(_magnitude(axes), size, decay_power)
    is_paired = torch.ones(size[-1] // 2 + 1, dtype=torch.bool)
    is_paired[0] = False
    if size[-1] % 2 == 0:
        is_paired[-1] = False
    return torch.where(is_paired, scale / math.sqrt(2), scale).to(device=device, dtype=dtype)


def released_fields(noise: Tensor, size: tuple[int, ...], decay_power: float) -> Tensor:
    """The released code's fields. It reproduces a published indexing and must not be tidied.

    Index 0 and 1 of the first frequency axis serve as real and imaginary part, which leaves the trailing axis of
    length 2 as the last frequency axis; an inverse real FFT pads these bins up to `size`. Only those two rows count,
    and a row of two bins is a constant and one harmonic, so the last transform is a product with a 3-row basis.

    Returns:
        [n, *size] real field, not normalized.
    """
    # a grid of one row (first length 1) has no imaginary row; the released code fails there, we take zero
    rows = noise[:, :2] * _released_rows(size, decay_power, noise.device, noise.dtype)
    real = rows[:, 0]
    imaginary = rows[:, 1] if rows.shape[1] > 1 else torch.zeros_like(real)
    bins = torch.complex(real, imaginary)  # [n, *remaining grid axes, 2]
    if len(size) > 1:
        bins = torch.fft.ifftn(bins, s=size[:-1], dim=tuple(range(1, len(size))))
    constant, harmonic = bins[..., 0].real, bins[..., 1]
    parts = torch.stack([constant, harmonic.real, harmonic.imag], dim=-1)
    return parts @ _two_bin_basis(size[-1], noise.device, noise.dtype)


@lru_cache(maxsize=64)
def _two_bin_basis(length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """[3, length]: what a real inverse FFT adds per unit of bin 0 and of bin 1's real and imaginary part."""
    angle = 2 * math.pi * torch.arange(length, dtype=torch.float64) / length
    # bin 1 of a length-2 signal is the Nyquist bin: alone, and without imaginary part; length 1 has bin 0 only
    weight = {1: 0.0, 2: 1.0}.get(length, 2.0)
    basis = torch.stack([torch.ones_like(angle), weight * torch.cos(angle), -weight * torch.sin(angle)]) / length
    return basis.to(device=device, dtype=dtype)


@lru_cache(maxsize=64)
def _released_rows(size: tuple[int, ...], decay_power: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Amplitude of the two first-axis rows that the released code uses: [up to 2, *remaining grid axes, 1]."""
    scale = _decay(_released_frequencies(size), size, decay_power)
    return scale[:2].unsqueeze(-1).to(device=device, dtype=dtype)


def _released_frequencies(size: tuple[int, ...]) -> Tensor:
    """Magnitudes on the released code's grid (see noise_shape)."""
    axes = [torch.fft.fftfreq(size[0], dtype=torch.float64)]
    if len(size) == 3:
        axes.append(torch.fft.fftfreq(size[2], dtype=torch.float64))
    if len(size) > 1:
        axes.append(torch.fft.fftfreq(size[1], dtype=torch.float64)[: size[1] // 2 + 1 + size[1] % 2])
    return _magnitude(axes)


def _magnitude(axes: list[Tensor]) -> Tensor:
    grids = torch.meshgrid(*axes, indexing="ij")
    return torch.sqrt(sum(grid**2 for grid in grids))  # type: ignore[arg-type]


def _decay(frequency: Tensor, size: tuple[int, ...], decay_power: float) -> Tensor:
    return frequency.clamp(min=1 / max(size)) ** -decay_power


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
        ValueError: lam of another length, or max_soft out of range.

    Source: Harris et al. 2020 (arXiv 2002.12047), section 4.
    """
    check_in_range("max_soft", max_soft, 0.0, 0.5)
    if lam.shape != grey.shape[:1]:
        raise ValueError(f"lam: expected shape ({grey.shape[0]},), one per image, got {tuple(lam.shape)}")
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
