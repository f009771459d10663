"""Write a figure as PDF, PNG and SVG with its provenance inside, and the plotted numbers as CSV beside it."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msda_analysis.files import replace_file
from msda_analysis.report.fitting import fit_texts
from msda_analysis.report.select import REFERENCE
from msda_analysis.report.style import styled
from msda_analysis.report.words import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Provenance:
    """What a figure needs to be traced back.

    Attributes:
        study, command, created: from the manifest; "" where it says nothing.
        version, commit: of the package, from the rows; several are joined by commas.
        source: name and sha256 of the table it was drawn from.
        drawn: what an author asked of a figure of their own; "" for those of the page.
    """

    study: str = ""
    command: str = ""
    created: str = ""
    version: str = ""
    commit: str = ""
    source: str = ""
    drawn: str = ""

    def line(self) -> str:
        """One line for metadata and file headers."""
        parts = {
            "study": self.study,
            "version": self.version,
            "commit": self.commit,
            "source": self.source,
            "created": self.created,
            "command": self.command,
            "drawn": self.drawn,
        }
        return "; ".join(f"{name}: {value}" for name, value in parts.items() if value)


@dataclass(frozen=True)
class StudyFolder:
    """A finished study: its table, its manifest ({} where there is none) and where it lies."""

    path: Path
    table: Table
    manifest: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = Provenance()


def open_study(path: Path, left_out: Sequence[str] = ()) -> StudyFolder:
    """Read results.csv and manifest.json of a study folder.

    Args:
        left_out: cells whose rows are not read.

    Raises:
        FileNotFoundError: the folder has no results.csv.
        ValueError: results.csv is not a results table, or manifest.json is not JSON.
        TypeError: manifest.json holds something else than an object.
    """
    from msda_analysis.results import read_table

    path = Path(path)
    source = path / "results.csv"
    if not source.exists():
        raise FileNotFoundError(f"{path}: expected a study folder with results.csv in it; run a study into it first")
    table, manifest = read_table(source), _read_manifest(path / "manifest.json")
    table = table[~table["cell"].isin(left_out)].reset_index(drop=True) if left_out else table
    if manifest.get(REFERENCE):
        table.attrs[REFERENCE] = str(manifest[REFERENCE])
    return StudyFolder(path, table, manifest, _provenance(table, manifest, source))


@styled
def save_figure(figure: "Figure", numbers: Table | None, stem: Path, provenance: Provenance) -> str:
    """Write STEM.pdf, STEM.png and STEM.csv, each in one step, and return the figure as SVG text.

    Args:
        figure: what to write.
        numbers: the plotted numbers; None for pictures, which show arrays and not rows.
        stem: path without suffix.
        provenance: goes into the metadata of all three images.

    Raises:
        OSError: the disk is full or the folder cannot be written; older files are kept.
    """
    fit_texts(figure)
    figure.set_layout_engine("none")  # settled once instead of once per format
    for kind in ("pdf", "png"):
        write_bytes(stem.with_suffix(f".{kind}"), render(figure, kind, stem.name, provenance))
    if numbers is not None:
        write_csv(numbers, stem.with_suffix(".csv"))
    return render(figure, "svg", stem.name, provenance).decode()


def render(figure: "Figure", kind: str, name: str, provenance: Provenance) -> bytes:
    """A figure as "pdf", "png" or "svg", with its title and provenance in the metadata."""
    line, creator = provenance.line(), f"msda_analysis {provenance.version}".strip()
    title = f"{provenance.study}: {name}" if provenance.study else name
    metadata = {
        "pdf": {"Title": title, "Subject": line, "Keywords": line, "Creator": creator, "CreationDate": None},
        "png": {"Title": title, "Description": line, "Software": creator},
        "svg": {"Title": title, "Description": line, "Creator": creator, "Date": None},
    }
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata[kind])
    return buffer.getvalue()


def write_csv(frame: Table, path: Path) -> None:
    """Write a table as CSV in one step; text that a spreadsheet would run as a formula gets an apostrophe in front.

    Numbers stay as they are, negative ones too.

    Raises:
        OSError: the disk is full or the folder cannot be written; the older file is kept.
    """
    safe = frame.rename(columns=_as_text)
    for i, name in enumerate(safe.columns):
        if safe.dtypes.iloc[i].kind not in "biuf":
            safe.isetitem(i, frame.iloc[:, i].map(_as_text).rename(name))
    with replace_file(path) as file:
        safe.to_csv(file, index=False, lineterminator="\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Put a whole file in place in one step."""
    with replace_file(path, binary=True) as file:
        file.write(content)


def _as_text(value: Any) -> Any:
    """The same, with text that starts like a formula marked as text."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _read_manifest(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name}: expected JSON, got text that does not parse ({error})") from error
    if not isinstance(manifest, dict):
        raise TypeError(f"{path.name}: expected a JSON object, got {type(manifest).__name__}")
    return manifest


def _provenance(table: Table, manifest: dict[str, Any], source: Path) -> Provenance:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    text = {
        name: ", ".join(sorted({str(value) for value in table[name] if value}))
        for name in ("study", "version", "commit")
    }
    return Provenance(
        study=str(manifest.get("study") or text["study"]),
        command=str(manifest.get("command", "")),
        created=str(manifest.get("created", "")),
        version=text["version"],
        commit=text["commit"],
        source=f"{source.name} sha256 {digest}",
    )
