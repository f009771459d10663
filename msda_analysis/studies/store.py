"""The output folder: what is finished stays finished, whatever interrupts the rest."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from msda_analysis.files import replace_file
from msda_analysis.results import read_rows, write_table

_PLAN, _ROWS, _FAILURE, _TIMING = "study.json", "rows.csv", "failure.json", "timing.json"
#: Folder inside a cell's folder for what a cell can resume from.
PARTIAL = "partial"


class Plan(Protocol):
    """What a folder belongs to."""

    def identity(self) -> dict[str, Any]:
        """All that decides the numbers, as plain JSON values."""
        ...


class NamedCell(Protocol):
    """A piece of work, kept in a folder of its name."""

    @property
    def name(self) -> str:
        """Folder name, unique within the plan."""
        ...


class Store:
    """One study's folder: study.json, and cells/NAME/ with each cell's files.

    A cell is done when its rows.csv is there, which is written last and in one step.

    Args:
        folder: an existing one must hold this same study, or be empty.

    Raises:
        ValueError: the folder holds another study, or files that are not a study.
    """

    def __init__(self, folder: Path, plan: Plan):
        self.folder = Path(folder)
        identity = plan.identity()
        self._identity = identity
        known = self._known_identity()
        if known is not None and known != identity:
            raise ValueError(
                f"out: {self.folder} already holds another study, which differs in {_differences(known, identity)}; "
                "choose another --out, or remove that folder"
            )

    def claim(self) -> None:
        """Make the folder this study's; until then nothing is written."""
        if not (self.folder / _PLAN).is_file():
            self._write_json(self.folder / _PLAN, self._identity)

    def cell_folder(self, cell: NamedCell) -> Path:
        """Folder of a cell's files."""
        return self.folder / "cells" / cell.name

    def is_done(self, cell: NamedCell) -> bool:
        """Whether a cell is finished."""
        return (self.cell_folder(cell) / _ROWS).is_file()

    def start(self, cell: NamedCell) -> Path:
        """A clean folder for a cell that is about to run; only its partial/, where it resumes from, is kept."""
        folder = self.cell_folder(cell)
        folder.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():  # left by an interrupted or failed run
            if entry.is_file():
                entry.unlink()
        return folder

    def finish(self, cell: NamedCell, rows: Sequence[Mapping[str, Any]], seconds: float) -> None:
        """Mark a cell as done by writing its rows, and note how long it took."""
        self._write_json(self.cell_folder(cell) / _TIMING, {"seconds": seconds})
        write_table(rows, self.cell_folder(cell) / _ROWS)
        shutil.rmtree(self.cell_folder(cell) / PARTIAL, ignore_errors=True)

    def fail(self, cell: NamedCell, row: Mapping[str, Any], trace: str) -> None:
        """Note why a cell failed; it will be tried again by the next run."""
        self._write_json(self.cell_folder(cell) / _FAILURE, {"row": dict(row), "traceback": trace})

    def collect(self, cells: Sequence[NamedCell]) -> Path:
        """Write results.csv from the rows of all done cells and the notes of failed ones."""
        rows: list[Mapping[str, Any]] = []
        for cell in cells:
            if self.is_done(cell):
                rows += read_rows(self.cell_folder(cell) / _ROWS)
            elif (failure := self.cell_folder(cell) / _FAILURE).is_file():
                rows.append(json.loads(failure.read_text(encoding="utf-8"))["row"])
        path = self.folder / "results.csv"
        write_table(rows, path)
        return path

    def seconds(self, cells: Sequence[NamedCell]) -> float:
        """What the done cells took, over all runs and machines."""
        files = (self.cell_folder(cell) / _TIMING for cell in cells if self.is_done(cell))
        return math.fsum(json.loads(file.read_text(encoding="utf-8"))["seconds"] for file in files if file.is_file())

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write manifest.json: what ran, where, with which versions."""
        self._write_json(self.folder / "manifest.json", manifest)

    def _known_identity(self) -> Any:
        path = self.folder / _PLAN
        if path.is_file():
            try:
                return json.loads(path.read_text(encoding="utf-8"))
            except json.JSONDecodeError as error:
                raise ValueError(f"out: {path} is damaged ({error}); choose another --out") from error
        if self.folder.is_dir() and any(self.folder.iterdir()):
            raise ValueError(f"out: {self.folder} is not empty and holds no study; choose another --out")
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"out: {self.folder} is a file; choose another --out")
        return None

    @staticmethod
    def _write_json(path: Path, content: Any) -> None:
        with replace_file(path) as file:
            json.dump(content, file, indent=1, default=str)


def refuse_study(folder: Path) -> None:
    """Raise ValueError when a folder holds a study, whose table another command would overwrite."""
    if (Path(folder) / _PLAN).exists():
        raise ValueError(f"out: {folder} holds a study; choose another --out")


def _differences(known: Any, wanted: Any, prefix: str = "") -> str:
    """Names of the settings in which two studies differ, at most five."""
    if not (isinstance(known, dict) and isinstance(wanted, dict)):
        return prefix or "its format"
    names = []
    for key in dict.fromkeys([*known, *wanted]):
        a, b = known.get(key), wanted.get(key)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            names.append(_differences(a, b, f"{prefix}{key}."))
        else:
            names.append(f"{prefix}{key} ({a!r}, now {b!r})")
    return ", ".join(names[:5])
