"""Information by depth: curves over the layers with their ceiling, and tables of the plotted numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msda_analysis.estimate import Estimate
from msda_analysis.report.panels import draw_curves_figure
from msda_analysis.report.select import has_metric, mean_rows, select_rows, summarize
from msda_analysis.report.style import label_of, order_augmentations, styled
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Table, metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TANH_CAP = 2.0  # nats


@styled
def draw_layers(table: Table, metrics: Sequence[str]) -> tuple["Figure", Table]:
    """One panel per critic: information against layers by name, and the ceiling of what the critic can show.

    Args:
        table: the long table; label is the layer, x the depth from 1, the metric "METRIC_ceiling" what a critic can show.
        metrics: which critics, where the table has them.

    Raises:
        ValueError: the table has none of the metrics.
    """
    rows = select_rows(table, metrics)
    present = [metric for metric in metrics if has_metric(rows, metric)]
    figure, numbers = draw_curves_figure(rows, present, x_label="layer, by depth")
    names = layer_names(rows)
    for axes, metric in zip(figure.axes, present, strict=True):
        axes.set_xticks(list(names), list(names.values()))
        _draw_ceiling(axes, ceiling_of(table, metric))
    return figure, numbers.assign(layer=numbers["x"].map(names))


def layer_tables(table: Table, metrics: Sequence[str]) -> tuple[ResultTable, ...]:
    """One table per critic: augmentations by layers, means over seeds."""
    by = ("metric", "augmentation", "x")
    found = []
    for metric in (name for name in metrics if has_metric(table, name)):
        rows = select_rows(table, metric)
        names, ceiling = layer_names(rows), ceiling_of(table, metric)
        cells = {(row["augmentation"], row["x"]): row for row in mean_rows(summarize(rows, by), by).to_dict("records")}
        lines = tuple(
            (label_of(family), *(_estimate(cells.get((family, depth))) for depth in names))
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


def _draw_ceiling(axes: "Axes", ceiling: float | None) -> None:
    if ceiling is None:
        return
    words = "tanh cap" if ceiling == _TANH_CAP else "ceiling ln K"
    axes.axhline(ceiling, color="#B3261E", linewidth=0.8, linestyle=(0, (3, 2)))
    axes.annotate(
        f"{words} = {ceiling:.2f}", (1, ceiling), xycoords=("axes fraction", "data"), xytext=(-2, 2),
        textcoords="offset points", ha="right", color="#B3261E", fontsize=6.5,
    )  # fmt: skip


def _estimate(row: dict | None) -> Estimate | None:
    if row is None:
        return None
    low, high = (None if row[end] is None or row[end] != row[end] else float(row[end]) for end in ("low", "high"))
    return Estimate(float(row["value"]), "nats", low, high, int(row["n"]))
