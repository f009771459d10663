"""What mixing costs a training step, and how long networks train to an accuracy."""

from functools import partial
from pathlib import Path

from msda_analysis.report import draw
from msda_analysis.report.section import FigureItem, Section, present
from msda_analysis.report.select import select_rows
from msda_analysis.report.style import label_of, spare_looks
from msda_analysis.report.tables import ResultTable, estimate_of
from msda_analysis.report.words import Metric, Table, define, metric_of

METRICS = {
    "bench_training_step": Metric("Training step", "training step",
        "Wall time of a whole optimizer step: mix, forward, backward, update; median and quartiles over rounds.",
    ),
    "bench_mixing_call": Metric("Mixing", "mixing", "Wall time of the mixing of one batch, a call of its own in the same rounds."),
    "bench_mixing_overhead": Metric("Mixing, share of a plain step", "mixing, share of a plain step",
        "The mixing of one batch in percent of the step without mixing of the same round; median and quartiles over rounds.",
    ),
    "bench_step_difference": Metric("Longer than a plain step", "longer than a plain step",
        "What a step with mixing takes longer than the step without of the same round, in percent of that one; median and "
        "quartiles over rounds.",
    ),
}  # fmt: skip
ACCURACIES = {
    "bench_accuracy": Metric("Test accuracy by time", "top-1 accuracy",
        "Share of test images that are classified correctly after an epoch, with its 95 % interval (Wilson) over these images.",
    ),
    "bench_accuracy_over_views": Metric("Test accuracy over views", "top-1 accuracy",
        "The same at the end of the training, of logits averaged over shifts and mirrors of each image.",
    ),
    "bench_training_time": Metric("Training time", "training time",
        "Of training alone, setting up included and scoring left out: processor time of all threads on a CPU, wall time on a GPU.",
    ),
}  # fmt: skip
define(METRICS, told=tuple(METRICS))
define(ACCURACIES, told=tuple(ACCURACIES))
_STEP, _CALL, _SHARE, _LONGER = METRICS
_ACCURACY, _OVER_VIEWS, _TIME = ACCURACIES
_WAYS = (
    "A row a way to mix: ours with lambda and mask for each image, or one lambda (and but for CutMix one mask) for the batch; other "
    "packages, where installed; and the released one, a mask a batch by NumPy."
)
_QUARTILES = "Bars are quartiles over rounds in which all ways took turns, in one process on one machine."
_BARS = "Bars are 95 % intervals over test images."
_ONE_RUN = "Each network was trained once: other seeds would give other accuracies, and other machines other times."


def cost_section(table: Table, folder: Path) -> Section | None:
    """Steps and mixing of a benchmark of costs."""
    del folder
    shown = present(table, tuple(METRICS))
    if _SHARE not in shown:
        return None
    ways = _by_way(table)
    said = tuple(_cost_sentence(part, str(model)) for model, part in ways.groupby("model", sort=False))
    tables = tuple(_cost_table(part, str(model)) for model, part in ways.groupby("model", sort=False))
    return Section(
        "cost", "What does mixing cost a training step?", (_WAYS,), said, (cost_figure(table),), tables, tuple(shown),
    )  # fmt: skip


def _cost_sentence(ways: Table, model: str) -> str:
    """What our FMix takes of a plain step of one network."""
    rows = ways[
        (ways["metric"] == _SHARE) & ways["augmentation"].str.startswith("fmix") & ways["way"].str.startswith("ours")
    ]
    shares = ", ".join(
        f"{row['value']:.2g} % with {label_of(row['augmentation'])} {row['way'].removeprefix('ours, ')} [{row['low']:.2g}, {row['high']:.2g}]"
        for row in rows.to_dict("records")
    )
    first = rows.iloc[0]
    return (
        f"Mixing takes this much of a plain step of {model}, batches of {first['batch']}: {shares} (quartiles over {first['n']:.0f} "
        "rounds)."
    )


