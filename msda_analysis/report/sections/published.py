"""Accuracy beside what the paper reports for the same run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from msda_analysis.estimate import Estimate
from msda_analysis.report.section import Section, present
from msda_analysis.report.select import select_rows, split_parts
from msda_analysis.report.style import label_of
from msda_analysis.report.tables import ResultTable, by_augmentation
from msda_analysis.report.words import Metric, Table, define

METRICS = {
    "published_accuracy": Metric("Published accuracy", "published accuracy",
        "What the paper reports of this run, without an interval of its own.",
    ),
}  # fmt: skip
define(METRICS)
_CAPTION = (
    "Clean accuracy beside the published one ({words}), mean over seeds with 95 % interval over images and seeds. The difference is "
    "ours less the published number, whose own spread is not known."
)


def published_section(table: Table, folder: Path) -> Section | None:
    """Clean accuracies, the published ones, and the differences."""
    del folder
    if len(present(table, ("accuracy", *METRICS))) < 2:
        return None
    tables = tuple(
        published_table(part, name=f"published{suffix}", caption=_CAPTION.format(words=words))
        for suffix, words, part in split_parts(select_rows(table, ["accuracy", *METRICS]))
        if len(present(part, ("accuracy", *METRICS))) == 2
    )
    return Section("published", "Beside the published accuracy", tables=tables, metrics=tuple(METRICS))


def published_table(table: Table, *, name: str = "published", caption: str) -> ResultTable:
    """Clean accuracy, the published one and the difference, for augmentations that have a published one.

    Raises:
        ValueError: the table lacks either metric.
    """
    rows = select_rows(table, "published_accuracy")
    published = {label_of(row["augmentation"]): float(row["value"]) for row in rows.to_dict("records")}
    ours = select_rows(table, "accuracy")
    ours = ours[ours["augmentation"].isin(rows["augmentation"])]
    alone = by_augmentation([("Accuracy", "fraction", ours)], name=name, caption=caption)
    beside = []
    for label, seeds, found in alone.rows:
        theirs = published[str(label)]
        beside.append((label, seeds, found, Estimate(theirs, "fraction"), _less(found, theirs)))
    return replace(
        alone, rows=tuple(beside), headers=(*alone.headers, "Published", "Difference"),
        units=(*alone.units, "fraction", "fraction"),
    )  # fmt: skip


def _less(found: Any, number: float) -> Estimate:
    """An estimate less a number that is taken as it is."""
    ends = [None if end is None else end - number for end in (found.low, found.high)]
    return replace(found, value=found.value - number, low=ends[0], high=ends[1])


SECTIONS = (published_section,)
