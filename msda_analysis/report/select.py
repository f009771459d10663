"""From the long table to the numbers a figure shows: one row per seed, and the mean over seeds with its interval."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msda_analysis.estimate import FEWEST_SEEDS, IMAGES_ALONE, Estimate, mean_estimate, share_over_seeds
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.words import Table

#: Upper bounds on I(X; Z) that sentences may speak of, tightest first.
HEADLINE_BOUNDS = ("flow", "fitted")
#: Warning of a difference whose sides are upper bounds.
DIFFERENCE_OF_BOUNDS = (
    "difference of two upper bounds: both err upwards, by amounts that may differ, so it bounds nothing"
)
#: Key of a table's attrs, see reference_of.
REFERENCE = "reference"
_NEEDED = ("metric", "augmentation", "seed", "value", "unit", "low", "high", "n", "status")


def reference_of(table: Table) -> str:
    """What a study compares all else with: what its manifest says, which open_study notes beside the table; else the baseline."""
    return table.attrs.get(REFERENCE, "baseline")


def say_reference(table: Table) -> str:
    """The same in words: "the baseline", or the name that readers see."""
    name = reference_of(table)
    return "the baseline" if name == "baseline" else label_of(name)


def select_rows(table: Table, metric: str | Sequence[str], **equal: Any) -> Table:
    """Finished rows of one or several metrics, with further columns equal to given values.

    Raises:
        ValueError: a column is missing, or no finished row matches; the message says what the table holds.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric)
    check_columns(table, (*_NEEDED, *equal))
    done = table[table["status"] == "ok"]
    rows = done[done["metric"].isin(metrics)]
    if rows.empty:
        found = ", ".join(sorted(set(done["metric"]))) or "no finished row at all"
        raise ValueError(
            f"metric: expected finished rows with metric {' or '.join(map(repr, metrics))}; found: {found}"
        )
    for column, value in equal.items():
        kept = rows[rows[column] == value]
        if kept.empty:
            found = ", ".join(sorted({repr(item) for item in rows[column]}))
            raise ValueError(f"{column}: expected rows of {metrics} with {value!r}; found: {found}")
        rows = kept
    return rows


