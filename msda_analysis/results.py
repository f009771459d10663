"""The long table: one number per row, with everything needed to know where it came from."""

import csv
import io
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from msda_analysis.estimate import Estimate
from msda_analysis.files import replace_file

if TYPE_CHECKING:
    import pandas as pd

#: Columns of every results.csv, in order. `x` is the position on a curve that is not an epsilon (a frequency, a layer).
COLUMNS: tuple[str, ...] = (
    "study", "cell", "dataset", "model", "augmentation", "seed", "metric", "attack", "epsilon", "x",
    "value", "unit", "low", "high", "n", "bound", "status", "note", "settings", "version", "commit", "device",
)  # fmt: skip
_NUMERIC = ("epsilon", "x", "value", "low", "high")
_COUNTED = ("seed", "n")


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


def make_row(
    source: Source,
    metric: str,
    estimate: Estimate,
    *,
    attack: str = "",
    epsilon: float | None = None,
    x: float | None = None,
) -> dict[str, Any]:
    """One finished number as a row."""
    return {
        **_origin(source),
        "metric": metric,
        "attack": attack,
        "epsilon": epsilon,
        "x": x,
        "value": estimate.value,
        "unit": estimate.unit,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "bound": estimate.bound or "",
        "status": "ok",
        "note": "; ".join(estimate.warnings),
    }


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

    Raises:
        ValueError: a row has a column that COLUMNS does not name.
        OSError: the disk is full or the folder cannot be written; the old file is kept.
    """
    with replace_file(path) as file:
        _write_csv(rows, file)


def to_table(rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Rows as the table that read_table would give, without a file."""
    buffer = io.StringIO()
    _write_csv(rows, buffer)
    buffer.seek(0)
    return _parse_csv(buffer)


def read_table(path: Path) -> "pd.DataFrame":
    """Read a results.csv, with text columns as text and numbers as floats.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not a results table (columns are missing).
    """
    try:
        table = _parse_csv(path)
    except ValueError as error:  # pandas' words for an empty file, undecodable bytes, text where a number belongs
        raise ValueError(f"{path}: expected a results table, but it cannot be read as one ({error})") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path}: expected a results table with columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}"
        )
    return table


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a results.csv as text, exactly as they stand: for copying from table to table."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def to_settings(settings: Any) -> Any:
    """A dataclass, or a mapping holding some, as plain JSON values with the class name under "kind"."""
    if is_dataclass(settings) and not isinstance(settings, type):
        return {"kind": type(settings).__name__} | {key: to_settings(value) for key, value in asdict(settings).items()}
    if isinstance(settings, Mapping):
        return {key: to_settings(value) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [to_settings(value) for value in settings]
    return settings


@cache
def current_commit() -> str:
    """Commit of the source tree the package runs from ("+changes" when files differ), or "" outside a git checkout."""
    folder = Path(__file__).resolve().parent
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+changes" if changes else "") if tracked else ""


@cache
def package_version() -> str:
    """Installed version of msda-analysis."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("msda-analysis")
    except PackageNotFoundError:
        return "unknown"


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
        "settings": json.dumps(to_settings(source.settings), sort_keys=True),
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


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True, timeout=10
    ).stdout.strip()
