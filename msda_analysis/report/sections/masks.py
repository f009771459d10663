"""What the augmentations do to the images: pictures, shapes and spectra of the masks."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msda_analysis.report import draw
from msda_analysis.report.laws import CURVES, SHAPES, draw_laws
from msda_analysis.report.pictures import load_pictures
from msda_analysis.report.section import (
    FigureItem,
    Section,
    dot_figures,
    explain_curves,
    metric_tables,
    picture_grid,
    present,
)
from msda_analysis.report.select import has_metric, mean_rows, select_rows, split_parts, summarize
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.tables import interval_digits
from msda_analysis.report.words import Metric, Table, define, in_brackets, metric_of, sentence

if TYPE_CHECKING:
    import numpy as np

METRICS = {
    "kept_fraction": Metric("Kept fraction", "kept fraction",
        "Mean of the mask: the share of the first image in the mix.",
    ),
    "perimeter": Metric("Perimeter", "perimeter",
        "Length of the edge of the kept region inside the image: neighboring pixels that differ.",
    ),
    "components": Metric("Components", "components", "Regions of kept pixels that share sides."),
    "holes": Metric("Holes", "holes", "Replaced regions that are enclosed by kept pixels."),
    "transitions_axis0": Metric("Transitions along height", "transitions, height",
        "Changes between kept and replaced from one pixel to the next along the height, summed over a mask.",
    ),
    "transitions_axis1": Metric("Transitions along width", "transitions, width",
        "The same along the width. A mask law without a preferred direction has equal counts on square images.",
    ),
    "transitions_axis2": Metric("Transitions along axis 2", "transitions along axis 2",
        "The same along the third axis.",
    ),
    "mean_chord_axis0": Metric("Mean chord along height", "mean chord along height",
        "Mean run of kept pixels along the height.",
    ),
    "mean_chord_axis1": Metric("Mean chord along width", "mean chord along width",
        "Mean run of kept pixels along the width.",
    ),
    "mean_chord_axis2": Metric("Mean chord along axis 2", "mean chord along axis 2", "Mean run along the third axis."),
    "euler_number": Metric("Euler number", "Euler number", "Components minus holes."),
    "euler_number_full": Metric("Euler number (corners)", "Euler number (corners)",
        "The same when pixels that share only a corner count as joined.",
    ),
    "box_dimension": Metric("Box dimension", "box dimension",
        "Box-counting dimension of the edge: 1 for a straight edge, more for a rough one.",
    ),
    "anisotropy": Metric("Anisotropy", "anisotropy",
        "(a - b) / (a + b) of each mask, with a and b the power that varies along the height only and along the "
        "width only.",
    ),
    "axis_power_ratio": Metric("Axis power ratio", "axis power ratio",
        "Mean power that varies along the width only over that along the height only: 1 for a law without a "
        "preferred direction on square images.",
    ),
    "spectral_slope": Metric("Spectral slope", "spectral slope",
        "Slope of log power over log frequency of a mask. The edges of hard masks alone give about -3 at high "
        "frequency.",
    ),
    "radial_power": Metric("Radial power", "power per bin",
        "Power of a mask per frequency bin, averaged over all directions; all bins together give the variance of the"
        " mask.",
    ),
    **{
        f"line_power_axis{axis}": Metric(f"Power, {along} alone", "power per bin",
            f"Power of a mask per frequency bin that varies along the {along} alone.",
        )
        for axis, along in enumerate(("height", "width", "third axis"))
    },
    "power_axis0": Metric("Power along height", "share of power",
        "Share of a mask's power at each frequency bin along the height.",
    ),
    "power_axis1": Metric("Power along width", "share of power",
        "Share of a mask's power at each frequency bin along the width.",
    ),
    "power_axis2": Metric("Power along axis 2", "share of power", "The same along the third axis."),
    "kept_fraction_histogram": Metric("Distribution of the kept fraction", "share of masks",
        "Share of masks whose kept fraction falls into each bin.",
    ),
}  # fmt: skip
_UNREAD = "masks_recovered"  # 0 where a mixer's masks could not be read back; the note says why
define({**METRICS, _UNREAD: Metric("Masks read back", "masks")}, told=(_UNREAD,))
_SHAPES = ("kept_fraction", "perimeter", "components", "transitions_axis0", "transitions_axis1", "transitions_axis2",
           "axis_power_ratio")  # fmt: skip
_DETAILS = ("holes", "euler_number", "euler_number_full", "box_dimension", "mean_chord_axis0", "mean_chord_axis1",
            "mean_chord_axis2", "anisotropy", "spectral_slope")  # fmt: skip
_HISTOGRAM = "kept_fraction_histogram"
_SHARES = ("power_axis0", "power_axis1", "power_axis2")
_ROUNDING = 1e-12  # share of power: of the constant, which signals have none of, float sums leave less
_LINES = tuple(curve for curve in CURVES if curve.startswith("line_power"))
_LAWS = (
    "Each family's masks for lambda 0.5 (white keeps the first image), the power of its masks by frequency on logarithmic axes, "
    "and means over "
    "masks at all lambdas."
)
_LAWS_WITHOUT = "Power of each family's masks by frequency on logarithmic axes, and means over its masks."
_EDGE = "The edge counts neighboring pixels that differ; dim. is the edge's dimension by counting boxes."
_DIRECTIONS = (
    "Of a law without a preferred direction the lines of single axes lie on the one of all directions (FMix as the paper has it); "
    "CutMix, whose edges run along the axes, has both far above it, and the released FMix one below the other."
)
_AXES = (
    "Power of the masks along each axis. A law without a preferred direction has the same curve in all panels; that of the "
    "released FMix code does not."
)
_TEXT = (
    "A mask m says how much of the first image each pixel keeps; the mix is m times the first image plus (1 - m) times "
    "the second. The statistics describe masks alone, without any training."
)
_GRIDS = {
    "masks": "Masks at lambdas as drawn, one row per family. In pictures white keeps the first image and black takes the second.",
    "mixed": "Two source images and their mix under each family.",
}
_FMIX_LIMIT = (
    "FMix has two laws. FMix (isotropic) is what the paper describes; FMix (released) is what its published code does: it "
    "pairs real and imaginary parts along the wrong axis, so that the grey image behind a mask holds only the "
    "frequencies 0 and 1 along the width. Which of the two the published FMix results were made with is not known."
)
_CUTMIX_LIMIT = (
    "CutMix boxes that are clipped at the border keep more of the first image (0.68 on average at alpha = 1) than MixUp "
    "and FMix (0.5), so the families are not compared at equal strength."
)
_CALLED = {
    1: "The masks have one axis, such as time, which labels call the height.",
    3: "The masks have three axes: labels call the first, the depth, the height, and the second the width.",
}
_KEPT = (
    "How the kept fraction is distributed, in bins, one panel per family. A flat curve is the uniform law of alpha = 1; masks of few "
    "pixels have few possible fractions, of which bins then hold one or two: the teeth of a comb say nothing of the family."
)
_TABLE = "Mean over seeds with Student's 95 % interval, or over the masks of a single seed with theirs."


def masks_section(table: Table, folder: Path) -> Section | None:
    """Pictures and statistics of the masks: the rows that no model made."""
    table = table[table["model"] == ""]
    shapes, details = present(table, _SHAPES), present(table, _DETAILS)
    spectra = present(table, [*CURVES, *_SHARES])
    shown = [*shapes, *present(table, (_HISTOGRAM,)), *spectra, *details]
    unread = _unread_findings(table)
    grids = [item for name, caption in _GRIDS.items() for item in picture_grid(folder, name, caption)]
    if not shown and not grids and not unread:
        return None
    return Section(
        key="masks",
        title="What the augmentations do to the images",
        text=(_TEXT, *_words_on_axes(table)),
        findings=(*_direction_findings(table), *unread),
        figures=(
            *law_figures(table, _half_masks(folder)), *grids, *kept_figures(table), *axis_figures(table),
            *dot_figures(table, [each for each in (*shapes, *details) if each not in SHAPES], "mask_details", "masks", is_folded=True),
        ),
        tables=(
            *metric_tables(table, shapes, "masks", _TABLE, over_samples=True),
            *metric_tables(table, details, "mask_details", _TABLE, over_samples=True),
        ),
        metrics=tuple(shown),
        limits=_limits(order_augmentations(table["augmentation"])),
    )  # fmt: skip


def _words_on_axes(table: Table) -> list[str]:
    """What labels made for pictures call the axes of signals and of volumes."""
    n_axes = sum(has_metric(table, f"transitions_axis{axis}") for axis in range(3))
    return [_CALLED[n_axes]] if n_axes in _CALLED else []


def kept_figures(table: Table) -> tuple[FigureItem, ...]:
    """How the kept fraction is distributed, one figure for each data set."""
    if not has_metric(table, _HISTOGRAM):
        return ()
    items = []
    for suffix, words, part in split_parts(select_rows(table, _HISTOGRAM)):
        numbers = summarize(part, ("metric", "augmentation", "x"))
        painter = partial(
            draw.curves, panel=("augmentation",), title=label_of, x_label="kept fraction", columns=4, height=1.5,
            finish=lambda ax, _: ax.set(xlim=(0, 1), ylim=(0, None)), legend=False,
        )  # fmt: skip
        alt = f"Distribution of the kept fraction, one panel per family{in_brackets(words)}."
        items.append(FigureItem(f"kept_fraction{suffix}", numbers, painter, sentence(_KEPT, explain_curves(part)), alt))
    return tuple(items)


def law_figures(table: Table, pictures: "Mapping[str, np.ndarray] | None" = None) -> tuple[FigureItem, ...]:
    """Masks, their power by frequency and their shape, a row a family; one figure for each data set.

    Args:
        table: the long table.
        pictures: family -> masks [mask, 1, *size] for lambda one half; None draws none.
    """
    if not has_metric(table, *CURVES):
        return ()
    items = []
    parts = list(split_parts(select_rows(table, present(table, [*CURVES, *_numbers_of(table)]))))
    for suffix, words, part in parts:
        shown = pictures if len(parts) == 1 else None
        opening = _LAWS if shown else _LAWS_WITHOUT
        caption = sentence(opening, _DIRECTIONS if has_metric(part, *_LINES) else "", _EDGE, _TABLE)
        alt = f"Masks, spectrum and shape of each family{in_brackets(words)}."
        items.append(FigureItem(f"mask_laws{suffix}", _law_numbers(part), draw_laws, caption, alt, pictures=shown))
    return tuple(items)


def _half_masks(folder: Path) -> "Mapping[str, np.ndarray] | None":
    """Masks for lambda one half, of signals, images or volumes; None where the folder has none."""
    found = sorted((folder / "pictures").glob("masks_half*.npz"))
    return load_pictures(found[0]) if found else None


def _numbers_of(table: Table) -> tuple[str, ...]:
    """Of the shape; an edge of points, in one dimension, has no dimension to speak of."""
    return tuple(each for each in SHAPES if each != "box_dimension" or has_metric(table, "transitions_axis1"))


def _law_numbers(rows: Table) -> Table:
    """The line to quote for each number, and each point of a curve."""
    import pandas as pd

    rows = rows[~(rows["metric"].isin(CURVES) & (rows["x"] == 0))]  # a logarithm cannot show it
    is_curve, made = rows["metric"].isin(CURVES), []
    for part, by in ((rows[~is_curve], ["metric", "augmentation"]), (rows[is_curve], ["metric", "augmentation", "x"])):
        made += [mean_rows(summarize(part, by), by, over_samples=True)] if len(part) else []
    return pd.concat(made, ignore_index=True)


def axis_figures(table: Table) -> tuple[FigureItem, ...]:
    """Share of the masks' power at each frequency along each axis, of tables without the lines of single axes."""
    if has_metric(table, *_LINES) or not has_metric(table, *_SHARES):
        return ()
    items = []
    for suffix, _, part in split_parts(select_rows(table, _SHARES)):
        drawn = part[part["value"] > _ROUNDING]
        painter = partial(
            draw.curves, panels=[(metric,) for metric in present(drawn, _SHARES)], log="y", x_label="frequency bin", height=2.0,
            title=lambda metric: metric_of(metric).label,
        )  # fmt: skip
        caption = sentence(_AXES, _explain_absence(part, drawn), explain_curves(part))
        numbers = summarize(drawn, ("metric", "augmentation", "x"))
        items += (
            [FigureItem(f"axis_power{suffix}", numbers, painter, caption, _AXES, is_folded=True)] if len(drawn) else []
        )
    return tuple(items)


