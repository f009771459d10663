"""Several finished studies on one page: their tables joined under names, and what forbids a comparison named."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msda_analysis.files import replace_file
from msda_analysis.report.select import setting_of
from msda_analysis.results import read_rows, read_table, write_table

#: Settings by which a step says which code measured; see step.versioned.
_FORMATS = ("format", "attack_format", "information_format")


def join_studies(
    folders: Sequence[Path],
    names: Sequence[str],
    out: Path,
    command: str = "",
    left_out: Mapping[Path, Sequence[str]] = {},
) -> list[str]:
    """Write results.csv and manifest.json of several studies into a folder of their own, for report.write_report.

    Rows stay as they are but for `study`, which becomes the name, and `dataset`, which gets it behind it, so that figures
    and tables show the studies side by side and nothing is averaged over both.

    Args:
        folders: of finished studies.
        names: one for each; none takes the names of the folders.
        out: new, empty, or of an earlier page of several studies.
        command: the command line, for the manifest.
        left_out: folder -> cells whose rows are not taken.

    Returns:
        What speaks against comparing them, one line each; see contradictions.

    Raises:
        FileNotFoundError: a folder has no results.csv.
        ValueError: names that are missing, empty or given twice; a table or manifest that cannot be read; or `out` holds
            something else.
    """
    names = _check_names(folders, names)
    _check_out(out)
    parts = {name: Path(folder) for name, folder in zip(names, folders, strict=True)}
    for folder in parts.values():
        if not (folder / "results.csv").is_file():
            raise FileNotFoundError(
                f"{folder}: expected a study's folder with results.csv in it; run a study into it first"
            )
        read_table(folder / "results.csv")
    manifests = {name: _read_manifest(folder) for name, folder in parts.items()}
    rows = [
        _named(row, name) for name, folder in parts.items() for row in read_rows(folder / "results.csv")
        if row["cell"] not in left_out.get(folder, ())
    ]  # fmt: skip
    write_table(rows, out / "results.csv")
    wrong = contradictions(parts, manifests)
    with replace_file(out / "manifest.json") as file:
        json.dump(_manifest(parts, manifests) | {"command": command, "contradictions": wrong}, file, indent=1)
    return wrong


def contradictions_of(folder: Path) -> list[str]:
    """What join_studies noted when it made a folder; nothing for a study's own."""
    return list(_read_manifest(folder).get("contradictions", []))


def contradictions(folders: Mapping[str, Path], manifests: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What forbids to compare numbers of studies, a line each: other images under one name, other formats of a kind of cell.

    Each study is held against the first.
    """
    (first, *others), lines = folders, []
    formats = {name: _formats(folder) for name, folder in folders.items()}
    for name in others:
        a, b = (manifests[each].get("dataset") or {} for each in (first, name))
        if a.get("name") != b.get("name"):
            lines.append(
                f"{first} is of {a.get('name')}, {name} of {b.get('name')}: other images, no comparison of numbers"
            )
        else:
            keys = [key for key in dict.fromkeys((*a, *b)) if a.get(key) != b.get(key)]
            lines += [f"{key} of the images is {a.get(key)} in {first} and {b.get(key)} in {name}" for key in keys]
        for kind in formats[first].keys() & formats[name].keys():
            if formats[first][kind] != formats[name][kind]:
                x, y = (", ".join(sorted(formats[each][kind])) for each in (first, name))
                lines.append(
                    f"{kind}: measured by format {x} of the code in {first}, by {y} in {name}; run the older study again"
                )
    return sorted(lines)


def _check_names(folders: Sequence[Path], names: Sequence[str]) -> list[str]:
    found = list(names) or [Path(folder).resolve().name for folder in folders]
    if len(found) != len(folders):
        raise ValueError(f"names: expected one for each of the {len(folders)} folders, got {', '.join(found)}")
    if not all(found) or len(set(found)) < len(found):
        raise ValueError(f"names: expected different ones, got {', '.join(found)}; give them by --names")
    return found


def _check_out(out: Path) -> None:
    if (out / "study.json").is_file() or (out.exists() and not out.is_dir()):
        raise ValueError(f"out: {out} holds a study of its own or is a file; choose another --out")
    if out.is_dir() and any(out.iterdir()) and "studies" not in _read_manifest(out):
        raise ValueError(f"out: {out} is not empty and holds no page of several studies; choose another --out")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    if not isinstance(manifest, dict):
        raise ValueError(f"{path} is damaged (expected an object, got a {type(manifest).__name__})")
    return manifest


def _named(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        **row,
        "study": name,
        "cell": f"{row['cell']} ({name})",
        "dataset": f"{row['dataset']} ({name})" if row["dataset"] else name,
    }


def _formats(folder: Path) -> dict[str, set[str]]:
    """Kind of cells -> the formats that their rows' settings name; a step's first is not written out."""
    found: dict[str, set[str]] = {}
    for row in read_rows(folder / "results.csv"):
        values = [str(value) for key in _FORMATS for value in setting_of(row["settings"], key)] or ["1"]
        found.setdefault(row["cell"].partition("-")[0], set()).update(values)
    return found


def _manifest(folders: Mapping[str, Path], manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    def each(key: str) -> dict[str, Any]:
        return {name: manifest[key] for name, manifest in manifests.items() if manifest.get(key)}

    studies = [
        {"name": name, "study": manifests[name].get("study", ""), "folder": str(folder), "command": manifests[name].get("command", ""),
         "results_sha256": hashlib.sha256((folder / "results.csv").read_bytes()).hexdigest()}
        for name, folder in folders.items()
    ]  # fmt: skip
    return {
        "study": " and ".join(folders), "title": f"Studies side by side: {', '.join(folders)}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"), "studies": studies,
        "dataset": each("dataset"), "settings": each("settings"), "environment": each("environment"),
    }  # fmt: skip
