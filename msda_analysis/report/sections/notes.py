"""Warnings of the study's own checks and of single numbers, and metrics that no section shows."""

from pathlib import Path

from msda_analysis.report.section import Section
from msda_analysis.report.tables import text_table
from msda_analysis.report.words import Table, define, is_known, is_told

_FLAG = "flag"
_MOST = 200  # rows that the page lists of metrics it does not know
define({}, told=(_FLAG,))


def flags_section(table: Table, folder: Path) -> Section | None:
    """What the study's own checks found suspicious, and the warnings that came with single numbers."""
    del folder
    done = table[table["status"] == "ok"]
    flags = done[done["metric"] == _FLAG]
    is_note = done["note"].str.strip().ne("") & ~done["metric"].map(is_told).astype(bool)
    notes = _merge_notes(done[is_note])
    listed = []
    if len(flags):
        caption = "Checks that a reader should know of before trusting a number."
        columns = ("model", "augmentation", "seed", "attack", "check", "note")
        listed.append(text_table(flags.rename(columns={"label": "check"}), columns, name="flags", caption=caption))
    if len(notes):
        caption = "Warnings that came with single numbers, each kind once per model, augmentation and attack."
        columns = ("model", "augmentation", "attack", "note", "metric")
        listed.append(text_table(notes, columns, name="notes", caption=caption))
    return Section("flags", "Warnings", tables=tuple(listed)) if listed else None


def other_section(table: Table, folder: Path) -> Section | None:
    """Metrics that no other section knows, so that nothing measured stays hidden."""
    del folder
    rows = table[(table["status"] == "ok") & ~table["metric"].map(is_known).astype(bool)]
    if rows.empty:
        return None
    shown = rows.head(_MOST)
    caption = f"{len(shown)} of {len(rows)} rows whose metric has no figure here; results.csv has all."
    columns = (
        "metric", "dataset", "model", "augmentation", "reference", "seed", "attack", "norm", "epsilon", "x", "label",
        "value", "unit", "verdict",
    )  # fmt: skip
    return Section("other", "Other measurements", tables=(text_table(shown, columns, name="other", caption=caption),))


def _merge_notes(rows: Table) -> Table:
    """One row per model, augmentation, attack and note, with all metrics that carry it."""
    keys = ["model", "augmentation", "attack", "note"]
    metrics = rows.groupby(keys)["metric"].agg(lambda names: ", ".join(dict.fromkeys(names)))
    return metrics.reset_index()
