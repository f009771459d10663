"""Sections on mutual information: the paper's figures, bounds, pairs of VAEs, layers."""

from pathlib import Path

from msda_analysis.figures import captions, findings, layers, tables
from msda_analysis.figures.metrics import Table, metric_of
from msda_analysis.figures.section import FigureItem, Section, dot_figures, metric_tables, picture_grid, present
from msda_analysis.figures.selection import select_rows, split_parts

_INFORMATION = ("rate", "rate_reconstructed", "mse")
_BOUNDS = ("fitted_diagonal", "fitted_full", "fitted_mixture", "fitted", "flow", "leave_one_out", "info_nce",
           "active_units")  # fmt: skip
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
    if shown and _is_cifar10(select_rows(table, shown)):
        listed = (*listed, tables.published_information())
    parts = [part for _, _, part in split_parts(select_rows(table, shown))] if shown else []
    return Section(
        key="information",
        title="What a VAE encodes",
        text=(captions.INFORMATION,),
        findings=tuple(line for part in parts for line in findings.information_findings(part)),
        figures=(*dot_figures(table, shown, "information", "test images"), *grid),
        tables=listed,
        metrics=tuple(shown),
        limits=(captions.RATE_LIMIT,) if "rate" in shown else (),
    )


def bounds_section(table: Table, folder: Path) -> Section | None:
    """Bounds on I(X; Z) beside the rate."""
    shown = present(table, _BOUNDS)
    if not shown:
        return None
    every = [*present(table, ("rate",)), *shown]
    return Section(
        key="bounds",
        title="Tighter bounds on the information",
        text=(captions.BOUNDS,),
        findings=tuple(findings.bound_findings(table)),
        figures=dot_figures(table, every, "bounds", "test images"),
        tables=metric_tables(table, every, "bounds", captions.MEANS),
        metrics=tuple(every),
        limits=(captions.CEILING_LIMIT,) if "info_nce" in shown else (),
    )


def between_section(table: Table, folder: Path) -> Section | None:
    """What the latents of two VAEs share."""
    shown = present(table, _BETWEEN)
    if not shown:
        return None
    main = "between_difference"  # the bounds leave too wide a gap to tell augmentations apart
    parts = [part for _, _, part in split_parts(select_rows(table, main))] if main in shown else []
    return Section(
        key="between",
        title="What two VAEs share",
        text=(captions.BETWEEN,),
        findings=tuple(findings.compare_with_baseline(part, metric_of(main).label) for part in parts),
        figures=dot_figures(table, shown, "between", "test images"),
        tables=metric_tables(table, shown, "between", captions.MEANS),
        metrics=tuple(shown),
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


def _is_cifar10(rows: Table) -> bool:
    """Whether the data set looks like CIFAR-10, the only one the paper reports VAEs on."""
    names = set(rows["dataset"].str.lower().str.replace("-", ""))
    return any("cifar10" in name and "cifar100" not in name for name in names)
