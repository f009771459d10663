"""Warnings of the study's own checks and of single numbers, and metrics that no section shows."""

from collections.abc import Iterable
from pathlib import Path

from msda_analysis.report.section import Section
from msda_analysis.report.tables import ResultTable, text_table
from msda_analysis.report.words import Table, attack_label, define, is_known, is_told

_FLAG = "flag"
_RUN = ["model", "augmentation", "seed"]
_NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"
_SHOWN = 4  # attacks or metrics that are named
_MOST = 200  # rows that the page lists of metrics it does not know
define({}, told=(_FLAG,))


def flags_section(table: Table, folder: Path) -> Section | None:
    """What the study's own checks found suspicious, and the warnings that came with single numbers, counted by kind."""
    del folder
    done = table[table["status"] == "ok"]
    flags = done[done["metric"] == _FLAG]
    notes = done[done["note"].str.strip().ne("") & ~done["metric"].map(is_told).astype(bool)]
    listed, said = [], ()
    if len(flags):
        kinds = _count_kinds(flags.assign(kind=flags["label"]), done, "Check")
        caption = "Checks that a reader should know of before trusting a number."
        listed.append(ResultTable("flags", caption, *kinds))
        columns = ("model", "augmentation", "seed", "attack", "check", "note")
        flags = flags.rename(columns={"label": "check"})
        listed.append(text_table(flags, columns, name="flags_all", caption="Every such finding.", is_folded=True))
    if len(notes):
        kind = notes["note"].str.replace(_NUMBER, "#", regex=True)
        caption = "Warnings that came with single numbers, by kind; results.csv has all, beside their numbers."
        kinds = _count_kinds(notes.assign(kind=kind), done, "")
        listed.append(ResultTable("notes", caption, *kinds, is_folded=True))
        said = (f"{len(kinds[1])} kind{'s' if len(kinds[1]) > 1 else ''} of warnings came with single numbers.",)
    return Section("flags", "Warnings", said, tables=tuple(listed)) if listed else None


def _count_kinds(rows: Table, done: Table, head: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Headers and rows of a table: a kind, in how many runs it was met, where, and one example in words."""
    lines = []
    for kind, part in rows.groupby("kind", sort=False):
        runs = part.drop_duplicates(_RUN)
        every = done[done["model"].isin(set(part["model"])) & (done["reference"] == "")].drop_duplicates(_RUN)
        where = _listed(attack_label(name) for name in part["attack"] if name) or _listed(part["metric"])
        line = (f"{len(runs)} of {max(len(runs), len(every))} runs", where, str(part["note"].iloc[0]))
        lines.append((str(kind), *line) if head else line)
    return ((head,) if head else ()) + ("Met in", "Where", "Example"), tuple(lines)


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:_SHOWN]) + (f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else "")


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


SECTIONS = (flags_section, other_section)
