"""Statistics of masks: shape, spectrum, coverage."""

from msda_analysis.mask_stats.coverage import Coverage, measure_coverage
from msda_analysis.mask_stats.describe import axis_power_ratio, describe, summarize
from msda_analysis.mask_stats.fractal import box_counts, box_dimensions, edge_cells
from msda_analysis.mask_stats.geometry import (
    circular_runs,
    count_components,
    euler_numbers,
    mask_fields,
    mean_chords,
    transitions,
)
from msda_analysis.mask_stats.spectrum import (
    anisotropies,
    axis_power,
    fit_slope,
    line_power,
    power_spectra,
    pure_axis_power,
    radial_power,
)

__all__ = [
    "Coverage", "anisotropies", "axis_power", "axis_power_ratio", "box_counts", "box_dimensions",
    "circular_runs", "count_components", "describe", "edge_cells", "euler_numbers", "fit_slope", "line_power", "mask_fields",
    "mean_chords", "measure_coverage", "power_spectra", "pure_axis_power", "radial_power", "summarize", "transitions",
]  # fmt: skip
