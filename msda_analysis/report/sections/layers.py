"""Information by depth: curves over the layers with their ceiling, and tables of the plotted numbers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msda_analysis.report import draw, panels
from msda_analysis.report.section import FigureItem, Section, explain_curves, present
from msda_analysis.report.select import has_metric, mean_rows, select_rows, summarize
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.tables import ResultTable, estimate_of
from msda_analysis.report.words import Metric, Table, define, metric_of, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {
    "layer_mine": Metric("MINE by depth", "MINE",
        "Information between image and layer that a MINE critic finds; an estimate, no bound.",
    ),
    "layer_mine_tanh": Metric("MINE by depth, capped", "MINE, tanh cap",
        "The same with scores through tanh, as the released script: no value can exceed 2 nats.",
    ),
    "layer_smile": Metric("SMILE by depth", "SMILE", "Information between image and layer by SMILE; no bound."),
    "layer_nwj": Metric("NWJ by depth", "NWJ", "Lower bound on the information between image and layer by NWJ."),
    "layer_js": Metric("JS by depth", "JS", "Information between image and layer by a Jensen-Shannon critic."),
}  # fmt: skip
define(METRICS)
_SHOWN = ("layer_mine", "layer_mine_tanh", "layer_nwj", "layer_js", "layer_smile")
_TANH_CAP = 2.0  # nats
_TEXT = (
    "Information between image and layer that a critic finds, by depth of a network in evaluation mode (dropout off, fixed "
    "batch statistics). Half of the images train the critic, the other half give the value."
)
_FIGURE = (
    "Layers by depth; of VGG-11, f1 to f8 follow the convolutions, c1 and c2 are the hidden fully connected ones. Dashed red: the most "
    "that such a critic can show, ln K for the K images it is evaluated on, or its tanh cap."
)
_LIMIT = (
    "The network is deterministic, so the true information by depth lies far above what any critic can show: read "
    "differences between augmentations, not heights, and none near the ceiling."
)


def layers_section(table: Table, folder: Path) -> Section | None:
    """Information by depth of a classifier."""
    del folder
    shown = present(table, _SHOWN)
    if not shown:
        return None
    return Section(
        key="layers",
        title="Information by depth",
        text=(_TEXT,),
        figures=(layers_figure(table, shown),),
        tables=layer_tables(table, shown),
        metrics=tuple(shown),
        limits=(_LIMIT,),
    )


def layers_figure(table: Table, metrics: Sequence[str] = _SHOWN) -> FigureItem:
    """One panel per critic: information against layers by name, and the ceiling of what the critic can show.

    Args:
        table: the long table; label is the layer, x the depth from 1, the metric "METRIC_ceiling" what a critic can show.
        metrics: which critics, where the table has them.

    Raises:
        ValueError: the table has none of the metrics.
    """
    rows = select_rows(table, metrics)
    numbers = summarize(rows, ("metric", "augmentation", "x"))
    ceilings = {metric: ceiling_of(table, metric) for metric in metrics}
    numbers = numbers.assign(layer=numbers["x"].map(layer_names(rows)), ceiling=numbers["metric"].map(ceilings))
    shown = [(metric,) for metric in metrics]
    painter = partial(
        draw.curves, panels=shown, x_label="layer, by depth", height=2.0, finish=_name_layers, columns=len(shown),
        title=lambda metric: metric_of(metric).label if len(present(rows, metrics)) > 1 else "",
    )  # fmt: skip
    caption = sentence(_FIGURE, explain_curves(rows))
    return FigureItem("layers", numbers, painter, caption, "Information between image and layer, by layer.")


def layer_tables(table: Table, metrics: Sequence[str]) -> tuple[ResultTable, ...]:
    """One table per critic: augmentations by layers, means over seeds."""
    by = ("metric", "augmentation", "x")
    found = []
    for metric in present(table, metrics):
        rows = select_rows(table, metric)
        names, ceiling = layer_names(rows), ceiling_of(table, metric)
        means = mean_rows(summarize(rows, by), by).to_dict("records")
        cells = {(row["augmentation"], row["x"]): estimate_of(row) for row in means}
        lines = tuple(
            (label_of(family), *(cells.get((family, depth)) for depth in names))
            for family in order_augmentations(rows["augmentation"])
        )
        limit = "" if ceiling is None else f", which can show at most {ceiling:.3g} nats here"
        caption = f"{metric_of(metric).label} in nats{limit}. Mean over seeds with Student's 95 % interval; a single seed has none."
        found.append(ResultTable(f"{metric}s", caption, ("Augmentation", *names.values()), lines))
    return tuple(found)


def layer_names(rows: Table) -> dict[float, str]:
    """Name of each depth, in order; its number where the rows hold no name."""
    first = rows.drop_duplicates("x").sort_values("x")
    return {depth: label or f"{depth:g}" for depth, label in zip(first["x"], first["label"], strict=True)}


def ceiling_of(table: Table, metric: str) -> float | None:
    """The highest ceiling of a metric's critics, nats; None where the table does not say."""
    name = f"{metric}_ceiling"
    return float(select_rows(table, name)["value"].max()) if has_metric(table, name) else None


def _name_layers(ax: "Axes", part: Table) -> None:
    names = part.drop_duplicates("x").sort_values("x")
    ax.set_xticks(list(names["x"]), list(names["layer"]))
    ceiling = float(part["ceiling"].astype(float).max())
    panels.draw_ceiling(ax, ceiling, "tanh cap" if ceiling == _TANH_CAP else "ceiling ln K")


SECTIONS = (layers_section,)