def cost_figure(table: Table) -> FigureItem:
    """Step and share of mixing by way, two panels a network.

    Raises:
        ValueError: the table has no such rows.
    """
    numbers = _by_way(table)
    numbers = numbers[numbers["metric"].isin([_STEP, _SHARE])].reset_index(drop=True)
    panels = [(model, metric) for model in dict.fromkeys(numbers["model"]) for metric in (_STEP, _SHARE)]
    painter = partial(
        draw.dots, panel=("model", "metric"), panels=panels, row="way", title=lambda model, _: model, columns=2,
        finish=lambda ax, _: ax.set_xlim(left=0),
    )  # fmt: skip
    caption = (
        f"Whole training steps, and the mixing alone as a share of a step without, by network. {_WAYS} {_QUARTILES}"
    )
    return FigureItem("cost", numbers, painter, caption, "Dot plot of training steps by way to mix.")


def _by_way(table: Table) -> Table:
    """Rows with the family as augmentation, its way, and images a batch: they stand in the label and in the note."""
    rows = select_rows(table, list(METRICS))
    parts = rows["label"].str.split(", ")
    found = rows.assign(augmentation=parts.str[0], way=rows["note"], batch=parts.str[-1])
    return found[["metric", "model", "augmentation", "way", "batch", "value", "unit", "low", "high", "n"]]


def _cost_table(rows: Table, model: str) -> ResultTable:
    units = rows.drop_duplicates("metric").set_index("metric")["unit"]
    lines = []
    for (family, way), part in rows.groupby(["augmentation", "way"], sort=False):
        cells = {row["metric"]: estimate_of(row) for row in part.to_dict("records")}
        lines.append((label_of(family), way, *(cells.get(metric) for metric in METRICS)))
    caption = f"{model}, batches of {rows['batch'].iloc[0]}: medians with quartiles over rounds."
    headers = ("Augmentation", "Way", *(metric_of(metric).label for metric in METRICS))
    return ResultTable(
        f"cost_{model}", caption, headers, tuple(lines), ("", "", *(units[metric] for metric in METRICS))
    )


def accuracy_section(table: Table, folder: Path) -> Section | None:
    """Accuracy by time of training, a line a network, and how far each came."""
    del folder
    shown = present(table, tuple(ACCURACIES))
    if _TIME not in shown:
        return None
    ends = select_rows(table, _TIME).to_dict("records")
    said = tuple(f"{row['model']}: {row['note']}, in {row['value']:.0f} s." for row in ends)
    figures = (accuracy_figure(table),) if _ACCURACY in shown else ()
    return Section(
        "accuracy", "Which accuracy in which time?", findings=said, figures=figures, tables=(_accuracy_table(table),),
        metrics=tuple(shown), limits=(_ONE_RUN,),
    )  # fmt: skip


def accuracy_figure(table: Table) -> FigureItem:
    """Test accuracy against seconds of training, a panel a data set.

    Raises:
        ValueError: the table has no such rows.
    """
    rows = select_rows(table, _ACCURACY)
    numbers = rows[["dataset", "metric", "model", "x", "value", "unit", "low", "high", "n"]].reset_index(drop=True)
    clock = "processor time" if (rows["device"] == "cpu").all() else "time"
    painter = partial(
        draw.curves, panel=("dataset", "metric"), hue="model", looks=spare_looks(numbers["model"]), labels=str,
        title=lambda dataset, _: dataset, x_label=f"{clock} of training (s)", height=2.2,
    )  # fmt: skip
    caption = (
        f"Accuracy on test images after each epoch against {clock} of training alone, scoring left out, without mixing. "
        f"{_BARS} A network without a line ended no epoch within the limit."
    )
    return FigureItem("accuracy_by_time", numbers, painter, caption, "Test accuracy by time of training and network.")


def _accuracy_table(table: Table) -> ResultTable:
    lines = []
    for model, part in select_rows(table, list(ACCURACIES)).groupby("model", sort=False):
        rows = {
            row["metric"]: row for row in part.sort_values("x", na_position="first").to_dict("records")
        }  # the last epoch
        cells = (estimate_of(rows[metric]) if metric in rows else None for metric in ACCURACIES)
        lines.append((str(model), *cells, rows[_TIME]["note"]))
    caption = "Accuracy after the last epoch that ended, over views where the recipe came to its end, and what it took. Intervals are over test images."
    headers = ("Network", *(metric_of(metric).label for metric in ACCURACIES), "How far it came")
    return ResultTable("accuracy_by_time", caption, headers, tuple(lines), ("", "", "", "s", ""))


SECTIONS = (cost_section, accuracy_section)
