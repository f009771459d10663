"""Four ways to damage a file, each undone afterwards, and what a study's folder has to say of each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from msda_analysis.studies.damage import find_all_damage
from msda_analysis.studies.store import find_damaged_cells


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    """In the middle, where the content is."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGE: dict[str, Callable[[Path], None]] = {"cut": cut, "flip": flip, "empty": empty, "remove": Path.unlink}


@contextmanager
def damaged(path: Path, way: str) -> Iterator[None]:
    whole = path.read_bytes()
    DAMAGE[way](path)
    try:
        yield
    finally:
        path.write_bytes(whole)


def files_with_content(study: Path) -> list[Path]:
    """All but locks, which are empty."""
    return sorted(path for path in study.rglob("*") if path.is_file() and path.parent.name != "locks")


def assert_named(study: Path, path: Path, way: str) -> None:
    """What is known of a damaged study names the file, or the reading of its table, without which there is nothing, does."""
    name = path.relative_to(study).as_posix()
    with damaged(path, way):
        if path == study / "results.csv" and way == "remove":
            with pytest.raises(FileNotFoundError, match=r"results\.csv"):
                find_all_damage(study)
            return
        try:
            found = find_all_damage(study).lines
        except ValueError as error:  # a table or settings that cannot be read: nothing is drawn
            assert path.parent == study and path.name in ("results.csv", "settings.json")
            found = [str(error)]
        unsealed = f"{path.parent.name}" if path.name == "done.json" else name
        assert [line for line in found if name in line or ("no done.json" in line and unsealed in line)], (way, found)
        if path.parent.parent.name == "cells" and path.name not in ("timing.json", "done.json"):
            assert any(name in line and "counts as not done" in line for line in find_damaged_cells(study))
