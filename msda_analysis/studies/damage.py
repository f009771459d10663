"""What is wrong with a study's folder: its cells, its table, and what was made from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from msda_analysis.files import is_leftover
from msda_analysis.results import read_rows, read_table
from msda_analysis.studies.seal import (
    describe_file,
    find_damage,
    find_damaged_note,
    find_fault,
    read_signed,
    write_signed,
)
from msda_analysis.studies.store import find_damaged_cells, find_lost_rows, read_study

#: Sizes and checksums of what a run wrote beside its cells.
OUTPUTS = "outputs.json"
_TABLE, _PLAN, _CELLS, _KEPT = "results.csv", "study.json", "cells", "kept"
_PLACES = ("", "figures", "tables", "pictures")


@dataclass(frozen=True)
class Damage:
    """What is wrong with a folder.

    Attributes:
        lines: one for each thing.
        doubtful: cells of which the table has other rows than they measured: no number of these may be shown.
    """

    lines: list[str]
    doubtful: list[str]


def find_all_damage(folder: Path) -> Damage:
    """Hold all that a study's folder has against what was noted when it was written.

    A folder without cells, as a committed result, has nothing to be held against.

    Raises:
        ValueError: its table is damaged so that it cannot be read.
    """
    folder = Path(folder)
    if not (folder / _CELLS).is_dir():
        return Damage([], [])
    read_table(folder / _TABLE)  # raises where the rest could not tell what it sees
    changed = find_changed_rows(folder)
    lines = [*find_damaged_cells(folder), *find_lost_rows(folder), *changed.values()]
    return Damage([*lines, *find_damaged_outputs(folder), *_damaged_notes(folder)], list(changed))


def find_changed_rows(folder: Path) -> dict[str, str]:
    """Cells whose rows in results.csv are not those in the cell's folder, each with a line that says so."""
    by_cell: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(folder / _TABLE):
        if row["status"] == "ok":
            by_cell.setdefault(row["cell"], []).append(row)
    lines = {}
    for name, rows in by_cell.items():
        path = folder / _CELLS / name / "rows.csv"
        if not path.is_file():
            lines[name] = f"{folder / _TABLE} has rows of cell {name}, which is missing"
        elif find_damage(path.parent):
            continue  # which is said of the cell; the table is of before
        elif n := _count_others(rows, path):
            lines[name] = f"{folder / _TABLE} has {n} other rows of cell {name} than {path}"
    return lines


def find_damaged_outputs(folder: Path) -> list[str]:
    """What is wrong with what a run wrote beside its cells, and with what it asked for; one line each."""
    lines = []
    try:
        read_study(folder)
    except FileNotFoundError:
        lines.append(f"{folder / _PLAN} is missing")
    except ValueError as error:
        lines.append(str(error))
    try:
        faults = (find_fault(folder / name, expected) for name, expected in _recorded(folder).items())
        lines += [fault for fault in faults if fault]
    except FileNotFoundError:
        lines.append(
            f"{folder / OUTPUTS} is missing, which vouches for tables and figures: the last run did not end, or is of an "
            "older version; run the study again"
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        lines.append(f"{folder / OUTPUTS} cannot be read ({error})")
    return lines


@contextmanager
def vouched(folder: Path, *, whole: bool) -> Iterator[None]:
    """Note sizes and checksums of the files that the block writes beside the cells of a study; nothing for other folders.

    Args:
        whole: the block writes all of them anew; else what was noted of the others stays, so that damage is not forgotten.
    """
    if not (folder / _CELLS).is_dir():
        yield
        return
    try:
        known = _recorded(folder)
    except (OSError, ValueError, KeyError):
        known = {}
    before = _outputs(folder)
    if whole:
        (folder / OUTPUTS).unlink(missing_ok=True)  # from here on nothing vouches for them, until all are there
    yield
    after = _outputs(folder)
    written = {name: describe_file(folder / name) for name, version in after.items() if before.get(name) != version}
    kept = {
        name: known[name]
        for name in known
        if not whole or (name in after and not find_fault(folder / name, known[name]))
    }
    write_signed(folder / OUTPUTS, {"files": dict(sorted({**kept, **written}.items()))})


def _recorded(folder: Path) -> dict[str, dict]:
    found = read_signed(folder / OUTPUTS)
    if other := found.keys() - {"files"}:
        raise ValueError(f"unknown entries {', '.join(sorted(other))}")
    return found["files"]


def _outputs(folder: Path) -> dict[str, tuple[int, int]]:
    """File beside the cells -> what tells that it was written again."""
    places = [folder / place for place in _PLACES if (folder / place).is_dir()]
    paths = [path for place in places for path in place.iterdir() if path.is_file() and not is_leftover(path)]
    found = {path.relative_to(folder).as_posix(): path.stat() for path in paths}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items() if name not in (OUTPUTS, _PLAN)}


def _count_others(rows: list[dict[str, str]], path: Path) -> int:
    """How many rows are not among those in a cell's folder; that there are fewer is said elsewhere."""
    own = {repr([*row.items()]) for row in read_rows(path)}
    return sum(repr([*row.items()]) not in own for row in rows)


def _damaged_notes(folder: Path) -> Iterator[str]:
    """What no number depends on now: how long cells took, and batches of attacks that a grown study would go on from."""
    for cell in sorted((folder / _CELLS).iterdir()):
        if cell.is_dir() and (fault := find_damaged_note(cell)):
            yield f"{fault}; its time is not counted"
    for path in sorted((folder / _KEPT).glob("*/[!.]*.npz")):
        try:
            with ZipFile(path) as archive:
                fault = archive.testzip()
        except Exception as error:  # refusals of zip and of its compressions have no common class
            fault = str(error)
        if fault:
            yield f"{path} is damaged ({fault}); its batch is computed again where it is asked for"
