"""Seals: what holds size and checksum of every finished file, so that damage is found."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from msda_analysis.files import file_digest, is_leftover, replace_file

DONE, ROWS, TIMING = "done.json", "rows.csv", "timing.json"
_SIGNATURE = "blake2b"  # of all other entries of a file that is signed


def seal(folder: Path, n_rows: int) -> None:
    """Mark a cell's folder as finished, in one step: nothing may be written to it afterwards.

    Args:
        folder: holds the cell's files; folders inside it do not count. That of the time that it took is noted apart, since
            no number of the cell is in it.
        n_rows: of rows.csv.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and not is_leftover(path)]
    files = {path.name: describe_file(path) for path in paths if path.name != DONE}
    noted = {TIMING: files.pop(TIMING)} if TIMING in files else {}
    write_signed(folder / DONE, {"rows": n_rows, "files": files, "noted": noted})


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
            if fault := find_fault(folder / name, expected):
                return fault
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{folder / DONE} cannot be read ({error})"
    return None


def find_damaged_note(folder: Path) -> str | None:
    """What is wrong with a finished cell's note of its time, or None; of an older version's, which recorded none of it, None."""
    try:
        noted = read_seal(folder).get("noted", {})
    except (OSError, ValueError):
        return None  # not a finished cell, or a damaged one
    return next((fault for name, expected in noted.items() if (fault := find_fault(folder / name, expected))), None)


def read_seal(folder: Path) -> Mapping[str, Any]:
    """What done.json says: "rows", a count, "files", {name: {"bytes", "blake2b"}}, and "noted", the same of timing.json.

    Raises:
        ValueError: it is damaged.
    """
    found = read_signed(folder / DONE)
    if other := found.keys() - {"rows", "files", "noted"}:
        raise ValueError(f"unknown entries {', '.join(sorted(other))}")
    return found


def write_signed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object in one step, with a checksum of itself."""
    plain = json.loads(json.dumps(content, default=str))  # as it will be read
    with replace_file(path) as file:
        json.dump({**plain, _SIGNATURE: _sign(plain)}, file, indent=1)


def read_signed(path: Path) -> dict[str, Any]:
    """What write_signed wrote, or an older version without a checksum.

    Raises:
        ValueError: it is no JSON object, or not as it was written.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, got a {type(found).__name__}")
    signature = found.pop(_SIGNATURE, None)
    if signature is not None and signature != _sign(found):
        raise ValueError("its checksum does not fit")
    return found


def describe_file(path: Path) -> dict[str, Any]:
    """Size and checksum of a file."""
    found = path.stat()
    return {"bytes": found.st_size, "blake2b": _checksum(path, found.st_mtime_ns, found.st_size)}


def find_fault(path: Path, expected: Mapping[str, Any]) -> str | None:
    """In what a file differs from what describe_file said of it once, or None."""
    if not path.is_file():
        return f"{path} is missing"
    if (size := path.stat().st_size) != expected["bytes"]:
        return f"{path} has {size} bytes instead of {expected['bytes']}"
    return None if describe_file(path) == expected else f"{path} has another content than when it was finished"


def _sign(content: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _names(folder: Path) -> set[str]:
    # a listing, since a network file system may remember for a minute that a single file was not there
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@cache
def _checksum(path: Path, modified: int, size: int) -> str:
    """Read once per process and version of a file."""
    del modified, size
    return file_digest(path)