def compare_axes(rows: Table) -> str:
    """One sentence on preferred directions, from the axis power ratio of each family: 1 means none.

    Masks are independent draws, so that a single seed is judged by its interval over masks. Families whose masks are
    constant have no ratio and are left out; "" when that leaves none.

    Raises:
        ValueError: there are no rows "axis_power_ratio".
    """
    by = ("metric", "augmentation")
    chosen = mean_rows(summarize(select_rows(rows, "axis_power_ratio"), by), by, over_samples=True)
    clauses = [_axes_clause(row) for row in chosen[chosen["value"].notna()].to_dict("records")]
    return f"Power of masks across the width over that across the height: {'; '.join(clauses)}." if clauses else ""


def _axes_clause(row: dict) -> str:
    name, value, low, high = label_of(row["augmentation"]), row["value"], row["low"], row["high"]
    if math.isnan(low) or math.isnan(high):
        return f"{name} {value:.3g} (no interval, so no claim)"
    digits = interval_digits(value, (high - low) / 2)
    size = f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{name} {size}, {'a preferred direction' if low > 1 or high < 1 else 'no preferred direction seen'}"


def _unread_findings(table: Table) -> tuple[str, ...]:
    """One sentence on each mixer that has pictures, training and robustness, but no masks to describe."""
    rows = table[(table["metric"] == _UNREAD) & (table["status"] == "ok")].drop_duplicates("augmentation")
    return tuple(
        f"{label_of(row['augmentation'])}: its masks could not be read back from probe images, so the statistics of this section "
        f"leave it out. {row['note']}."
        for row in rows.to_dict("records")
    )


def _direction_findings(table: Table) -> tuple[str, ...]:
    if not has_metric(table, "axis_power_ratio"):
        return ()
    lines = [compare_axes(part) for _, _, part in split_parts(select_rows(table, "axis_power_ratio"))]
    return tuple(line for line in lines if line)


def _explain_absence(rows: Table, drawn: Table) -> str:
    """Which augmentations a figure with logarithmic axes cannot show; "" when it shows all."""
    missing = order_augmentations(set(rows["augmentation"]) - set(drawn["augmentation"]))
    return f"Not drawn, as constant masks have no power there: {', '.join(map(label_of, missing))}." if missing else ""


def _limits(names: list[str]) -> tuple[str, ...]:
    found = {"cutmix": _CUTMIX_LIMIT, "fmix": _FMIX_LIMIT}
    return tuple(found[word] for word in ("fmix", "cutmix") if any(word in name for name in names))


SECTIONS = (masks_section,)
