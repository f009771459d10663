"""Spectra and correlations of masks or grey images, batched and on their device.

Power is |FFT(m - mean(m))|^2 / cells^2, so that the power of all bins adds up to the variance of the cells.
"""

import torch
from torch import Tensor

from msda_analysis.mask_stats.geometry import _check_axis, mask_fields

# below this share of the total power a bin holds rounding errors of a float32 transform only
_ROUNDING = 1e-12


def power_spectra(masks: Tensor) -> Tensor:
    """Power of every bin of the full frequency grid, zero frequency first.

    Args:
        masks: [n, 1, *size] or [n, *size]; soft masks and grey images are taken as they are.

    Returns:
        [n, *size] float32 (float64 for float64 input); the sum over bins is each mask's variance.
    """
    fields = _centered(masks)
    axes = tuple(range(1, fields.ndim))
    spectrum = torch.fft.fftn(fields, dim=axes)
    return (spectrum.real**2 + spectrum.imag**2) / fields[0].numel() ** 2


def radial_power(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Mean power per bin on rings of equal frequency, all directions together.

    Rings are 1 / (longest length) wide, from that frequency to 1/2; the corners of the grid beyond 1/2 are left out.

    Args:
        masks: [n, 1, *size] or [n, *size]; soft masks and grey images are taken as they are.

    Returns:
        frequency [rings] in cycles per pixel, power [n, rings].
    """
    fields = _centered(masks)
    power, weight = _half_power(fields)
    longest = max(fields.shape[1:])
    # ties go to the lower ring; the margin keeps rounding errors from splitting what is equal by symmetry
    ring = torch.ceil(_magnitude(fields.shape[1:]) * longest - 0.5 - 1e-9).to(torch.int64).flatten().to(power.device)
    n_rings = longest // 2
    members = torch.zeros(ring.numel(), n_rings + 1, dtype=power.dtype, device=power.device)
    inside = ring <= n_rings
    members[inside.nonzero().flatten(), ring[inside]] = weight.flatten()[inside]
    totals = power.flatten(1) @ members
    frequency = torch.arange(1, n_rings + 1, dtype=torch.float64) / longest
    return frequency, (totals / members.sum(0))[:, 1:]


def axis_power(masks: Tensor, axis: int) -> Tensor:
    """Share of the power at each frequency along one axis, summed over the other axes and both signs.

    Args:
        masks: [n, 1, *size] or [n, *size]; soft masks and grey images are taken as they are.
        axis: spatial axis, 0 for the first (the height of an image).

    Returns:
        [n, length // 2 + 1]: bin k is k / length cycles per pixel; each row sums to 1, NaN for constant masks.

    Raises:
        ValueError: no such axis.
    """
    _check_axis(axis, mask_fields(masks).ndim - 1)
    power, weight = _half_power(_centered(masks).movedim(axis + 1, -1))  # the axis asked for is the halved one
    shares = (power * weight).flatten(1, -2).sum(1) if power.ndim > 2 else power * weight
    total = shares.sum(1, keepdim=True)
    return shares / torch.where(total > _ROUNDING, total, torch.nan)


def pure_axis_power(masks: Tensor) -> Tensor:
    """[n, axis]: power of the bins that vary along one axis only."""
    fields = _centered(masks)
    n_axes = fields.ndim - 1
    parts = []
    for axis in range(n_axes):
        others = tuple(i for i in range(1, n_axes + 1) if i != axis + 1)
        # the mean over the other axes keeps exactly the bins of zero frequency along them
        profile = fields.mean(others) if others else fields
        parts.append(profile.var(1, correction=0))
    return torch.stack(parts, 1)


def line_power(masks: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Power of each bin that varies along one axis only: the line through the spectrum on which all other frequencies are zero.

    A law without a preferred direction has the same line along each axis of equal lengths, and rings of radial_power at
    about its height; boxes, whose edges run along the axes, have lines far above their rings.

    Args:
        masks: [n, 1, *size] or [n, *size]; soft masks and grey images are taken as they are.
        axis: spatial axis, 0 for the first (the height of an image).

    Returns:
        frequency [length // 2] in cycles per pixel, without zero; power [n, length // 2] of one bin, as in power_spectra.

    Raises:
        ValueError: no such axis.
    """
    fields = _centered(masks)
    _check_axis(axis, fields.ndim - 1)
    others = tuple(i for i in range(1, fields.ndim) if i != axis + 1)
    # the mean over the other axes keeps exactly the bins of zero frequency along them
    profile = fields.mean(others) if others else fields
    length = profile.shape[1]
    spectrum = torch.fft.rfft(profile, dim=1)[:, 1:]
    return torch.fft.rfftfreq(length, dtype=torch.float64)[1:], (spectrum.real**2 + spectrum.imag**2) / length**2


def anisotropies(masks: Tensor) -> Tensor:
    """(a - b) / (a + b) for a, b the power that varies along the first, and along the last axis only.

    In [-1, 1]: 1 for stripes across the first axis, -1 for stripes across the last. Zero on average for an isotropic
    law on square or cubic images; images of unequal lengths have no such zero point.

    Returns:
        [n]; NaN for constant masks and for one axis.
    """
    power = pure_axis_power(masks)
    first, last = power[:, 0], power[:, -1]
    defined = (first + last > _ROUNDING) & (power.shape[1] > 1)
    return (first - last) / torch.where(defined, first + last, torch.nan)


def fit_slope(frequency: Tensor, power: Tensor) -> Tensor:
    """Least-squares slope of log power over log frequency.

    Args:
        frequency: [rings] > 0.
        power: [..., rings].

    Returns:
        [...] float64; NaN where a ring holds less than 1e-12 of the total, which is rounding error.
    """
    power = power.to(torch.float64)
    floor = _ROUNDING * power.sum(-1, keepdim=True)
    x = torch.log(frequency.to(power))
    x = x - x.mean()
    y = torch.log(torch.where(power > floor, power, torch.nan))
    return (y * x).sum(-1) / (x * x).sum()


def _centered(masks: Tensor) -> Tensor:
    fields = mask_fields(masks)
    fields = fields if fields.dtype == torch.float64 else fields.to(torch.float32)
    return fields - fields.mean(tuple(range(1, fields.ndim)), keepdim=True)


def _half_power(fields: Tensor) -> tuple[Tensor, Tensor]:
    """Power [n, *half grid] and how many bins of the full grid each stands for [*half grid]."""
    axes = tuple(range(1, fields.ndim))
    spectrum = torch.fft.rfftn(fields, dim=axes)
    power = (spectrum.real**2 + spectrum.imag**2) / fields[0].numel() ** 2
    weight = torch.full(spectrum.shape[1:], 2.0, dtype=power.dtype, device=power.device)
    weight[..., 0] = 1.0
    if fields.shape[-1] % 2 == 0:
        weight[..., -1] = 1.0
    return power, weight


def _magnitude(size: tuple[int, ...]) -> Tensor:
    """[*half grid] float64: |frequency| in cycles per pixel."""
    axes = [torch.fft.fftfreq(length, dtype=torch.float64) for length in size[:-1]]
    axes.append(torch.fft.rfftfreq(size[-1], dtype=torch.float64))
    grids = torch.meshgrid(*axes, indexing="ij")
    return torch.sqrt(torch.stack([grid**2 for grid in grids]).sum(0))
