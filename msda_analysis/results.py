"""The long table: one number per row, with everything needed to know where it came from."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from msda_analysis.environment import current_commit, package_version
from msda_analysis.estimate import Measured
from msda_analysis.files import replace_file
from msda_analysis.settings import to_settings

if TYPE_CHECKING:
    import pandas as pd

#: Columns of every results.csv, in order; those of a number are explained at estimate.Measured.
COLUMNS: tuple[str, ...] = (
    "study", "cell", "dataset", "model", "augmentation", "seed", "metric", "attack", "norm", "epsilon", "x", "label",
    "reference", "value", "unit", "low", "high", "n", "bound", "p_value", "verdict", "status", "note", "settings",
    "version", "commit", "device",
)  # fmt: skip
#: Beside each table: every settings object that its rows name, once, by digest.
SETTINGS_FILE = "settings.json"
_NUMERIC = ("epsilon", "x", "value", "low", "high", "p_value")
_COUNTED = ("seed", "n")
_NEWER = ("norm", "label", "reference", "p_value", "verdict")  # tables written before 2026-11-26 lack them


@dataclass(frozen=True)
class Source:
    """Where a number comes from; the columns that all rows of one cell share."""

    study: str
    cell: str
    dataset: str = ""
    model: str = ""
    augmentation: str = ""
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"


def to_rows(source: Source, measured: Iterable[Measured]) -> list[dict[str, Any]]:
    """Finished numbers as rows, in order."""
    return [_to_row(source, number) for number in measured]


def make_failure_row(source: Source, error: BaseException) -> dict[str, Any]:
    """The row of a cell that raised: no value, status "failed", the message as note."""
    empty = dict.fromkeys(COLUMNS)
    return {
        **empty,
        **_origin(source),
        "metric": "failure",
        "status": "failed",
        "note": f"{type(error).__name__}: {error}",
    }


def write_table(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write rows as CSV in one step: a reader sees the old file or the whole new one, never a part.

    A row's settings, JSON text in memory, are a digest in the file; settings.json beside it holds each of them once.

    Raises:
        ValueError: a row has a column that COLUMNS does not name.
        OSError: the disk is full or the folder cannot be written; the old file is kept.
    """
    rows = list(rows)
    texts = {str(row["settings"]) for row in rows if row.get("settings")}
    digests = {text: _digest(text) for text in texts if text.startswith("{")}
    known = _read_settings(path)  # of the old table, which stays readable until the new one is in its place
    found = known | {digest: json.loads(text) for text, digest in digests.items()}
    if found != known:
        with replace_file(path.with_name(SETTINGS_FILE)) as file:
            json.dump(dict(sorted(found.items())), file, indent=1)
    with replace_file(path) as file:
        _write_csv([{**row, "settings": _known_as(row.get("settings"), digests)} for row in rows], file)


def to_table(rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Rows as the table that read_table would give, without a file."""
    buffer = io.StringIO()
    _write_csv(rows, buffer)
    buffer.seek(0)
    return _parse_csv(buffer)


def read_table(path: Path) -> "pd.DataFrame":
    """Read a results.csv, with text columns as text, numbers as floats, and settings as JSON text.

    Tables of older versions lack some columns, which come back empty: they do not say these things. Where settings.json
    is missing, the column settings holds digests.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not a results table (columns are missing).
    """
    try:
        table = _parse_csv(path)
    except ValueError as error:  # pandas' words for an empty file, undecodable bytes, text where a number belongs
        raise ValueError(f"{path}: expected a results table, but it cannot be read as one ({error})") from error
    missing = [name for name in COLUMNS if name not in table.columns and name not in _NEWER]
    if missing:
        raise ValueError(
            f"{path}: expected a results table with columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}"
        )
    if "reference" not in table.columns:  # older tables name a pair "a - b"
        table[["augmentation", "reference"]] = [(a, b) for a, _, b in table["augmentation"].str.partition(" - ").values]
    for name in _NEWER:
        if name not in table.columns:
            table[name] = float("nan") if name in _NUMERIC else ""
    texts = _settings_texts(path)
    table["settings"] = [texts.get(text, text) for text in table["settings"]]
    return table.reindex(columns=list(COLUMNS))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a results.csv as text, exactly as they stand, settings written out: for copying from table to table."""
    texts = _settings_texts(path)
    with open(path, encoding="utf-8", newline="") as file:
        return [{**row, "settings": texts.get(row["settings"], row["settings"])} for row in csv.DictReader(file)]


def find_unknown_settings(path: Path) -> list[str] | None:
    """Digests that rows of a results.csv name and settings.json lacks, or holds with settings of another digest.

    None where there is no settings.json, as beside tables of older versions.

    Raises:
        ValueError: settings.json is damaged.
    """
    if not path.with_name(SETTINGS_FILE).is_file():
        return None
    known = {digest for digest, settings in _read_settings(path).items() if _digest(_settings_text(settings)) == digest}
    with open(path, encoding="utf-8", newline="") as file:
        named = {row["settings"] for row in csv.DictReader(file) if row["settings"]}
    return sorted(named - known)


def _to_row(source: Source, measured: Measured) -> dict[str, Any]:
    estimate = measured.estimate
    return {
        **_origin(source),
        "metric": measured.metric,
        "attack": measured.attack,
        "norm": measured.norm,
        "epsilon": measured.epsilon,
        "x": measured.x,
        "label": measured.label,
        "reference": measured.reference,
        "value": estimate.value,
        "unit": estimate.unit,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "bound": estimate.bound or "",
        "p_value": measured.p_value,
        "verdict": measured.verdict,
        "status": "ok",
        "note": "; ".join(estimate.warnings),
    }


def _known_as(settings: Any, digests: Mapping[str, str]) -> Any:
    return digests.get(settings, settings) if isinstance(settings, str) else settings


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read_settings(table: Path) -> dict[str, Any]:
    """What settings.json beside a table holds; empty where there is none, as beside tables of older versions.

    Raises:
        ValueError: it is damaged.
    """
    path = table.with_name(SETTINGS_FILE)
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not text
        raise ValueError(f"{path}: expected settings by digest, but it cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected settings by digest, got a {type(found).__name__}")
    return found


def _settings_texts(table: Path) -> dict[str, str]:
    return {digest: _settings_text(settings) for digest, settings in _read_settings(table).items()}


def _settings_text(settings: Any) -> str:
    return json.dumps(to_settings(settings), sort_keys=True)


def _write_csv(rows: Iterable[Mapping[str, Any]], file: IO[Any]) -> None:
    writer = csv.DictWriter(file, list(COLUMNS), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell_text(value) for name, value in row.items()} for row in rows)


def _parse_csv(source: Path | IO[Any]) -> "pd.DataFrame":
    import pandas as pd

    types: Any = dict.fromkeys(COLUMNS, "str") | dict.fromkeys(_NUMERIC, "float64") | dict.fromkeys(_COUNTED, "Int64")
    empty_marks = {name: ["", "nan"] for name in _NUMERIC} | {name: [""] for name in _COUNTED}
    return pd.read_csv(source, dtype=types, keep_default_na=False, na_values=empty_marks)


def _origin(source: Source) -> dict[str, Any]:
    return {
        "study": source.study,
        "cell": source.cell,
        "dataset": source.dataset,
        "model": source.model,
        "augmentation": source.augmentation,
        "seed": source.seed,
        "settings": _settings_text(source.settings),
        "version": package_version(),
        "commit": current_commit(),
        "device": source.device,
    }


def _cell_text(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(float(value))  # NumPy's own floats would be written with their type
    return value
