"""The study's main numbers in one table, as a paper prints it."""

from dataclasses import asdict, replace
from pathlib import Path

from msda_analysis.estimate import Estimate
from msda_analysis.report.columns import COLUMN, PAGE
from msda_analysis.report.section import Section
from msda_analysis.report.select import (
    half_epsilons,
    has_metric,
    headline_bound,
    reference_of,
    say_reference,
    select_rows,
    split_parts,
)
from msda_analysis.report.sentences import compare_seeds, correct, read_tests
from msda_analysis.report.style import label_of
from msda_analysis.report.tables import Cell, Marked, ResultTable, by_augmentation
from msda_analysis.report.words import MAIN_ATTACKS, Table, attack_label, in_brackets, metric_of

_CAPTION = (
    "Main numbers{where}: mean over training seeds with 95 % interval. Best (in print bold): of a column where one end is the better one. "
    "An asterisk marks what differs from {reference} after Holm's correction, over the comparisons of this table, and under attack "
    "over all that the study tested."
)


def paper_section(table: Table, folder: Path) -> Section | None:
    """Augmentations by main numbers, one table for each data set."""
    del folder
    listed, reference = [], say_reference(table)
    measured = table[(table["status"] == "ok") & (table["model"] != "")]
    for suffix, words, part in split_parts(measured.assign(model="")):
        made = paper_table(
            part, name=f"paper{suffix}", caption=_CAPTION.format(where=in_brackets(words), reference=reference)
        )
        listed += [made] if made is not None else []
    return Section("paper", "The main numbers", tables=tuple(listed)) if listed else None


def paper_table(table: Table, *, name: str, caption: str) -> ResultTable | None:
    """Information by its tightest bound, accuracy, and accuracy under the main attacks; None where none was measured.

    Args:
        table: rows of one data set.
        name, caption: of the table.
    """
    columns = _columns(table)
    if not columns:
        return None
    plain = by_augmentation([(head, unit, rows) for head, unit, rows, _ in columns], name=name, caption=caption)
    marks = _significant(table, columns)
    rows = [list(row) for row in plain.rows]
    for k, (*_, is_better_high) in enumerate(columns, start=2):
        values = [cell.value for row in rows if isinstance(cell := row[k], Estimate)]
        best = max(values, default=None) if is_better_high else None
        for row in rows:
            row[k] = _marked(row[k], best, is_different=(k, row[0]) in marks)
    is_same = len({row[1] for row in rows}) == 1
    kept = [i for i in range(len(plain.headers)) if i != 1 or not is_same]
    seeds = f" {rows[0][1]} training seed{'' if rows[0][1] == '1' else 's'} each." if is_same else ""
    return replace(
        plain, headers=tuple(plain.headers[i] for i in kept), units=tuple(plain.units[i] for i in kept),
        rows=tuple(tuple(row[i] for i in kept) for row in rows), caption=caption + seeds, widths=(COLUMN, PAGE),
    )  # fmt: skip


def _columns(table: Table) -> list[tuple[str, str, Table, bool]]:
    """Header, unit, rows, and whether more is better."""
    columns = []
    metric = headline_bound(table) or ("rate" if has_metric(table, "rate") else None)
    if metric is not None:
        columns.append((metric_of(metric).label, "nats", select_rows(table, metric), False))
    if has_metric(table, "accuracy"):
        columns.append(("Clean accuracy", "fraction", select_rows(table, "accuracy"), True))
    for (attack, norm), epsilon in (half_epsilons(table) if has_metric(table, "robust_accuracy") else {}).items():
        if attack in MAIN_ATTACKS:
            rows = select_rows(table, "robust_accuracy", attack=attack, norm=norm, epsilon=epsilon)
            columns.append((attack_label(attack, norm), f"fraction, epsilon = {epsilon:g}", rows, True))
    return [column for column in columns if not column[2].duplicated(["metric", "augmentation", "seed"]).any()]


def _significant(table: Table, columns: list[tuple[str, str, Table, bool]]) -> set[tuple[int, str]]:
    """(column, label) of what differs from the reference after correction."""
    by_seed, found, reference = [], [], reference_of(table)
    for k, (*_, rows, _) in enumerate(columns, start=2):
        subject = str(k)
        if rows["metric"].iloc[0] != "robust_accuracy":
            by_seed += compare_seeds(rows, subject)
            continue
        first = rows.iloc[0]
        is_here = (table[["attack", "norm", "epsilon"]] == first[["attack", "norm", "epsilon"]]).all(axis=1)
        found += read_tests(table[is_here & (table["metric"] == "accuracy_difference")], subject)
    decided = [
        one for one in [*correct(by_seed), *found] if one.is_decided and reference in (one.augmentation, one.reference)
    ]
    return {
        (int(one.subject), label_of(one.augmentation))
        for one in decided
        if one.verdict and "one run" not in one.verdict
    }


def _marked(cell: Cell, best: float | None, *, is_different: bool) -> Cell:
    if cell is None or isinstance(cell, str):
        return cell
    return Marked(**asdict(cell), is_best=cell.value == best, mark="*" if is_different else "")


SECTIONS = (paper_section,)