def check_columns(table: Table, names: Iterable[str]) -> None:
    """Raise ValueError naming the columns that are missing and those that are there."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ValueError(f"table: expected columns {', '.join(missing)}; found: {', '.join(map(str, table.columns))}")


def has_metric(table: Table, *metrics: str) -> bool:
    """Whether the table has a finished row of any of these metrics."""
    return bool(((table["status"] == "ok") & table["metric"].isin(metrics)).any())


def summarize(rows: Table, by: Sequence[str]) -> Table:
    """One line per seed and, where there is more than one seed, one for their mean with a 95 % interval.

    It is Student's over seeds, but for accuracies, which are shares of images that all seeds share: that of
    estimate.share_over_seeds, which is never outside [0, 1] nor of no width where seeds agree. Below FEWEST_SEEDS it is over the
    samples alone, which seeds share and so do not average out; none where the seeds have none.

    Args:
        rows: selected rows of the long table, one per seed within each group.
        by: columns that tell groups apart, for example ("metric", "augmentation").

    Returns:
        Columns `by`, level ("seed" or "mean"), seed, value, low, high, n, interval_over, unit. For level "seed" the
        interval and n speak of images (or masks), for level "mean" n counts seeds.

    Raises:
        ValueError: a group has two rows for one seed, so that a mean over seeds would mix different things.
    """
    import pandas as pd

    _check_one_per_seed(rows, by)
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows.sort_values("seed").to_dict("records"):
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    lines: list[dict[str, Any]] = []
    for key, group in groups.items():
        shared = {**dict(zip(by, key, strict=True)), "unit": group[0]["unit"]}
        for row in group:
            measured = {name: row[name] for name in ("seed", "value", "low", "high", "n")}
            lines.append({**shared, "level": "seed", "interval_over": "samples", **measured})
        if len(group) > 1:
            lines.append({**shared, "level": "mean", "seed": None, **_over_seeds(group)})
    columns = [*by, "level", "seed", "value", "low", "high", "n", "interval_over", "unit"]
    summary = pd.DataFrame(lines, columns=columns)
    rank = {name: i for i, name in enumerate(order_augmentations(rows["augmentation"]))}
    keys = [name for name in by if name != "metric"]
    summary = summary.sort_values(keys, kind="stable", key=lambda c: c.map(rank) if c.name == "augmentation" else c)
    return summary.reset_index(drop=True)


def mean_rows(summary: Table, by: Sequence[str], *, over_samples: bool = False) -> Table:
    """The line to quote for each group: the mean over seeds, or the single seed.

    Args:
        summary: from `summarize`.
        by: the same as there.
        over_samples: a single seed keeps its interval over samples and their n, which is right where samples are
            independent draws and nothing was trained (masks); else it gets n = 1 and no interval.
    """
    single = summary.groupby(list(by), dropna=False)["level"].transform("size") == 1
    chosen = summary[(summary["level"] == "mean") | single].copy()
    chosen[["low", "high"]] = chosen[["low", "high"]].astype(float)
    if not over_samples:
        alone = chosen["level"] == "seed"
        chosen.loc[alone, ["low", "high"]] = float("nan")
        chosen.loc[alone, "n"] = 1
    return chosen


def paired_difference(rows: Table, augmentation: str, reference: str) -> Estimate | None:
    """Mean over shared seeds of (augmentation - reference), with Student's 95 % interval; None without a shared seed.

    With fewer than FEWEST_SEEDS, but more than one, the interval is over the samples alone, as if both sides had other samples,
    which is wider than one of paired samples; it is warned about, as is a difference of upper bounds.

    Args:
        rows: selected rows of one metric, one per augmentation and seed.
    """
    values, warnings = {}, []
    for name in (augmentation, reference):
        group = rows[rows["augmentation"] == name]
        _check_one_per_seed(group, ("augmentation",))
        values[name] = dict(zip(group["seed"], group["value"], strict=True))
        if "bound" in group and (group["bound"] == "upper").any():
            warnings = [DIFFERENCE_OF_BOUNDS]
    shared = [seed for seed in values[augmentation] if seed in values[reference]]
    if not shared:
        return None
    differences = [float(values[augmentation][seed] - values[reference][seed]) for seed in shared]
    if 1 < len(shared) < FEWEST_SEEDS:
        both = [rows[(rows["augmentation"] == name) & rows["seed"].isin(shared)] for name in (augmentation, reference)]
        return _difference_over_samples(
            differences, [side.to_dict("records") for side in both], str(rows["unit"].iloc[0]), warnings
        )
    return mean_estimate(differences, str(rows["unit"].iloc[0]), warnings=warnings)


def _difference_over_samples(
    differences: list[float], sides: list[list[dict[str, Any]]], unit: str, warnings: list[str]
) -> Estimate:
    value, halves = math.fsum(differences) / len(differences), [_half_over_samples(side) for side in sides]
    if any(half is None for half in halves):
        return Estimate(value, unit, n=len(differences), warnings=(*warnings, IMAGES_ALONE))
    half = math.hypot(*(half for half in halves if half is not None))
    return Estimate(value, unit, value - half, value + half, len(differences), warnings=(*warnings, IMAGES_ALONE))


def split_parts(rows: Table) -> Iterator[tuple[str, str, Table]]:
    """Split rows into (suffix for file names, words for titles, rows) by data set and model; one part has no suffix."""
    parts = list(rows.groupby(["dataset", "model"], sort=True))
    for (dataset, model), part in parts:
        words = ", ".join(word for word in (dataset, model) if word)
        suffix = "" if len(parts) == 1 else "_" + "_".join(_file_word(word) for word in (dataset, model) if word)
        yield suffix, words, part


def half_epsilons(table: Table, reference: str | None = None) -> dict[tuple[str, str], float]:
    """Per attack and norm, the positive epsilon at which the reference's accuracy is nearest to half of its clean one.

    There augmentations can differ most; the choice looks at the reference alone. Without the reference, the mean
    over all augmentations decides. The smallest epsilon stands for clean accuracy.

    Args:
        table: the long table.
        reference: augmentation; None: the study's, see reference_of.

    Raises:
        ValueError: the table has no robust_accuracy rows.
    """
    rows, reference = select_rows(table, "robust_accuracy"), reference or reference_of(table)
    rows = rows[rows["augmentation"] == reference] if (rows["augmentation"] == reference).any() else rows
    chosen = {}
    for (attack, norm), part in rows.groupby(["attack", "norm"], sort=False):
        means = part.groupby("epsilon")["value"].mean()
        positive = means[means.index > 0]
        if len(positive):
            chosen[str(attack), str(norm)] = float((positive - means.iloc[0] / 2).abs().idxmin())
    return chosen


def headline_bound(table: Table) -> str | None:
    """The tightest of HEADLINE_BOUNDS that was computed for every augmentation and seed; None where there is none."""
    found = {
        metric: set(zip(rows["augmentation"], rows["seed"], strict=True))
        for metric in HEADLINE_BOUNDS
        if has_metric(table, metric) and len(rows := select_rows(table, metric))
    }
    every = set().union(*found.values())
    return next((metric for metric in HEADLINE_BOUNDS if metric in found and found[metric] == every), None)


def setting_of(settings: str, name: str) -> list[Any]:
    """All values that a row's settings (JSON text) hold under a key, at any depth."""
    return list(_find(json.loads(settings), name)) if settings.startswith("{") else []  # a digest whose object is lost


