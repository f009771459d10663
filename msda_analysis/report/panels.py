"""Whole figures made of panels; each returns the Figure and the numbers it shows, ready for a CSV beside it."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msda_analysis.report.plots import (
    attacks_of,
    augmentations_of,
    drawable,
    plot_accuracy_curve,
    plot_by_attack,
    plot_curve,
    plot_dots,
    plot_histogram,
)
from msda_analysis.report.select import has_metric, select_rows, split_parts, summarize
from msda_analysis.report.style import DOUBLE_COLUMN, SINGLE_COLUMN, label_of, looks_for, styled
from msda_analysis.report.words import Table, attack_label, metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: Parts of the training loss, in the order of their panels.
TRAIN_METRICS = ("train_loss", "train_distortion", "train_rate")


@styled
def draw_dots(table: Table, metrics: Sequence[str], *, columns: int = 3) -> tuple[Figure, Table]:
    """Small multiples, one panel per metric that the table has, augmentations down the side.

    Raises:
        ValueError: the table has none of the metrics.
    """
    rows = select_rows(table, metrics)
    present = [metric for metric in metrics if has_metric(rows, metric)]
    figure, axes = _grid(len(present), columns, _dots_height(rows), share_y=True)
    for ax, metric in zip(axes, present, strict=True):
        plot_dots(rows, ax, metric, order=augmentations_of(rows))
    return figure, summarize(rows, ("metric", "augmentation"))


@styled
def draw_attack_dots(table: Table, metric: str, *, columns: int = 3) -> tuple[Figure, Table]:
    """Small multiples of one metric, one panel per attack and norm.

    Raises:
        ValueError: the table has no such rows.
    """
    rows = select_rows(table, metric)
    panels = attacks_of(rows)
    figure, axes = _grid(len(panels), columns, _dots_height(rows), share_y=True)
    for ax, (attack, norm) in zip(axes, panels, strict=True):
        plot_dots(rows, ax, metric, order=augmentations_of(rows), attack=attack, norm=norm)
        ax.set_title(attack_label(attack))
    return figure, summarize(rows, ("metric", "attack", "norm", "augmentation"))


@styled
def draw_by_attack(table: Table, metrics: Sequence[str], *, columns: int = 3) -> tuple[Figure, Table]:
    """Small multiples, one panel per metric that the table has, attacks down the side, one legend.

    Raises:
        ValueError: the table has none of the metrics.
    """
    rows = select_rows(table, metrics)
    present = [metric for metric in metrics if has_metric(rows, metric)]
    height = 0.5 + 0.22 * len(rows[["attack", "norm", "reference"]].drop_duplicates())
    strip = _strip(augmentations_of(rows), len(present), columns)
    figure, axes = _grid(len(present), columns, height, share_y=True, legend=strip)
    for ax, metric in zip(axes, present, strict=True):
        plot_by_attack(rows, ax, metric)
    _legend(figure, axes, augmentations_of(rows), columns, joined=False)
    return figure, summarize(rows, ("metric", "attack", "norm", "reference", "augmentation"))


@styled
def draw_accuracy_curves(table: Table, metric: str = "robust_accuracy", *, columns: int = 3) -> tuple[Figure, Table]:
    """Accuracy against epsilon (or survival of the minimum norm), one panel per attack and norm, one legend.

    Raises:
        ValueError: the table has no rows of the metric.
    """
    rows = select_rows(table, metric)
    panels = attacks_of(rows)
    strip = _strip(augmentations_of(rows), len(panels), columns)
    figure, axes = _grid(len(panels), columns, 1.75, share_y=True, legend=strip)
    for ax, (attack, norm) in zip(axes, panels, strict=True):
        plot_accuracy_curve(rows, ax, attack, norm, metric=metric)
    _label_outer(axes, columns)
    _legend(figure, axes, augmentations_of(rows), columns)
    return figure, summarize(rows, ("metric", "attack", "norm", "augmentation", "epsilon"))


@styled
def draw_curves_figure(
    table: Table, metrics: Sequence[str], *, log: str = "", x_label: str = "x", share_y: bool = True
) -> tuple[Figure, Table]:
    """One panel per metric that the table has, each against x, one legend.

    Raises:
        ValueError: the table has none of the metrics.
    """
    rows = select_rows(table, metrics)
    present = [metric for metric in metrics if has_metric(rows, metric)]
    strip = _legend_lines(augmentations_of(drawable(rows, log)), len(present))
    figure, axes = _grid(len(present), len(present), 2.0, share_y=share_y, width=_width(len(present)), legend=strip)
    for ax, metric in zip(axes, present, strict=True):
        plot_curve(rows, ax, metric, log=log, x_label=x_label)
        if len(present) > 1:
            ax.set_title(metric_of(metric).label)
    _label_outer(axes, len(present))
    _legend(figure, axes, augmentations_of(drawable(rows, log)), len(present))
    return figure, summarize(rows, ("metric", "augmentation", "x"))


@styled
def draw_perturbation_spectra(table: Table) -> tuple[Figure, Table]:
    """Share of power against radial frequency, one line per attack or reference, mean over classifiers.

    Shuffled perturbations are left out: their spectrum is that of the perturbations.

    Raises:
        ValueError: the table has no rows "perturbation_power".
    """
    rows = select_rows(table, "perturbation_power")
    rows = rows[(rows["reference"] == "") & (rows["x"] > 0)]
    numbers = rows.groupby(["attack", "norm", "x"], as_index=False)["value"].mean()
    figure = Figure(figsize=(SINGLE_COLUMN, 2.2), layout="constrained")
    ax = figure.add_subplot()
    attacks = numbers.groupby(["attack", "norm"])
    for line, (attack, part) in zip(itertools.cycle(("-", "--", "-.", ":")), attacks, strict=False):
        ax.plot(part["x"], part["value"], line, label=attack_label(*attack))
    ax.set(xscale="log", yscale="log", xlabel="frequency (cycles per image)", ylabel="share of power")
    ax.legend(frameon=False)
    return figure, numbers


@styled
def draw_training(table: Table) -> tuple[Figure, Table]:
    """Parts of the training loss against epoch, one panel per data set, model and part, one legend.

    Raises:
        ValueError: the table has no rows of TRAIN_METRICS.
    """
    rows = select_rows(table, TRAIN_METRICS)
    parts = [
        (metric, words, part)
        for _, words, part in split_parts(rows)
        for metric in TRAIN_METRICS
        if has_metric(part, metric)
    ]
    columns = min(3, len(parts))
    strip = _strip(augmentations_of(rows), len(parts), columns)
    figure, axes = _grid(len(parts), columns, 1.75, share_y=False, width=_width(len(parts)), legend=strip)
    for ax, (metric, words, part) in zip(axes, parts, strict=True):
        plot_curve(part, ax, metric, x_label="epoch")
        ax.set_title(words)
    _legend(figure, axes, augmentations_of(rows), columns)
    return figure, summarize(rows, ("dataset", "model", "metric", "augmentation", "x"))


@styled
def draw_histograms(table: Table, metric: str = "kept_fraction_histogram") -> tuple[Figure, Table]:
    """Distribution of the kept fraction, one panel per augmentation, shared axes.

    Raises:
        ValueError: the table has no such rows.
    """
    rows = select_rows(table, metric)
    names = augmentations_of(rows)
    columns = min(4, len(names))
    figure, axes = _grid(len(names), columns, 1.35, share_y=True)
    for ax, name in zip(axes, names, strict=True):
        plot_histogram(rows, ax, name, metric)
        ax.set_xlim(0, 1)
        ax.set_xlabel("kept fraction")
        ax.set_ylabel("share of masks")
    _label_outer(axes, columns)
    return figure, summarize(rows, ("metric", "augmentation", "x"))


def _grid(
    n_panels: int, columns: int, height: float, *, share_y: bool, width: float = DOUBLE_COLUMN, legend: int = 0
) -> "tuple[Figure, list[Axes]]":
    """A Figure with n panels in reading order; `legend` leaves a strip for one of that many lines at the bottom."""
    columns = min(columns, n_panels)
    n_rows = -(-n_panels // columns)
    figure = Figure(figsize=(width, n_rows * height + (0.12 + 0.18 * legend if legend else 0.0)), layout="constrained")
    axes = figure.subplots(n_rows, columns, squeeze=False, sharey=share_y).ravel()
    for ax in axes[n_panels:]:
        ax.set_axis_off()
    return figure, list(axes[:n_panels])


def _legend(figure: Figure, axes: "list[Axes]", names: list[str], columns: int, *, joined: bool = True) -> None:
    """One legend: in the first free cell of the grid, or below the panels when there is none."""
    handles = [
        Line2D(
            [],
            [],
            color=look.color,
            linestyle=look.line if joined else "none",
            marker=look.marker,
            markersize=3.5,
            label=label_of(name),
        )
        for name, look in looks_for(names).items()
    ]
    free = [ax for ax in figure.axes if ax not in axes]
    if free:
        free[0].legend(handles=handles, loc="center left", handlelength=3.2, title="Training with", alignment="left")
    else:
        rows = _legend_lines(names, columns)
        figure.legend(handles=handles, loc="outside lower center", ncols=-(-len(handles) // rows), handlelength=3.2)


def _legend_lines(names: list[str], columns: int) -> int:
    """Lines of a legend below the panels; more than five labels do not fit side by side."""
    return -(-len(names) // min(5, 2 * columns))


def _strip(names: list[str], n_panels: int, columns: int) -> int:
    """Lines that a legend needs below the panels; 0 where it goes into a free cell of the grid."""
    return 0 if n_panels % columns else _legend_lines(names, columns)


def _label_outer(axes: "list[Axes]", columns: int) -> None:
    """Keep the y label at the left edge and the x label where no panel lies below."""
    for i, ax in enumerate(axes):
        if i % columns:
            ax.set_ylabel("")
        if i + columns < len(axes):
            ax.set_xlabel("")


def _width(n_panels: int) -> float:
    return SINGLE_COLUMN if n_panels == 1 else DOUBLE_COLUMN


def _dots_height(rows: Table) -> float:
    return 0.5 + 0.27 * rows["augmentation"].nunique()
