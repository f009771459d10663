"""Section on what the augmentations do to the images."""

from pathlib import Path

from msda_analysis.report import captions, findings, panels
from msda_analysis.report.plots import augmentations_of, drawable
from msda_analysis.report.section import (
    FigureItem,
    Section,
    dot_figures,
    in_brackets,
    metric_tables,
    picture_grid,
    present,
)
from msda_analysis.report.select import has_metric, select_rows, split_parts
from msda_analysis.report.words import Table

_SHAPES = ("kept_fraction", "perimeter", "components", "transitions_axis0", "transitions_axis1", "transitions_axis2",
           "axis_power_ratio")  # fmt: skip
_DETAILS = ("holes", "euler_number", "euler_number_full", "box_dimension", "mean_chord_axis0", "mean_chord_axis1",
            "mean_chord_axis2", "anisotropy", "spectral_slope")  # fmt: skip
_SPECTRA = ("radial_power", "power_axis0", "power_axis1", "power_axis2")


def masks_section(table: Table, folder: Path) -> Section | None:
    """Pictures and statistics of the masks: the rows that no model made."""
    table = table[table["model"] == ""]
    shown = present(table, (*_SHAPES, "kept_fraction_histogram", *_SPECTRA, *_DETAILS))
    grids = [*picture_grid(folder, "masks"), *picture_grid(folder, "mixed")]
    if not shown and not grids:
        return None
    shapes, details = present(table, _SHAPES), present(table, _DETAILS)
    return Section(
        key="masks",
        title="What the augmentations do to the images",
        text=(captions.MASKS,),
        findings=_direction_findings(table),
        figures=(
            *grids,
            *dot_figures(table, shapes, "mask_shapes", "masks"),
            *_histograms(table),
            *_spectra(table),
            *dot_figures(table, details, "mask_details", "masks"),
        ),
        tables=(
            *metric_tables(table, shapes, "masks", captions.MASK_MEANS, over_samples=True),
            *metric_tables(table, details, "mask_details", captions.MASK_MEANS, over_samples=True),
        ),
        metrics=tuple(shown),
        limits=_mask_limits(table),
    )


def _histograms(table: Table) -> list[FigureItem]:
    metric, items = "kept_fraction_histogram", []
    for suffix, words, part in split_parts(select_rows(table, metric)) if has_metric(table, metric) else ():
        figure, numbers = panels.draw_histograms(part)
        alt = f"Histograms of the kept fraction, one panel per family{in_brackets(words)}."
        items.append(FigureItem(f"kept_fraction{suffix}", figure, numbers, captions.HISTOGRAM, alt))
    return items


def _spectra(table: Table) -> list[FigureItem]:
    kinds = (
        ("radial_power", _SPECTRA[:1], "xy", "spatial frequency (cycles/pixel)", captions.RADIAL),
        ("axis_power", _SPECTRA[1:], "y", "frequency bin", captions.AXES),
    )
    items = []
    for name, metrics, log, x_label, words in kinds:
        for suffix, _, part in split_parts(select_rows(table, metrics)) if has_metric(table, *metrics) else ():
            if drawable(part, log).empty:
                continue
            figure, numbers = panels.draw_curves_figure(part, metrics, log=log, x_label=x_label)
            caption = captions.sentence(words, captions.explain_absence(part, log), captions.explain_curves(part))
            items.append(FigureItem(f"{name}{suffix}", figure, numbers, caption, words))
    return items


def _direction_findings(table: Table) -> tuple[str, ...]:
    if not has_metric(table, "axis_power_ratio"):
        return ()
    lines = [findings.compare_axes(part) for _, _, part in split_parts(select_rows(table, "axis_power_ratio"))]
    return tuple(line for line in lines if line)


def _mask_limits(table: Table) -> tuple[str, ...]:
    names = augmentations_of(table)
    fmix = (captions.FMIX_LIMIT,) if any("fmix" in name for name in names) else ()
    cutmix = (captions.CUTMIX_LIMIT,) if any("cutmix" in name for name in names) else ()
    return (*fmix, *cutmix)