def _find(node: Any, name: str) -> Iterator[Any]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and name in node:
        yield node[name]
    for child in children:
        yield from _find(child, name)


def _over_seeds(group: list[dict[str, Any]]) -> dict[str, Any]:
    values, images = [float(row["value"]) for row in group], min(row["n"] for row in group)
    is_share = group[0]["unit"] == "accuracy" and images > 1
    if len(values) < FEWEST_SEEDS:
        mean, over = _over_samples(group, int(images), is_share=is_share), "samples"
    elif is_share:
        mean, over = share_over_seeds(values, int(images)), "images and seeds"
    else:
        mean, over = mean_estimate(values, ""), "seeds"
    return {"value": mean.value, "low": mean.low, "high": mean.high, "n": len(values), "interval_over": over}


def _over_samples(group: list[dict[str, Any]], n_images: int, *, is_share: bool) -> Estimate:
    """Mean over a few seeds with the interval that the samples alone give: a seed's own, as wide as it is on average."""
    value = math.fsum(float(row["value"]) for row in group) / len(group)
    if is_share:
        return share_over_seeds([value], n_images)
    half = _half_over_samples(group)
    return Estimate(value, "") if half is None else Estimate(value, "", value - half, value + half)


def _half_over_samples(group: Sequence[Mapping[str, Any]]) -> float | None:
    """Half the width of seeds' intervals over samples, root of the mean square; None where one has none."""
    halves = [(float(row["high"]) - float(row["low"])) / 2 if row["low"] is not None else math.nan for row in group]
    half = math.sqrt(math.fsum(half**2 for half in halves) / len(halves))
    return None if math.isnan(half) else half


def _check_one_per_seed(rows: Table, by: Sequence[str]) -> None:
    repeated = rows.duplicated([*by, "seed"], keep=False)
    if not repeated.any():
        return
    first = rows[repeated].iloc[0]
    same = [*by, "seed"]
    twice = rows[(rows[same].astype(str) == first[same].astype(str)).all(axis=1)]
    differ = [name for name in twice.columns if name != "value" and twice[name].astype(str).nunique() > 1]
    raise ValueError(
        f"rows: expected one row per seed, got {len(twice)} for {', '.join(f'{name} {first[name]}' for name in same)}; "
        f"they differ in {', '.join(differ) or 'nothing but the value'}: select one kind first"
    )


def _file_word(word: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in word)
