"""What made a number: a figure or a table traced back to its study, and held against it."""

import hashlib
import html
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from msda_analysis.results import find_unknown_settings, read_rows
from msda_analysis.studies.damage import find_all_damage
from msda_analysis.studies.store import shorten

_HASH = re.compile(r"source: ([^;]+?) sha256 ([0-9a-f]{64})")
_PARTS = r"; (?=[a-z]+: )"
_TABLE, _CARRIERS = "results.csv", (".pdf", ".png", ".svg", ".tex")


@dataclass
class Trace:
    """What is known of a file.

    Attributes:
        made_by: lines "study: ...", "command: ...".
        agrees, differs, unknown: one line for each thing that was held against another, or could not be.
    """

    made_by: list[str] = field(default_factory=list)
    agrees: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def verify(path: Path) -> Trace:
    """Trace a figure (pdf, png, svg), a table (csv, tex) or a study's folder, and compare all that should agree.

    What is compared: the hash of results.csv that figures and tables carry; each row's digest of its settings; the rows
    with those of the cells; the checksums of the cells' files and of what was made from them, figures too.

    Raises:
        FileNotFoundError: no such file, or no results.csv in its folder or in one above and nothing in the file that says more.
        ValueError: a file of another kind.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    trace = Trace()
    folder = _study_of(path)
    if folder is None:
        return _tell_alone(path, trace)
    carriers = _carriers(path, folder)
    for carrier in carriers:
        _compare_hash(carrier, folder / _TABLE, trace)
    if not carriers and path != folder and path.name != _TABLE:
        trace.unknown.append(f"{path} carries no word of what it was made from, and no figure or .tex of its name does")
    _tell_origin(folder, carriers[0] if path.is_file() and carriers else None, trace)
    _compare_settings(folder, trace)
    _compare_cells(folder, trace)
    return trace


def describe_trace(trace: Trace) -> list[str]:
    """Lines for a reader."""
    parts = (("agrees", trace.agrees), ("DIFFERS", trace.differs), ("not known", trace.unknown))
    return [*trace.made_by, *(f"{word}: {line}" for word, lines in parts for line in lines)]


def carried_line(path: Path) -> str:
    """The line of origin that a figure or a LaTeX table carries; "" where there is none.

    Raises:
        ValueError: it cannot be read as a file of its kind.
    """
    if path.suffix == ".png":
        return _line_of_png(path)
    content = path.read_bytes()
    if path.suffix == ".pdf":
        found = re.search(rb"/Subject \(((?:[^()\\]|\\.)*)\)", content, re.DOTALL)
        return "" if found is None else _pdf_text(found[1])
    text = content.decode("utf-8", errors="replace")
    if path.suffix == ".svg":
        found = re.search(r"<dc:description>(.*?)</dc:description>", text, re.DOTALL)
        return "" if found is None else html.unescape(found[1])
    first = text.partition("\n")[0]
    return first.removeprefix("% ") if first.startswith("% ") else ""


def _line_of_png(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            return str(image.info.get("Description", ""))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path}: expected a PNG, but it cannot be read as one ({error})") from error


def _pdf_text(content: bytes) -> str:
    plain = re.sub(rb"\\([()\\])", rb"\1", content)
    return plain[2:].decode("utf-16-be", errors="replace") if plain.startswith(b"\xfe\xff") else plain.decode("latin-1")


def _study_of(path: Path) -> Path | None:
    places = [path] if path.is_dir() else path.absolute().parents[:3]
    return next((place for place in places if (place / _TABLE).is_file()), None)


def _tell_alone(path: Path, trace: Trace) -> Trace:
    """What a figure or table says of itself, away from its study."""
    line = carried_line(path) if path.is_file() and path.suffix in _CARRIERS else ""
    if not line:
        raise FileNotFoundError(
            f"{path}: expected {_TABLE} of its study in its folder or in one of two above, found none"
        )
    trace.made_by += re.split(_PARTS, line)
    trace.unknown.append(f"{path} lies outside its study: put it into the study's folder to hold it against {_TABLE}")
    return trace


def _carriers(path: Path, folder: Path) -> list[Path]:
    """Files that carry a line of origin: this one, those that were written with it, or all of a folder."""
    if path.is_dir():
        places = (*folder.glob("figures/*"), *folder.glob("tables/*"))
        return sorted(file for file in places if file.suffix in _CARRIERS)
    if path.suffix in _CARRIERS:
        return [path]
    if path.suffix != ".csv":
        raise ValueError(f"{path}: expected a folder or a file {', '.join(_CARRIERS)} or .csv, got {path.suffix!r}")
    return [other for suffix in _CARRIERS if (other := path.with_suffix(suffix)).is_file()]


def _compare_hash(carrier: Path, table: Path, trace: Trace) -> None:
    found = _HASH.search(carried_line(carrier))
    if found is None:
        trace.unknown.append(f"{carrier} carries no hash of a table")
        return
    now = hashlib.sha256(table.read_bytes()).hexdigest()
    if now == found[2]:
        trace.agrees.append(f"{carrier.name} was made from {table.name} as it is")
    else:
        trace.differs.append(f"{carrier} was made from another {table.name} (sha256 {found[2][:12]}, now {now[:12]})")


def _tell_origin(folder: Path, carrier: Path | None, trace: Trace) -> None:
    rows = read_rows(folder / _TABLE)
    line = carried_line(carrier) if carrier else ""
    trace.made_by += [f"folder: {folder}", *re.split(_PARTS, line)] if line else [f"folder: {folder}"]
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        known = {name: manifest[name] for name in ("study", "created", "command") if name in manifest}
        settings, joined = manifest.get("settings", {}), manifest.get("studies", [])
        own = {each["name"] for each in joined} or {known.get("study")}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        trace.differs.append(f"{path} cannot be read ({error})")
        known, settings, joined, own = {}, {}, [], set()
    if not line:
        trace.made_by += [f"{name}: {value}" for name, value in known.items()]
        for name in ("version", "commit", "device"):
            trace.made_by.append(f"{name}: {', '.join(sorted({row[name] for row in rows if row[name]}))}")
    trace.made_by += [
        f"{each['name']}: {', '.join(f'{key} {each[key]}' for key in each if key != 'name')}" for each in joined
    ]
    trace.made_by.append(f"settings: {json.dumps(settings)}")
    kinds = Counter(name.partition("-")[0] for name in {row["cell"] for row in rows if row["cell"]})
    trace.made_by.append(f"cells: {', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}")
    if known and {row["study"] for row in rows if row["study"]} - own:
        trace.differs.append(f"rows of {_TABLE} are of another study than {path} names, {known.get('study')!r}")


def _compare_settings(folder: Path, trace: Trace) -> None:
    unknown = find_unknown_settings(folder / _TABLE)
    if unknown is None:
        trace.unknown.append(f"{folder} has no settings.json: rows say their settings themselves, or not at all")
    elif unknown:
        trace.differs.append(f"settings.json lacks or contradicts {len(unknown)} digests of rows: {shorten(unknown)}")
    else:
        trace.agrees.append("every row's digest is that of its settings")


def _compare_cells(folder: Path, trace: Trace) -> None:
    if not (folder / "cells").is_dir():
        trace.unknown.append(f"{folder} has no cells/: rows cannot be held against what was measured")
        return
    lines = find_all_damage(folder).lines
    trace.differs.extend(lines)
    if not lines:
        trace.agrees.append("the files of all cells have their checksums, and the rows are theirs")
        trace.agrees.append("what was made from them has its checksums")
