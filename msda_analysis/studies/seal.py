"""The seal of a finished cell: done.json holds size and checksum of every other file, so that damage is found."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from msda_analysis.files import file_digest, is_leftover, replace_file

DONE, ROWS, TIMING = "done.json", "rows.csv", "timing.json"


def seal(folder: Path, n_rows: int) -> None:
    """Mark a cell's folder as finished, in one step: nothing may be written to it afterwards.

    Args:
        folder: holds the cell's files; folders inside it do not count, nor does the time that it took.
        n_rows: of rows.csv.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and not is_leftover(path)]
    files = {path.name: _describe(path) for path in paths if path.name not in (DONE, TIMING)}
    with replace_file(folder / DONE) as file:
        json.dump({"rows": n_rows, "files": files}, file, indent=1)


def is_sealed(folder: Path) -> bool:
    """Whether a cell's folder was marked as finished and every file is still as it was then."""
    return DONE in _names(folder) and find_damage(folder) is None


def is_unsealed(folder: Path) -> bool:
    """Whether a folder has rows that nothing vouches for: left by an earlier version, or by a kill at the last moment."""
    names = _names(folder)
    return ROWS in names and DONE not in names


def find_damage(folder: Path) -> str | None:
    """The first file of a finished cell that is not as it was written and what is wrong, or None."""
    if DONE not in _names(folder):
        return None
    try:
        recorded = read_seal(folder)["files"]
        for name, expected in {ROWS: recorded[ROWS], **recorded}.items():
            path = folder / name
            if not path.is_file():
                return f"{path} is missing"
            if (size := path.stat().st_size) != expected["bytes"]:
                return f"{path} has {size} bytes instead of {expected['bytes']}"
            if _describe(path) != expected:
                return f"{path} has another content than when it was finished"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{folder / DONE} cannot be read ({error})"
    return None


def read_seal(folder: Path) -> Mapping[str, Any]:
    """What done.json says: "rows", a count, and "files", {name: {"bytes", "blake2b"}}."""
    return json.loads((folder / DONE).read_text(encoding="utf-8"))


def _names(folder: Path) -> set[str]:
    # a listing, since a network file system may remember for a minute that a single file was not there
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _describe(path: Path) -> dict[str, Any]:
    found = path.stat()
    return {"bytes": found.st_size, "blake2b": _checksum(path, found.st_mtime_ns, found.st_size)}


@cache
def _checksum(path: Path, modified: int, size: int) -> str:
    """Read once per process and version of a file."""
    del modified, size
    return file_digest(path)
