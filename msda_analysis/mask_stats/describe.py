"""Tables of mask statistics: one row per mask, and means with intervals."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msda_analysis.checks import check_count
from msda_analysis.estimate import Estimate, Measured, mean_estimate, wilson_interval
from msda_analysis.mask_stats.fractal import box_dimensions
from msda_analysis.mask_stats.geometry import count_components, euler_numbers, mask_fields, mean_chords, transitions
from msda_analysis.mask_stats.spectrum import (
    anisotropies,
    axis_power,
    fit_slope,
    line_power,
    pure_axis_power,
    radial_power,
)

if TYPE_CHECKING:
    import pandas as pd

_CHUNK_CELLS = 1 << 22  # cells described at once: bounds the memory of spectra and labels to about 100 MB

#: Unit of each column of describe().
UNITS = {
    "kept_fraction": "fraction",
    "perimeter": "pixels",
    "components": "regions",
    "euler_number": "regions minus holes",
    "euler_number_full": "regions minus holes",
    "holes": "holes",
    "box_dimension": "dimension",
    "anisotropy": "(a - b) / (a + b)",
    "spectral_slope": "log power per log frequency",
}


def describe(masks: Tensor) -> "pd.DataFrame":
    """Statistics of each mask.

    Columns: kept_fraction (mean of the mask), perimeter (pixels: unequal neighbor pairs), transitions_axis0, _axis1,
    _axis2 (the same along one axis), components (exact regions of kept cells that share a face: 4-connectivity in 2-D,
    6 in 3-D), euler_number (same connectivity), euler_number_full (8 or 26), holes (2-D only: regions of the rest, with
    8-connectivity, that do not touch the border), box_dimension (of the edge), mean_chord_axis0, ... (pixels, mean run
    of kept cells), anisotropy, spectral_slope. Counts look at the cells above 1/2; kept fraction and spectra at the
    mask itself. What is undefined (the edge of a constant mask) is NaN.

    Args:
        masks: [n, 1, *size] or [n, *size], values in [0, 1]; one to three axes.

    Returns:
        pandas DataFrame of n rows.

    Raises:
        TypeError, ValueError: masks of a wrong type or shape.
    """
    import pandas as pd

    fields = mask_fields(masks)
    step = max(1, _CHUNK_CELLS // fields[0].numel())
    parts = [_describe_chunk(fields[start : start + step]) for start in range(0, len(fields), step)]
    return pd.DataFrame({name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]})


def _describe_chunk(fields: Tensor) -> dict[str, Tensor]:
    kept = fields if fields.dtype == torch.bool else fields > 0.5
    n_axes = fields.ndim - 1
    along = [transitions(kept, axis) for axis in range(n_axes)]
    components, euler = count_components(kept), euler_numbers(kept)
    columns = {
        "kept_fraction": fields.flatten(1).to(torch.float64).mean(1),
        "perimeter": torch.stack(along).sum(0),
        **{f"transitions_axis{axis}": count for axis, count in enumerate(along)},
        "components": components,
        "euler_number": euler,
        "euler_number_full": euler_numbers(kept, "full"),
    }
    if n_axes == 2:
        columns["holes"] = components - euler
    columns["box_dimension"] = box_dimensions(kept)
    columns |= {f"mean_chord_axis{axis}": mean_chords(kept, axis) for axis in range(n_axes)}
    if n_axes > 1:
        columns["anisotropy"] = anisotropies(fields).to(torch.float64)
    columns["spectral_slope"] = fit_slope(*radial_power(fields))
    return columns


def summarize(masks: Tensor, *, n_bins: int = 20) -> list[Measured]:
    """Means over masks with 95 % intervals, ready for the long table.

    Besides the columns of describe(): axis_power_ratio (mean power that varies along the last axis only, over that
    along the first: 1 for an isotropic law on square images), radial_power at x = frequency in cycles per pixel,
    in two and three dimensions line_power_axis0, ... (power of a bin on that axis) at the same, power_axis0, ... (share of the power) at x = frequency bin, and kept_fraction_histogram at x = bin centre. Masks for
    which a statistic is undefined are left out of its mean, and a warning counts them.

    Args:
        masks: [n, 1, *size] or [n, *size], values in [0, 1].
        n_bins: bins of the histogram on [0, 1].

    Returns:
        One Measured per statistic, or per point of a curve.

    Raises:
        TypeError, ValueError: masks of a wrong type or shape, n_bins below 1.
    """
    check_count("n_bins", n_bins)
    fields = mask_fields(masks)
    table = describe(fields)
    rows = [_column(name, None, torch.tensor(table[name].to_numpy()), unit_of(name)) for name in table.columns]
    if fields.ndim > 2:
        rows.append(Measured("axis_power_ratio", axis_power_ratio(fields)))
    rows += _spectrum("radial_power", fields, radial_power)
    for axis in range(fields.ndim - 1 if fields.ndim > 2 else 0):
        rows += _spectrum(f"line_power_axis{axis}", fields, partial(line_power, axis=axis))
    for axis in range(fields.ndim - 1):
        shares = _in_chunks(fields, lambda part, axis=axis: axis_power(part, axis))
        rows += [_column(f"power_axis{axis}", float(k), shares[:, k], "share of power") for k in range(shares.shape[1])]
    return rows + _histogram(torch.tensor(table["kept_fraction"].to_numpy()), n_bins)


def unit_of(column: str) -> str:
    """Unit of a column of describe()."""
    return UNITS.get(column, "pixels")


def axis_power_ratio(masks: Tensor) -> Estimate:
    """Mean power that varies along the last axis only, over that along the first only: 1 for isotropic square masks.

    Returns:
        Estimate of the ratio of means with a 95 % interval by the delta method; the released FMix law is well below 1.

    Raises:
        ValueError: masks of one axis.
    """
    fields = mask_fields(masks)
    if fields.ndim < 3:
        raise ValueError(f"masks: expected two or three axes to compare, got shape {tuple(masks.shape)}")
    power = _in_chunks(fields, pure_axis_power).to(torch.float64)
    first, last = power[:, 0], power[:, -1]
    n, ratio = len(power), float(last.mean() / first.mean())
    if n < 2:
        return Estimate(ratio, "ratio", n=n)
    residual = (last - ratio * first) / first.mean()
    half = 1.959963984540054 * float(residual.std() / n**0.5)
    return Estimate(ratio, "ratio", ratio - half, ratio + half, n)


def _column(metric: str, x: float | None, values: Tensor, unit: str) -> Measured:
    values = values.to(torch.float64)
    defined = values[~values.isnan()]
    missing = len(values) - len(defined)
    if not len(defined):
        nothing = Estimate(float("nan"), unit, n=0, warnings=(f"undefined for all {missing} masks",))
        return Measured(metric, nothing, x=x)
    warnings = (f"undefined for {missing} of {len(values)} masks, left out",) if missing else ()
    return Measured(metric, mean_estimate(defined.tolist(), unit, warnings=warnings), x=x)


def _spectrum(metric: str, fields: Tensor, measure: Callable[[Tensor], tuple[Tensor, Tensor]]) -> list[Measured]:
    """Mean power at each frequency."""
    frequency = measure(fields[:1])[0].tolist()
    power = _in_chunks(fields, lambda part: measure(part)[1])
    return [_column(metric, f, power[:, i], "squared mask units") for i, f in enumerate(frequency)]


def _histogram(kept: Tensor, n_bins: int) -> list[Measured]:
    counts = torch.histc(kept, n_bins, 0.0, 1.0).to(torch.int64).tolist()
    rows = []
    for i, count in enumerate(counts):
        low, high = wilson_interval(count, len(kept))
        estimate = Estimate(count / len(kept), "share of masks", low, high, len(kept))
        rows.append(Measured("kept_fraction_histogram", estimate, x=(i + 0.5) / n_bins))
    return rows


def _in_chunks(fields: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    step = max(1, _CHUNK_CELLS // fields[0].numel())
    return torch.cat([measure(fields[start : start + step]) for start in range(0, len(fields), step)]).cpu()
