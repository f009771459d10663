"""Sections on mutual information: the paper's figures, bounds, pairs of VAEs, layers."""

from pathlib import Path

from msda_analysis.report import captions, findings
from msda_analysis.report.comparisons import comparisons_table, correct
from msda_analysis.report.section import FigureItem, Section, dot_figures, metric_tables, picture_grid, present
from msda_analysis.report.sections import layers
from msda_analysis.report.select import DIFFERENCE_OF_BOUNDS, select_rows, split_parts
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Table

_INFORMATION = ("rate", "rate_reconstructed", "mse")
_BOUNDS = ("fitted_diagonal", "fitted_full", "fitted_mixture", "fitted", "flow", "leave_one_out", "info_nce")
#: What belongs to these numbers and is listed beside them, in no figure.
_BESIDE_BOUNDS = ("flow_gap", "info_nce_ceiling")
_BESIDE_BETWEEN = ("between_difference_gap", "between_info_nce_ceiling")
_BETWEEN = (
    "between_upper",
    "between_difference",
    "between_info_nce",
    "between_lower",
    "between_through_reconstruction",
)
_LAYERS = ("layer_mine", "layer_mine_tanh", "layer_nwj", "layer_js", "layer_smile")


def information_section(table: Table, folder: Path) -> Section | None:
    """The paper's three VAE figures, with reconstructions."""
    shown = present(table, _INFORMATION)
    grid = picture_grid(folder, "reconstructions")
    if not shown and not grid:
        return None
    listed = metric_tables(table, shown, "information", f"Clean test images. {captions.MEANS}")
    lines, compared = _compare(table, shown, "information")
    return Section(
        key="information",
        title="What a VAE encodes",
        text=(captions.INFORMATION,),
        findings=tuple(lines),
        figures=(*dot_figures(table, shown, "information", "test images"), *grid),
        tables=(*listed, *compared),
        metrics=tuple(shown),
        limits=(captions.RATE_LIMIT,) if "rate" in shown else (),
    )


def bounds_section(table: Table, folder: Path) -> Section | None:
    """Bounds on I(X; Z) beside the rate."""
    shown = present(table, _BOUNDS)
    if not shown:
        return None
    every = [*present(table, ("rate",)), *shown]
    listed = [*every, *present(table, _BESIDE_BOUNDS)]
    headline = findings.headline_bound(table)
    lines, compared = _compare(table, [headline] if headline else [], "bounds")
    parts = [part for _, _, part in split_parts(select_rows(table, every))] if headline else []
    return Section(
        key="bounds",
        title="Tighter bounds on the information",
        text=(captions.BOUNDS,),
        findings=(*(line for part in parts for line in findings.bound_levels(part, str(headline))), *lines),
        figures=dot_figures(table, every, "bounds", "test images"),
        tables=(*metric_tables(table, listed, "bounds", captions.MEANS), *compared),
        metrics=tuple(listed),
        limits=(captions.BOUNDS_LIMIT, *((captions.CEILING_LIMIT,) if "info_nce" in shown else ())),
    )


def between_section(table: Table, folder: Path) -> Section | None:
    """What the latents of two VAEs share."""
    shown = present(table, _BETWEEN)
    if not shown:
        return None
    listed = [*shown, *present(table, _BESIDE_BETWEEN)]
    main = "between_difference"  # the bounds leave too wide a gap to tell augmentations apart
    lines, compared = _compare(table, [main] if main in shown else [], "between")
    return Section(
        key="between",
        title="What two VAEs share",
        text=(captions.BETWEEN,),
        findings=tuple(lines),
        figures=dot_figures(table, shown, "between", "test images"),
        tables=(*metric_tables(table, listed, "between", captions.MEANS), *compared),
        metrics=tuple(listed),
        limits=(captions.CEILING_LIMIT,),
    )


def layers_section(table: Table, folder: Path) -> Section | None:
    """Information by depth of a classifier."""
    shown = present(table, _LAYERS)
    if not shown:
        return None
    figure, numbers = layers.draw_layers(table, shown)
    caption = captions.sentence(captions.LAYERS_FIGURE, captions.explain_curves(select_rows(table, shown)))
    return Section(
        key="layers",
        title="Information by depth",
        text=(captions.LAYERS,),
        figures=(FigureItem("layers", figure, numbers, caption, "Information between image and layer, by layer."),),
        tables=layers.layer_tables(table, shown),
        metrics=tuple(shown),
        limits=(captions.LAYERS_LIMIT,),
    )


def _compare(table: Table, metrics: list[str], name: str) -> tuple[list[str], tuple[ResultTable, ...]]:
    """Sentences and one table on these metrics, corrected over all data sets and models of the section."""
    parts = (
        [(words if suffix else "", part) for suffix, words, part in split_parts(select_rows(table, metrics))]
        if metrics
        else []
    )
    made = correct([one for words, part in parts for one in findings.compare_metrics(part, metrics, words)])
    lines = [line for words, part in parts for line in findings.metric_findings(part, metrics, made, words)]
    if not made:
        return lines, ()
    warned = any(DIFFERENCE_OF_BOUNDS in one.difference.warnings for one in made if one.difference)
    caption = captions.sentence(captions.SEED_COMPARISONS, captions.BOUNDS_LIMIT if warned else "")
    return lines, (comparisons_table(made, name=f"{name}_comparisons", caption=caption),)
