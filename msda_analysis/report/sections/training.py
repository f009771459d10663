"""Training: losses by epoch, and times."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from msda_analysis.report import draw
from msda_analysis.report.section import FigureItem, Section, explain_curves, metric_tables, present
from msda_analysis.report.select import select_rows, summarize
from msda_analysis.report.words import Metric, Table, define, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    "epoch_top1": Metric("Test accuracy by epoch", "top-1 accuracy", "Share of test images that are classified correctly."),
    "epoch_top5": Metric("Top-5 test accuracy by epoch", "top-5 accuracy",
        "Share of test images whose class is among the five likeliest.",
    ),
    "epoch_nll": Metric("Test likelihood by epoch", "negative log likelihood", "Mean of -log p(class) over test images."),
    "epoch_ece": Metric("Calibration error by epoch", "calibration error",
        "Mean gap between confidence and accuracy over 15 bins of equal width, on test images.",
    ),
    "epoch_brier": Metric("Brier score by epoch", "Brier score",
        "Mean squared distance between probabilities and the class's ones and zeros, on test images, in [0, 2].",
    ),
}  # fmt: skip
define(METRICS)
_LOSSES = ("train_loss", "train_distortion", "train_rate")
_SCORES = ("epoch_top1", "epoch_top5", "epoch_nll", "epoch_ece", "epoch_brier")
_TIME = "epoch_seconds"
_FIGURE = (
    "Losses on mixed images and labels, one panel per model and part of the loss. Levels of different augmentations are not "
    "comparable, only whether each has settled."
)
_TESTED = "Scores on clean test images after each epoch, one panel per model and score; they chose nothing."
_TIMES = "Mean over epochs and seeds with Student's 95 % interval over seeds; other work may have shared the machine."


def training_section(table: Table, folder: Path) -> Section | None:
    """Training curves and times."""
    del folder
    shown = present(table, _LOSSES)
    if not shown:
        return None
    timed = present(table, (_TIME,))
    times = metric_tables(_mean_over_x(table, _TIME), timed, "training_time", _TIMES, is_folded=True) if timed else ()
    scored = present(table, _SCORES)
    figures = (training_figure(table), scores_figure(table)) if scored else (training_figure(table),)
    return Section("training", "Training", figures=figures, tables=times, metrics=(*shown, *scored, *timed))


def training_figure(table: Table) -> FigureItem:
    """Parts of the training loss against epoch, one panel per data set, model and part.

    Raises:
        ValueError: the table has no such rows.
    """
    return _by_epoch(table, _LOSSES, "training", _FIGURE, "Training losses by epoch, one panel per model and part.")


def scores_figure(table: Table) -> FigureItem:
    """Scores on the test split against epoch, one panel per data set, model and score.

    Raises:
        ValueError: the table has no such rows.
    """
    return _by_epoch(table, _SCORES, "test_scores", _TESTED, "Test scores by epoch, one panel per model and score.")


def _by_epoch(table: Table, metrics: Sequence[str], name: str, words: str, short: str) -> FigureItem:
    rows = select_rows(table, metrics)
    panel = ("dataset", "model", "metric")
    numbers = summarize(rows, ("dataset", "model", "metric", "augmentation", "x"))
    parts = rows[["dataset", "model"]].drop_duplicates().sort_values(["dataset", "model"]).itertuples(index=False)
    order = [(*part, metric) for part in parts for metric in metrics]
    painter = partial(
        draw.curves, panel=panel, panels=order, x_label="epoch", share_y=False, finish=_count_epochs,
        title=lambda dataset, model, _: ", ".join(word for word in (dataset, model) if word),
    )  # fmt: skip
    return FigureItem(name, numbers, painter, sentence(words, explain_curves(rows)), short, True)


def _count_epochs(ax: "Axes", _: Table) -> None:
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _mean_over_x(table: Table, metric: str) -> Table:
    """One row per cell: the mean of a curve, without an interval."""
    rows = select_rows(table, metric)
    means = rows.groupby("cell")["value"].mean()
    once = rows.drop_duplicates("cell")
    return once.assign(value=once["cell"].map(means), x=float("nan"), low=float("nan"), high=float("nan"), n=1)


SECTIONS = (training_section,)
