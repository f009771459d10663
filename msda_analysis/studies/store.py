"""The output folder: what is finished stays finished, whatever interrupts the rest."""

import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from msda_analysis.files import is_leftover, remove_leftovers, replace_file
from msda_analysis.results import read_rows, write_table
from msda_analysis.studies.growth import grow
from msda_analysis.studies.plan import Plan
from msda_analysis.studies.seal import (
    ROWS,
    TIMING,
    find_damage,
    find_damaged_note,
    is_sealed,
    is_unsealed,
    read_seal,
    read_signed,
    seal,
    write_signed,
)

_PLAN, _FAILURE, _CELLS, _LOCKS, _KEPT = "study.json", "failure.json", "cells", "locks", "kept"
#: Folder inside a cell's, of what a cell that was stopped goes on from; it is there until the cell is done.
RESUME = "resume"


class NamedCell(Protocol):
    """A piece of work, kept in a folder of its name."""

    @property
    def name(self) -> str:
        """Folder name, unique within the plan."""
        ...

    @property
    def needs(self) -> Sequence["NamedCell"]:
        """Cells that must be done before."""
        ...


class Store:
    """One study's folder: study.json, cells/NAME/ with each cell's files, and locks/ for runners that share it.

    A cell is done when its done.json is there, which is written last and in one step, and vouches for all its files.

    Args:
        folder: an existing one must hold a plan that this one can be added to (see growth.grow), or be empty but for
            left-over temporary files.
        plan: what is asked for.

    Attributes:
        plan: all that was asked for in this folder.
        asked: the plans that were, one after the other, each with its command and time.

    Raises:
        ValueError: the folder holds another study, or files that are not a study.
    """

    def __init__(self, folder: Path, plan: Plan):
        self.folder, self._wanted = Path(folder), plan
        self.plan, self.asked = self._add(plan)

    def claim(self, command: str = "") -> None:
        """Note in the folder that this plan was asked for; until then nothing is written.

        Raises:
            ValueError: another study came first.
        """
        with self.hold("study", wait=True):
            remove_leftovers(self.folder, _PLAN)
            self.plan, self.asked = self._add(self._wanted)  # another process may have been here since
            wanted = self._wanted.identity()
            if wanted not in [asked["plan"] for asked in self.asked]:
                when = datetime.now(UTC).isoformat(timespec="seconds")
                self.asked.append({"created": when, "command": command, "plan": wanted})
                write_signed(self.folder / _PLAN, {"plan": self.plan.identity(), "asked": self.asked})

    @contextmanager
    def hold(self, name: str, *, wait: bool) -> Iterator[bool]:
        """Keep other processes from a cell, or from another part of the folder, while the block runs.

        Args:
            name: of the cell or the part.
            wait: until whoever holds it is done; else the block runs with False where it is held.
        """
        path = self._lock(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            is_held = False
        else:
            is_held = True
        try:
            yield is_held
        finally:
            if is_held:
                lock.release()

    def _lock(self, name: str) -> Path:
        return self.folder / _LOCKS / f"{name}.lock"  # not in the cell's folder, which start() empties

    def cell_folder(self, cell: NamedCell) -> Path:
        """Folder of a cell's files."""
        return self.folder / _CELLS / cell.name

    def kept(self, name: str) -> Path:
        """A folder for what cells resume from, and other cells after them."""
        return self.folder / _KEPT / name

    def is_done(self, cell: NamedCell) -> bool:
        """Whether a cell is finished and its files are as they were then."""
        return is_sealed(self.cell_folder(cell))

    def has_failed(self, cell: NamedCell, run_name: str | None = None) -> bool:
        """Whether a cell's last run failed, here or in another process.

        Args:
            run_name: count only what failed in this run; see fail().
        """
        path = self.cell_folder(cell) / _FAILURE
        return path.is_file() and (run_name is None or (run_name != "" and _read_json(path).get("run") == run_name))

    def checksum(self, cell: NamedCell, name: str) -> str:
        """Of a finished cell's file."""
        return read_seal(self.cell_folder(cell))["files"][name]["blake2b"]

    def start(self, cell: NamedCell) -> Path:
        """A folder for a cell that is about to run, clean but for what it goes on from."""
        folder = self.cell_folder(cell)
        folder.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():  # left by an interrupted or failed run
            if entry.is_file():
                entry.unlink()
        return folder

    def finish(
        self, cell: NamedCell, rows: Sequence[Mapping[str, Any]], seconds: float, threads: int | None = None
    ) -> None:
        """Note the rows of a cell, how long it took and on how many CPU threads, and mark it as done."""
        folder = self.cell_folder(cell)
        self._write_json(folder / TIMING, {"seconds": seconds, "threads": threads})
        write_table(rows, folder / ROWS)
        seal(folder, len(rows))
        self._drop_resume(cell)

    def failure(self, cell: NamedCell) -> str:
        """Why a cell failed, where it did."""
        return str(_read_json(self.cell_folder(cell) / _FAILURE)["row"]["note"])

    def is_held(self, cell: NamedCell) -> bool:
        """Whether a process runs a cell now. Asked only of begun ones, and of locks that are there: nothing is written."""
        path = self._lock(cell.name)
        if not self.cell_folder(cell).is_dir() or not path.is_file() or not os.access(path, os.W_OK):
            return False
        with self.hold(cell.name, wait=False) as is_free:
            return not is_free

    def fail(self, cell: NamedCell, row: Mapping[str, Any], trace: str, run_name: str = "") -> None:
        """Note why a cell failed; it will be tried again by the next run, which has another name."""
        self._write_json(self.cell_folder(cell) / _FAILURE, {"run": run_name, "row": dict(row), "traceback": trace})

    def clean(self) -> None:
        """Remove what killed processes left of half-written tables, figures and pages, while "outputs" is held."""
        remove_leftovers(self.folder, but=_PLAN)  # which another process may be writing now
        for folder in ("figures", "tables", "pictures"):
            remove_leftovers(self.folder / folder)

    def collect(self, cells: Sequence[NamedCell]) -> Path:
        """Write results.csv from the rows of all done cells and the notes of failed ones."""
        rows: list[Mapping[str, Any]] = []
        for cell in cells:
            if self.is_done(cell):
                rows += read_rows(self.cell_folder(cell) / ROWS)
                self._drop_resume(cell)  # left by a kill right after the cell was done
            elif self.has_failed(cell):
                rows.append(_read_json(self.cell_folder(cell) / _FAILURE)["row"])
        path = self.folder / "results.csv"
        write_table(rows, path)
        return path

    def seconds(self, cells: Sequence[NamedCell]) -> float:
        """What the done cells took, over all runs and machines; one whose note of it is damaged counts as 0."""
        return math.fsum(_read_seconds(self.cell_folder(cell) / TIMING) for cell in cells if self.is_done(cell))

    def threads(self, cells: Sequence[NamedCell]) -> list[int]:
        """On how many CPU threads the done cells ran, each number once; those that did not note it are left out."""
        noted = {_read_noted(self.cell_folder(cell) / TIMING, "threads") for cell in cells if self.is_done(cell)}
        return sorted(n for n in noted if isinstance(n, int) and n > 0)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write manifest.json: what ran, where, with which versions."""
        self._write_json(self.folder / "manifest.json", manifest)

    def _drop_resume(self, cell: NamedCell) -> None:
        shutil.rmtree(self.cell_folder(cell) / RESUME, ignore_errors=True)

    def _add(self, plan: Plan) -> tuple[Plan, list[dict[str, Any]]]:
        """What the folder holds with this plan added, and what was asked for before."""
        known = self._known()
        if known is None:
            return plan, []
        known, asked = _split(known)
        try:
            return grow(known, plan), asked
        except ValueError as error:
            raise ValueError(
                f"out: {self.folder} already holds another study, which differs in {error}; choose another --out, or "
                "remove that folder"
            ) from error

    def _known(self) -> Any:
        path = self.folder / _PLAN
        if path.is_file():
            try:
                return _read_plan(path)
            except ValueError as error:
                raise ValueError(f"out: {error}; choose another --out") from error
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"out: {self.folder} is a file; choose another --out")
        if self.folder.is_dir():
            for entry in self.folder.iterdir():
                if entry.name != _LOCKS and not is_leftover(entry):
                    raise ValueError(
                        f"out: {self.folder} is not empty and holds no study (it has {entry.name}); choose another --out"
                    )
        return None

    @staticmethod
    def _write_json(path: Path, content: Any) -> None:
        with replace_file(path) as file:
            json.dump(content, file, indent=1, default=str)


def read_study(folder: Path) -> Any:
    """Identity of the plan that a folder holds.

    Raises:
        FileNotFoundError: it holds none.
        ValueError: it is damaged.
    """
    path = folder / _PLAN
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: expected the folder of a study, with {_PLAN} in it")
    return _split(_read_plan(path))[0]


def find_damaged_cells(folder: Path, names: Sequence[str] | None = None) -> list[str]:
    """What is wrong with finished cells of a study's folder, one line each; they count as not done.

    Args:
        names: cells to look at; None for all that have a folder, where the study is not known.
    """
    cells = Path(folder) / _CELLS
    names = sorted(path.name for path in cells.glob("*") if path.is_dir()) if names is None else names
    lines = [f"{damage}; the cell counts as not done" for name in names if (damage := find_damage(cells / name))]
    if unsealed := [name for name in names if is_unsealed(cells / name)]:
        lines.append(
            f"{len(unsealed)} cells in {cells} have no done.json, which an earlier version did not write, and count as "
            f"not done: {shorten(unsealed)}"
        )
    return lines


def find_lost_rows(folder: Path) -> list[str]:
    """Finished cells of which results.csv has some rows but not all, one line each."""
    path, cells = Path(folder) / "results.csv", Path(folder) / _CELLS
    counts = Counter(row["cell"] for row in read_rows(path) if row["status"] == "ok") if cells.is_dir() else Counter()
    sealed = {name: read_seal(cells / name)["rows"] for name in counts if is_sealed(cells / name)}
    return [
        f"{path} has {counts[name]} of the {n_rows} rows of cell {name}; run the study again to collect them"
        for name, n_rows in sealed.items() if counts[name] != n_rows
    ]  # fmt: skip


def shorten(names: Sequence[str], shown: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _split(known: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The plan in study.json, and what was asked for; an older version wrote the plan alone."""
    if isinstance(known, dict) and "asked" in known:
        return known["plan"], known["asked"]
    return known, []


def _read_plan(path: Path) -> Any:
    """What study.json says; an older version wrote no checksum of it."""
    known = _read_json(path)
    try:
        known = read_signed(path) if isinstance(known, dict) else known
        if isinstance(known, dict) and "asked" in known and (other := known.keys() - {"plan", "asked"}):
            raise ValueError(f"unknown entries {', '.join(sorted(other))}")
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return known


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error


def _read_seconds(path: Path) -> float:
    try:
        seconds = float(_read_noted(path, "seconds"))
    except (ValueError, TypeError):
        return 0.0
    return seconds if 0 <= seconds < math.inf else 0.0


def _read_noted(path: Path, name: str) -> Any:
    """What timing.json says; None where it is missing or damaged."""
    try:
        if find_damaged_note(path.parent):
            return None
        return _read_json(path)[name]
    except (OSError, ValueError, KeyError, TypeError):
        return None
