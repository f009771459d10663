"""Two studies held against each other: settings that differ, and numbers that moved by more than their intervals."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msda_analysis.results import read_table

#: A pandas DataFrame, whose types say less than they cost.
_Table = Any

_KEYS = ["metric", "dataset", "model", "augmentation", "reference", "seed", "attack", "norm", "epsilon", "x", "label"]
#: What two independent intervals of 95 % and one width miss each other by chance: 2 (1 - Phi(1.96 sqrt 2)).
_BY_CHANCE = "0.6 %"
_SHOWN = 20


@dataclass(frozen=True)
class Differences:
    """What differs between two studies.

    Attributes:
        settings: name -> (there, here), None where one has no such setting.
        n_shared: numbers that both have; n_judged of them with an interval in both.
        n_equal: shared numbers that are the same.
        moved: rows whose intervals do not touch, with value_a, value_b and gap, the space between the intervals in units
            of their mean half width; the largest first.
        only: how many numbers only the first and only the second has.
    """

    settings: Mapping[str, tuple[Any, Any]]
    n_shared: int
    n_judged: int
    n_equal: int
    moved: _Table
    only: tuple[int, int]


def compare_studies(first: Path, second: Path) -> Differences:
    """Compare settings, environment and every number that both have; times are left out.

    Raises:
        FileNotFoundError: no results.csv.
        ValueError: a file that cannot be read.
    """
    a, b = _numbers(Path(first)), _numbers(Path(second))
    both = a.add_suffix("_a").join(b.add_suffix("_b"), how="inner")
    judged = both.dropna(subset=["low_a", "high_a", "low_b", "high_b"])
    space = judged[["low_a", "low_b"]].max(axis=1) - judged[["high_a", "high_b"]].min(axis=1)
    moved = judged.assign(gap=space / ((judged["high_a"] - judged["low_a"] + judged["high_b"] - judged["low_b"]) / 4))
    moved = moved[space > 0].sort_values("gap", ascending=False, kind="stable").reset_index()
    n_equal = int((both["value_a"].eq(both["value_b"]) | (both["value_a"].isna() & both["value_b"].isna())).sum())
    settings = _different(_settings(Path(first)), _settings(Path(second)))
    return Differences(settings, len(both), len(judged), n_equal, moved, (len(a) - len(both), len(b) - len(both)))


def describe_differences(found: Differences) -> list[str]:
    """Lines for a reader; no more is claimed of a number than that its intervals do not touch."""
    lines = [f"{name}: {a}, there {b}" for name, (a, b) in found.settings.items()] or ["no setting differs"]
    lines.append(
        f"{found.n_shared} numbers in both, {found.n_equal} of them the same; {found.only[0]} only in the first, "
        f"{found.only[1]} only in the second"
    )
    lines.append(
        f"{len(found.moved)} of {found.n_judged} with intervals moved so far that these do not touch; where nothing moved, "
        f"about {_BY_CHANCE} of independent ones would"
    )
    for row in found.moved.head(_SHOWN).to_dict("records"):
        name = ", ".join(f"{key} {_text(row[key])}" for key in _KEYS[1:] if _text(row[key]))
        a, b = (f"{row[f'value_{i}']:.6g} [{row[f'low_{i}']:.6g}, {row[f'high_{i}']:.6g}]" for i in "ab")
        lines.append(f"  {row['metric']} ({name}): {a}, there {b} {row['unit_b']}")
    more = len(found.moved) - _SHOWN
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _numbers(folder: Path) -> _Table:
    path = folder / "results.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: expected a study's folder with results.csv in it")
    table: _Table = read_table(path)
    table = table[(table["status"] == "ok") & (table["unit"] != "s")].copy()
    for key in ("seed", "epsilon", "x"):  # missing ones are a key, too
        table[key] = table[key].astype(object).where(table[key].notna(), "")
    # two cells may give a number of one name, such as masks described by different numbers of draws: the last one counts
    table = table.drop_duplicates(_KEYS, keep="last").set_index(_KEYS)
    return table[["value", "low", "high", "unit"]]


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        parts = {name: manifest.get(name, {}) for name in ("settings", "dataset", "environment")}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return _flatten(parts)


def _flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, Mapping):
        return {prefix: node}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def _different(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in dict.fromkeys((*a, *b)) if a.get(name) != b.get(name)}


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
