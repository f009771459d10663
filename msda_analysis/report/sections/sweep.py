"""What a setting of a family does: measured numbers against alpha, decay power or any other that a study holds several of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msda_analysis.report import draw
from msda_analysis.report.section import FigureItem, Section
from msda_analysis.report.select import has_metric, mean_rows, select_rows, split_parts, summarize
from msda_analysis.report.style import looks_for
from msda_analysis.report.words import Table, in_brackets, metric_of, sentence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Numbers that are drawn where a table has them, a panel each.
SWEPT = (
    "accuracy", "rate", "flow", "fitted", "kept_fraction", "perimeter", "components", "axis_power_ratio",
)  # fmt: skip
_TEXT = (
    "One family at several values of one setting, all its other settings equal. Lines only join what was measured: nothing "
    "was measured between the points."
)
_POINTS = (
    "Points are means over seeds with 95 % intervals, Student's over seeds, for accuracies over images and seeds; where there "
    "is a single seed, its interval over images or masks, which says nothing of seeds."
)


def sweep_section(table: Table, folder: Path) -> Section | None:
    """A figure for each family and setting that a table holds two values of, on each data set and model."""
    del folder
    shown = [metric for metric in SWEPT if has_metric(table, metric)]
    parts = list(split_parts(select_rows(table, shown))) if shown else []
    parts.sort(key=lambda part: part[2]["model"].iloc[0] == "")  # what was trained comes before masks alone
    items = [item for suffix, words, part in parts for item in sweep_figures(part, suffix, words)]
    return Section("sweep", "What does a setting change?", text=(_TEXT,), figures=tuple(items)) if items else None


def sweep_figures(rows: Table, suffix: str = "", words: str = "") -> list[FigureItem]:
    """A figure a sweep, a panel a metric; `x` is the setting's value.

    Args:
        rows: finished rows of metrics in SWEPT, of one data set and model.
        suffix: of the files' names.
        words: which part this is, for the caption.
    """
    items, by = [], ("metric", "family", "setting", "x", "augmentation")
    for (family, setting), values in find_sweeps(rows).items():
        swept = rows[rows["augmentation"].isin(list(values))]
        swept = swept.assign(x=swept["augmentation"].map(values), family=family, setting=setting)
        numbers = mean_rows(summarize(swept, by), by, over_samples=True).drop(columns=["level", "seed"])
        numbers = numbers.sort_values(["metric", "x"], kind="stable").reset_index(drop=True)
        listed = ", ".join(metric_of(name).label for name in SWEPT if name in set(numbers["metric"]))
        what = f"{listed} against the {setting.replace('_', ' ')} of {family}"
        name = f"sweep_{family.lower()}_{setting}{suffix}"
        items.append(
            FigureItem(name, numbers, draw_sweep, sentence(f"{what}{in_brackets(words)}.", _POINTS), f"{what}.")
        )
    return items


def draw_sweep(numbers: Table) -> "Figure":
    """Panels of one family's numbers against one setting, with their intervals."""
    family, setting = numbers["family"].iloc[0], numbers["setting"].iloc[0]
    panels = [(metric,) for metric in SWEPT]
    look = looks_for([family.lower()])[family.lower()]
    return draw.curves(
        numbers, panels=panels, hue="family", looks={family: look}, title=None, share_y=False,
        x_label=setting.replace("_", " "), finish=_mark_values, legend=False, columns=4 if numbers["metric"].nunique() == 4 else 3,
    )  # fmt: skip


def find_sweeps(rows: Table) -> dict[tuple[str, str], dict[str, float]]:
    """Families whose settings differ in one number alone: (family, setting) -> its value by augmentation.

    The settings are those that the rows themselves name. Where one family has several such groups, the largest counts.
    """
    groups: dict[tuple[str, str, str], dict[str, float]] = {}
    for augmentation, part in rows.groupby("augmentation"):
        family = _family_of(part["settings"].iloc[0])
        for setting, value in family.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                others = json.dumps({key: other for key, other in family.items() if key != setting}, sort_keys=True)
                groups.setdefault((str(family.get("kind", "")), setting, others), {})[str(augmentation)] = float(value)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for (family, setting, _), values in groups.items():
        is_sweep = len(set(values.values())) == len(values) > 1
        if is_sweep and len(values) > len(found.get((family, setting), ())):
            found[family, setting] = values
    return found


def _family_of(settings: str) -> Mapping[str, Any]:
    """Settings of a row's family, from JSON text; none for the baseline and where the text is a digest whose object is lost."""
    family = json.loads(settings).get("family") if settings.startswith("{") else None
    return family if isinstance(family, dict) else {}


def _mark_values(ax: Any, part: Table) -> None:
    ax.set_xticks(sorted(set(part["x"])))
    ax.xaxis.set_major_formatter("{x:g}")


SECTIONS = (sweep_section,)
