"""The report as a list of sections, and those that belong to no one subject.

To add a section, write a SectionMaker and put it into SECTIONS.
"""

from pathlib import Path

from msda_analysis.report import captions, panels, tables
from msda_analysis.report.section import FigureItem, Section, SectionMaker, metric_tables, present
from msda_analysis.report.sections import claims
from msda_analysis.report.sections import likeness as robustness_panels
from msda_analysis.report.sections.information import (
    between_section,
    bounds_section,
    information_section,
    layers_section,
)
from msda_analysis.report.sections.masks import masks_section
from msda_analysis.report.sections.robustness import (
    claims_section,
    comparison_section,
    likeness_section,
    robustness_section,
)
from msda_analysis.report.select import select_rows
from msda_analysis.report.words import Table, known_metrics

_NOTED_ELSEWHERE = ("flag", "accuracy_difference", *robustness_panels.MATRIX_METRICS, *claims.READINGS)


def training_section(table: Table, folder: Path) -> Section | None:
    """Training curves and times."""
    shown = present(table, panels.TRAIN_METRICS)
    if not shown:
        return None
    rows = select_rows(table, shown)
    figure, numbers = panels.draw_training(rows)
    caption = captions.sentence(captions.TRAINING, captions.explain_curves(rows))
    item = FigureItem("training", figure, numbers, caption, "Training losses by epoch, one panel per model and part.")
    timed = present(table, ("epoch_seconds",))
    times = ()
    if timed:
        times = metric_tables(_mean_over_x(table, timed[0]), timed, "training_time", captions.FIRST_EPOCHS)
    return Section("training", "Training", figures=(item,), tables=times, metrics=(*shown, *timed))


def flags_section(table: Table, folder: Path) -> Section | None:
    """What the study's own checks found suspicious, and the warnings that came with single numbers."""
    done = table[table["status"] == "ok"]
    flags = done[done["metric"] == "flag"]
    is_note = done["note"].str.strip().ne("") & ~done["metric"].isin(_NOTED_ELSEWHERE)
    notes = _merge_notes(done[is_note])
    listed = []
    if len(flags):
        caption = "Checks that a reader should know of before trusting a number."
        columns = ("model", "augmentation", "seed", "attack", "check", "note")
        flags = flags.rename(columns={"label": "check"})
        listed.append(tables.text_table(flags, columns, name="flags", caption=caption))
    if len(notes):
        caption = "Warnings that came with single numbers, each kind once per model, augmentation and attack."
        columns = ("model", "augmentation", "attack", "note", "metric")
        listed.append(tables.text_table(notes, columns, name="notes", caption=caption))
    return Section("flags", "Warnings", tables=tuple(listed)) if listed else None


def other_section(table: Table, folder: Path) -> Section | None:
    """Metrics that no other section knows, so that nothing measured stays hidden."""
    rows = table[(table["status"] == "ok") & ~table["metric"].isin([*known_metrics(), "flag"])]
    if rows.empty:
        return None
    shown = rows.head(200)
    caption = f"{len(shown)} of {len(rows)} rows whose metric has no figure here; results.csv has all."
    columns = (
        "metric", "dataset", "model", "augmentation", "reference", "seed", "attack", "norm", "epsilon", "x", "label",
        "value", "unit", "verdict",
    )  # fmt: skip
    return Section(
        "other", "Other measurements", tables=(tables.text_table(shown, columns, name="other", caption=caption),)
    )


def _mean_over_x(table: Table, metric: str) -> Table:
    """One row per cell: the mean of a curve, without an interval."""
    rows = select_rows(table, metric)
    means = rows.groupby("cell")["value"].mean()
    once = rows.drop_duplicates("cell")
    return once.assign(value=once["cell"].map(means), x=float("nan"), low=float("nan"), high=float("nan"), n=1)


def _merge_notes(rows: Table) -> Table:
    """One row per model, augmentation, attack and note, with all metrics that carry it."""
    keys = ["model", "augmentation", "attack", "note"]
    metrics = rows.groupby(keys)["metric"].agg(lambda names: ", ".join(dict.fromkeys(names)))
    return metrics.reset_index()


#: Sections in the order of the page.
SECTIONS: tuple[SectionMaker, ...] = (
    masks_section, information_section, bounds_section, between_section, layers_section, claims_section, robustness_section, comparison_section,
    likeness_section, training_section, flags_section, other_section,
)  # fmt: skip
