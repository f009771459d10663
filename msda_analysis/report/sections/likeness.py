"""Figures on robustness: who is more robust than whom, and whether perturbations look like MixUp."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msda_analysis.report.select import mean_rows, select_rows, summarize
from msda_analysis.report.style import DOUBLE_COLUMN, label_of, looks_for, order_augmentations, styled
from msda_analysis.report.words import Table, attack_label, axis_label, metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Attacks of the matrix, where the table has them: the two that the paper speaks of, and all together.
MATRIX_ATTACKS = ("deepfool", "uniform_noise", "worst_case")
#: Readings of a curve, one row of panels each.
MATRIX_METRICS = ("curve_accuracy", "curve_kept")
_REFERENCES: dict[str, tuple[Any, str]] = {
    "gaussian": (":", "white noise"), "fade": ("--", "fading to the mean image"), "mixup": ("-", "a MixUp step"),
}  # fmt: skip
#: Measures of the figure on likeness, one panel each.
LIKENESS = ("energy_share", "distance_to_mixup")


@styled
def draw_matrix(table: Table) -> tuple[Figure, Table]:
    """Differences between all pairs of augmentations in percentage points: row minus column, bold where significant.

    Where a side had a single training run nothing is bold.

    Raises:
        ValueError: the table has no rows of MATRIX_METRICS.
    """
    pairs = matrix_pairs(table)
    attacks = list(dict.fromkeys(shown_pairs(pairs)["attack"]))
    metrics = [name for name in MATRIX_METRICS if name in set(pairs["metric"])]
    names = order_augmentations([*pairs["augmentation"], *pairs["reference"]])
    height = (0.8 + 0.22 * len(names)) * len(metrics) + 0.4
    figure = Figure(figsize=(DOUBLE_COLUMN, height), layout="constrained")
    axes = figure.subplots(len(metrics), len(attacks), squeeze=False)
    limit = 100 * float(pairs["value"].abs().max()) or 1.0
    for i, metric in enumerate(metrics):
        for k, attack in enumerate(attacks):
            part = pairs[(pairs["metric"] == metric) & (pairs["attack"] == attack)]
            _draw_cells(axes[i, k], part, names, limit)
            axes[i, k].set_title(f"{attack_label(attack)}: {metric_of(metric).symbol}")
            axes[i, k].tick_params(labelleft=k == 0, labelbottom=i == len(metrics) - 1)
    return figure, pairs


def matrix_pairs(table: Table) -> Table:
    """Columns that tell of differences between whole curves: one row per pair, attack and reading.

    Raises:
        ValueError: the table has no such rows.
    """
    columns = [
        "metric",
        "attack",
        "norm",
        "augmentation",
        "reference",
        "value",
        "low",
        "high",
        "n",
        "p_value",
        "verdict",
    ]
    return select_rows(table, MATRIX_METRICS)[columns].reset_index(drop=True)


def is_decided(pairs: Table) -> Table:
    """bool by row: the verdict names one of the two."""
    return (pairs["verdict"] == pairs["augmentation"]) | (pairs["verdict"] == pairs["reference"])


def shown_pairs(pairs: Table) -> Table:
    """The pairs under MATRIX_ATTACKS, in their order; all where none of these attacks was made."""
    order = {name: i for i, name in enumerate(MATRIX_ATTACKS)}
    shown = pairs[pairs["attack"].isin(MATRIX_ATTACKS)]
    return shown.sort_values("attack", key=lambda names: names.map(order), kind="stable") if len(shown) else pairs


@styled
def draw_likeness(table: Table) -> tuple[Figure, Table]:
    """Likeness to MixUp by attack between what chance gives and what a MixUp step gives, one panel per measure.

    Raises:
        ValueError: the table has no rows of the measures.
    """
    rows = select_rows(table, LIKENESS)
    metrics = [metric for metric in LIKENESS if metric in set(rows["metric"])]
    given = rows[(rows["reference"] == "") & ~rows["attack"].isin(list(_REFERENCES))]
    attacks = list(dict.fromkeys(zip(given["attack"], given["norm"], strict=True)))
    figure = Figure(figsize=(DOUBLE_COLUMN, 0.95 + 0.33 * len(attacks)), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        _draw_likeness_panel(ax, select_rows(rows, metric), attacks)
    axes[0].set_yticks(range(len(attacks)), [attack_label(*attack) for attack in attacks])
    axes[0].set_ylim(len(attacks) - 0.5, -0.5)
    figure.legend(
        handles=_likeness_handles(order_augmentations(rows["augmentation"])), loc="outside lower center", ncols=4
    )
    return figure, summarize(rows, ("metric", "attack", "norm", "reference", "augmentation"))


def _draw_cells(ax: "Axes", part: Table, names: list[str], limit: float) -> None:
    """A square of differences; the colour says which side is more robust, bold text that it is decided."""
    size = len(names)
    values = np.full((size, size), np.nan)
    for row, is_found in zip(part.to_dict("records"), is_decided(part), strict=True):
        i, j = names.index(row["augmentation"]), names.index(row["reference"])
        values[i, j], values[j, i] = 100 * row["value"], -100 * row["value"]
        for place, value in (((j, i), values[i, j]), ((i, j), values[j, i])):
            text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
            look: dict[str, Any] = {"weight": "bold", "color": "black"} if is_found else {"color": "#555555"}
            ax.text(*place, text, ha="center", va="center", fontsize=5.8, **look)
    ax.imshow(values, cmap="PuOr", vmin=-1.6 * limit, vmax=1.6 * limit, aspect="auto")
    labels = [label_of(name) for name in names]
    ax.set_xticks(range(size), labels, rotation=40, ha="right", fontsize=6)
    ax.set_yticks(range(size), labels, fontsize=6)
    ax.grid(visible=False)
    ax.tick_params(length=0)


def _draw_likeness_panel(ax: "Axes", rows: Table, attacks: Sequence[tuple[str, str]]) -> None:
    by = ("metric", "attack", "norm", "augmentation")
    is_shuffled = rows["reference"] == "shuffled"
    means = mean_rows(summarize(rows[~is_shuffled], by), by)
    for name, (line, _) in _REFERENCES.items():
        ax.axvline(
            rows[~is_shuffled & (rows["attack"] == name)]["value"].mean(),
            color="#888888",
            linestyle=line,
            linewidth=1.4,
        )
    looks = looks_for(rows["augmentation"])
    shifts = np.linspace(-0.26, 0.26, len(looks)) if len(looks) > 1 else [0.0]
    for (name, look), shift in zip(looks.items(), shifts, strict=True):
        for i, (attack, norm) in enumerate(attacks):
            is_here = (means["attack"] == attack) & (means["norm"] == norm)
            group = means[is_here & (means["augmentation"] == name)]
            ax.hlines([i + shift] * len(group), group["low"], group["high"], color=look.color, linewidth=1.0, alpha=0.7)
            ax.plot(group["value"], [i + shift] * len(group), look.marker, color=look.color, markersize=3.6)
    for i, (attack, norm) in enumerate(attacks):
        chance = rows[is_shuffled & (rows["attack"] == attack) & (rows["norm"] == norm)]["value"]
        if len(chance):
            ax.vlines(chance.mean(), i - 0.36, i + 0.36, color="#B3261E", linewidth=1.6)
    ax.set_xlim(0, 1.05)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(axis_label(str(rows["metric"].iloc[0]), ""))


def _likeness_handles(names: Sequence[str]) -> list[Line2D]:
    trained = [
        Line2D([], [], color=look.color, marker=look.marker, linestyle="none", markersize=3.6, label=label_of(name))
        for name, look in looks_for(names).items()
    ]
    references = [
        Line2D([], [], color="#888888", linestyle=line, linewidth=1.4, label=words)
        for line, words in _REFERENCES.values()
    ]
    chance = Line2D([], [], color="#B3261E", linewidth=1.6, label="another image's perturbation")
    return [*trained, *references, chance]
