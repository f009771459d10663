"""Training: losses by epoch, and times."""

from functools import partial
from pathlib import Path

from msda_analysis.report import draw
from msda_analysis.report.section import FigureItem, Section, explain_curves, metric_tables, present
from msda_analysis.report.select import select_rows, summarize
from msda_analysis.report.words import Metric, Table, define, sentence

METRICS = {
    "train_loss": Metric("Training loss", "training loss", "Loss on the (mixed) training batches, mean over an epoch."),
    "train_distortion": Metric("Training distortion", "distortion",
        "Reconstruction part of a VAE's loss: negative log likelihood per image.",
    ),
    "train_rate": Metric("Training rate", "rate", "KL part of a VAE's loss per (mixed) training image."),
    "epoch_seconds": Metric("Time per epoch", "time per epoch",
        "Wall-clock time of a training epoch, mean over epochs. Not a benchmark: other work may have shared the "
        "machine.",
    ),
}  # fmt: skip
define(METRICS)
_LOSSES = ("train_loss", "train_distortion", "train_rate")
_TIME = "epoch_seconds"
_FIGURE = (
    "Losses on mixed images and labels, one panel per model and part of the loss. Levels of different augmentations are not "
    "comparable, only whether each has settled."
)
_TIMES = "Mean over epochs and seeds with Student's 95 % interval over seeds; other work may have shared the machine."


def training_section(table: Table, folder: Path) -> Section | None:
    """Training curves and times."""
    del folder
    shown = present(table, _LOSSES)
    if not shown:
        return None
    timed = present(table, (_TIME,))
    times = metric_tables(_mean_over_x(table, _TIME), timed, "training_time", _TIMES) if timed else ()
    return Section("training", "Training", figures=(training_figure(table),), tables=times, metrics=(*shown, *timed))


def training_figure(table: Table) -> FigureItem:
    """Parts of the training loss against epoch, one panel per data set, model and part.

    Raises:
        ValueError: the table has no such rows.
    """
    rows = select_rows(table, _LOSSES)
    panel = ("dataset", "model", "metric")
    numbers = summarize(rows, ("dataset", "model", "metric", "augmentation", "x"))
    parts = rows[["dataset", "model"]].drop_duplicates().sort_values(["dataset", "model"]).itertuples(index=False)
    order = [(*part, metric) for part in parts for metric in _LOSSES]
    painter = partial(
        draw.curves, panel=panel, panels=order, x_label="epoch", share_y=False,
        title=lambda dataset, model, _: ", ".join(word for word in (dataset, model) if word),
    )  # fmt: skip
    caption = sentence(_FIGURE, explain_curves(rows))
    return FigureItem(
        "training", numbers, painter, caption, "Training losses by epoch, one panel per model and part.", True
    )


def _mean_over_x(table: Table, metric: str) -> Table:
    """One row per cell: the mean of a curve, without an interval."""
    rows = select_rows(table, metric)
    means = rows.groupby("cell")["value"].mean()
    once = rows.drop_duplicates("cell")
    return once.assign(value=once["cell"].map(means), x=float("nan"), low=float("nan"), high=float("nan"), n=1)


SECTIONS = (training_section,)
