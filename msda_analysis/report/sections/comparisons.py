"""Differences between augmentations under attack that the study itself tested: matrix, table and sentences."""

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from msda_analysis.report import draw, panels
from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.section import FigureItem, Section, attack_title, present
from msda_analysis.report.select import (
    half_epsilons,
    has_metric,
    reference_of,
    say_reference,
    select_rows,
    split_parts,
)
from msda_analysis.report.sentences import (
    MIXUP,
    describe_comparisons,
    describe_difference,
    is_masking,
    read_difference,
    read_tests,
)
from msda_analysis.report.style import DOUBLE_COLUMN, label_of, order_augmentations, styled
from msda_analysis.report.tables import Cell, ResultTable, estimate_of
from msda_analysis.report.words import (
    MAIN_ATTACKS,
    MARGIN,
    Metric,
    Table,
    attack_in_text,
    attack_label,
    define,
    in_brackets,
    metric_of,
    sentence,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {
    "accuracy_difference": Metric("Accuracy difference", "accuracy difference",
        "Accuracy of the first minus that of the second augmentation's classifiers, paired on the same images.",
    ),
    "curve_accuracy": Metric("Difference in accuracy", "accuracy",
        "Accuracy under attack of the first minus that of the second augmentation's classifiers, mean over the "
        "budgets at which the reference, the baseline unless the page names another, keeps 10 to 90 % of its correct images.",
    ),
    "curve_kept": Metric("Difference in share still right", "still right",
        "The same of the share of correctly classified images that stay so, which does not reward a better clean "
        "accuracy.",
    ),
}  # fmt: skip
define(METRICS, told=tuple(METRICS))
_LISTED = 3  # differences in a sentence
_NARROW = 5.0  # inches: below, attacks stand below each other
#: Readings of a curve, one row of panels each.
READINGS = {"curve_accuracy": "accuracy", "curve_kept": "still right"}
_COMPARISONS = (
    "Differences in accuracy between augmentations, paired on the same images with seeds as the outer level, uncorrected 95 % "
    "intervals, and Holm's p value over all comparisons made. A single training run decides nothing. Each attack is "
    "shown at the epsilon where {reference} keeps closest to half of its clean accuracy; results.csv has all."
)
_MATRIX = (
    "Who is more robust than whom: the augmentation at the left minus that below, in percentage points, mean over the "
    "budgets at which {reference} keeps 10 to 90 % of its correct images. Top: accuracy under attack. Bottom: share of the "
    "correctly classified images that stay so. Bold: significant at 5 % after Holm's correction over all pairs, attacks and "
    "readings; grey: undecided, as everything is that rests on a single training run. Other attacks are in the table where "
    "they decide, and all in results.csv. Orange is less robust, purple more."
)
_DIFFERENCE = (
    "Accuracy less that of {reference} against epsilon, in percentage points, paired over the same images, with training "
    "seeds as the outer level; bands are uncorrected 95 % intervals of single budgets. Grey: up to 2 points either way, which "
    "make no practical difference. Epsilon is linear up to its smallest positive value and logarithmic above."
)
_CURVE_TABLE = (
    "The numbers of the matrix for pairs with {reference} and for MixUp with each masking family, and all pairs that differ "
    "significantly under any attack. Uncorrected 95 % intervals (images paired, seeds as the outer level); p values corrected "
    "by Holm over all pairs, attacks and readings. A single training run decides nothing."
)


def comparisons_section(table: Table, folder: Path) -> Section | None:
    """Differences between augmentations that the study itself tested: whole curves, or single budgets without those."""
    del folder
    table = table[(table["verdict"] != "") | ~table["metric"].isin(list(METRICS))]  # older tables judged no pair
    if not has_metric(table, *METRICS):
        return None
    items, listed, lines = [], [], []
    for suffix, words, part in split_parts(select_rows(table, [*METRICS, "robust_accuracy"])):
        reference = say_reference(part)
        if has_metric(part, "accuracy_difference"):
            items += difference_figures(part, suffix, words)
        if has_metric(part, *READINGS):
            pairs = select_rows(part, list(READINGS))
            items.append(matrix_figure(pairs, suffix, words))
            listed.append(
                curve_table(
                    pairs,
                    name=f"who_is_more_robust{suffix}",
                    caption=f"{words}. {_CURVE_TABLE.format(reference=reference)}",
                )
            )
            lines += [*significant_findings(pairs), *_direct_findings(pairs)]
        elif has_metric(part, "accuracy_difference"):
            listed.append(
                comparison_table(
                    part, name=f"comparisons{suffix}", caption=f"{words}. {_COMPARISONS.format(reference=reference)}"
                )
            )
    return Section(
        "comparisons", "Who is more robust?", findings=tuple(lines), figures=tuple(items), tables=tuple(listed),
        metrics=tuple(present(table, (*READINGS, "accuracy_difference"))),
    )  # fmt: skip


def difference_figures(table: Table, suffix: str = "", words: str = "") -> list[FigureItem]:
    """Accuracy less that of the reference against epsilon, as the study tested it; attacks beside the main ones are folded.

    Args:
        table: the long table, or one data set's and model's part of it.
        suffix: of the files' names.
        words: which part this is, for the caption.
    """
    reference, explained = reference_of(table), _DIFFERENCE.format(reference=say_reference(table))
    rows = select_rows(table, "accuracy_difference")
    rows = rows[(rows["augmentation"] == reference) | (rows["reference"] == reference)]
    if rows.empty:
        return []
    numbers = _against(rows, reference)
    main = set(numbers["attack"]) & set(MAIN_ATTACKS) or set(numbers["attack"])
    is_main = numbers["attack"].isin(main)
    items = []
    for name, part in (("difference", numbers[is_main]), ("difference_others", numbers[~is_main])):
        if len(part):
            opening = "" if name == "difference" else "Other attacks."
            caption = sentence(opening, explained, f"n = {int(part['n'].max())} test images{in_brackets(words)}.")
            items.append(
                FigureItem(f"{name}{suffix}", part, _draw_differences, caption, explained, name != "difference")
            )
    return items


def _against(rows: Table, reference: str) -> Table:
    """Differences turned round where the reference stands first, in percentage points."""
    columns = [
        "metric",
        "attack",
        "norm",
        "epsilon",
        "augmentation",
        "reference",
        "value",
        "low",
        "high",
        "n",
        "p_value",
        "verdict",
    ]
    turned = rows[columns].rename(columns={"augmentation": "reference", "reference": "augmentation"})[columns]
    turned = turned.assign(value=-rows["value"], low=-rows["high"], high=-rows["low"])
    kept = turned.where(rows["augmentation"] == reference, rows[columns])
    points = {name: 100 * kept[name] for name in ("value", "low", "high")}
    return kept.assign(**points, unit="points", level="mean", seed=None).reset_index(drop=True)


def _draw_differences(numbers: Table) -> Figure:
    order = list(dict.fromkeys(zip(numbers["attack"], numbers["norm"], strict=True)))
    return draw.curves(
        numbers, "epsilon", panel=("attack", "norm"), panels=order, title=attack_title, x_label="$\\epsilon$ (pixels in [0, 1])",
        finish=_finish_differences,
    )  # fmt: skip


def _finish_differences(ax: "Axes", part: Table) -> None:
    panels.scale_epsilon(ax, sorted(set(part["epsilon"])))
    ax.axhspan(-100 * MARGIN, 100 * MARGIN, color="#eeeeee", zorder=0)
    ax.axhline(0, color=panels.GREY, linewidth=0.8)
    if ax.get_ylabel():
        ax.set_ylabel(f"minus {label_of(part['reference'].iloc[0])} (points)")


def matrix_figure(pairs: Table, suffix: str = "", words: str = "") -> FigureItem:
    """Differences between all pairs of augmentations, both ways round; bold where the study's test decides.

    Args:
        pairs: rows of READINGS.
        suffix: of the file's name.
        words: which part this is, for the caption.
    """
    import pandas as pd

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
    there = pairs[columns].assign(decided=is_decided(pairs))
    back = there.rename(columns={"augmentation": "reference", "reference": "augmentation"})
    back = back.assign(value=-there["value"], low=-there["high"], high=-there["low"])[list(there)]
    numbers = pd.concat([there, back], ignore_index=True)
    explained = _MATRIX.format(reference=say_reference(pairs))
    caption = sentence(explained, f"n = {int(pairs['n'].max())} test images ({words}).")
    return FigureItem(f"who_is_more_robust{suffix}", numbers, draw_matrix, caption, explained)


@styled
def draw_matrix(numbers: Table) -> Figure:
    """A heat map an attack and reading, in percentage points: row minus column."""
    attacks = list(dict.fromkeys(shown_pairs(numbers)["attack"]))
    metrics = [name for name in READINGS if name in set(numbers["metric"])]
    names = order_augmentations(numbers["augmentation"])
    limit = 160 * float(numbers["value"].abs().max()) or 1.0
    percent = 100 * numbers["value"]
    cells = numbers.assign(points=percent, text=[_points_text(value) for value in percent])
    width, is_tall = page_width(DOUBLE_COLUMN), page_width(DOUBLE_COLUMN) < _NARROW
    n_rows = len(attacks) if is_tall else len(metrics)
    figure = Figure(figsize=(width, points(0.8 + 0.22 * len(names)) * n_rows + 0.4), layout="constrained")
    axes = figure.subplots(n_rows, len(metrics) + len(attacks) - n_rows, squeeze=False)
    grid = axes.T if is_tall else axes
    for i, metric in enumerate(metrics):
        for k, attack in enumerate(attacks):
            ax, part = grid[i, k], cells[(cells["metric"] == metric) & (cells["attack"] == attack)]
            draw.heat_map(
                ax, part, "augmentation", "reference", value="points", text="text", bold="decided", rows=names, columns=names,
                labels=label_of, fontsize=5.8, cmap="PuOr", vmin=-limit, vmax=limit,
            )  # fmt: skip
            ax.set_title(f"{attack_label(attack)}: {metric_of(metric).symbol}")
            ax.tick_params(labelleft=ax in axes[:, 0], labelbottom=ax in axes[-1])
            for label in ax.get_xticklabels():
                label.set(rotation=40, ha="right", rotation_mode="anchor")
    return figure


def _points_text(value: float) -> str:
    text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if text[1:] == "0.0" else text  # what rounds to nothing has no sign


def is_decided(pairs: Table) -> Table:
    """bool by row: the verdict names one of the two."""
    return (pairs["verdict"] == pairs["augmentation"]) | (pairs["verdict"] == pairs["reference"])


def shown_pairs(pairs: Table) -> Table:
    """The pairs under MAIN_ATTACKS, in their order; all where none of these attacks was made."""
    order = {name: i for i, name in enumerate(MAIN_ATTACKS)}
    shown = pairs[pairs["attack"].isin(MAIN_ATTACKS)]
    return shown.sort_values("attack", key=lambda names: names.map(order), kind="stable") if len(shown) else pairs


def comparison_table(rows: Table, *, name: str, caption: str) -> ResultTable:
    """Tested differences in accuracy: pair, attack, epsilon, difference with its interval, Holm's p and the verdict.

    Attacks are shown at `half_epsilons`, where the table has accuracies to choose by; else at all.

    Raises:
        ValueError: the table has no rows "accuracy_difference".
    """
    tested = select_rows(rows, "accuracy_difference")
    if has_metric(rows, "robust_accuracy"):
        shown = {(*where, epsilon) for where, epsilon in half_epsilons(rows).items()}
        tested = tested[
            [place in shown for place in zip(tested["attack"], tested["norm"], tested["epsilon"], strict=True)]
        ]
    cells = [
        (_pair(row["augmentation"], row["reference"]), attack_label(row["attack"]), f"{row['epsilon']:g}",
         estimate_of(row), f"{row['p_value']:.2g}", _winner(row))
        for row in tested.to_dict("records")
    ]  # fmt: skip
    headers = ("Pair", "Attack", "epsilon", "Difference", "Holm p", "More robust")
    return ResultTable(name, caption, headers, tuple(cells), ("", "", "", "fraction", "", ""))


def curve_table(pairs: Table, *, name: str, caption: str) -> ResultTable:
    """Tested differences between whole curves: pair, attack, and for each reading the difference and Holm's p.

    Under the attacks of the matrix: pairs with the reference, and MixUp with each masking family. Under any attack: pairs
    that differ significantly.

    Args:
        pairs: rows of READINGS.
        name, caption: of the table.
    """
    reference = reference_of(pairs)
    main = list(dict.fromkeys(shown_pairs(pairs)["attack"]))
    rank = {attack: i for i, attack in enumerate([*main, *dict.fromkeys(pairs["attack"])][::-1])}
    ordered = pairs.sort_values("attack", key=lambda names: -names.map(rank), kind="stable")
    cells = []
    for (a, b, attack), group in ordered.groupby(["augmentation", "reference", "attack"], sort=False):
        is_asked = reference in (a, b) or (MIXUP in (a, b) and is_masking(b if a == MIXUP else a))
        if (is_asked and attack in main) or is_decided(group).any():
            cells.append(_curve_cells(a, b, attack, group.set_index("metric").to_dict("index")))
    headers = ("Pair", "Attack", "Accuracy", "Holm p", "Still right", "Holm p, right", "More robust")
    return ResultTable(name, caption, headers, tuple(cells), ("", "", "fraction", "", "fraction", "", ""))


def significant_findings(pairs: Table) -> list[str]:
    """One sentence on the pairs of whole curves that differ after correction, whatever the attack: how many, and the largest."""
    found = pairs[is_decided(pairs)]
    opening = f"Whole curves after Holm's correction over all {len(pairs)} pairs, attacks and readings"
    if found.empty:
        return [f"{opening}: no two augmentations differ."]
    largest = found.sort_values("value", key=abs, ascending=False, kind="stable").head(_LISTED)
    clauses = []
    for row in largest.to_dict("records"):
        above, below = (f"{word} {label_of(row['reference'])}" for word in ("above", "below"))
        size = describe_difference(read_difference({**row, "unit": "fraction"}), above, below, is_decided=True)
        where = f"{attack_label(row['attack'])}, {metric_of(row['metric']).symbol}"
        clauses.append(f"{where}: {label_of(row['augmentation'])} {size} (p = {row['p_value']:.2g})")
    which = "" if len(found) <= _LISTED else f"The {_LISTED} largest, of all that the table has: "
    return [f"{opening}, {len(found)} differ. {which}{'; '.join(clauses)}."]


def _direct_findings(pairs: Table) -> list[str]:
    """MixUp against each masking family over whole curves, under the attacks of the matrix."""
    made = []
    for attack in dict.fromkeys(shown_pairs(pairs)["attack"]):
        for metric in READINGS:
            rows = pairs[(pairs["metric"] == metric) & (pairs["attack"] == attack)]
            subject = f"{metric_of(metric).label} under {attack_in_text(attack)}, mean over budgets"
            made += [
                one for one in read_tests(rows, subject) if one.augmentation == MIXUP and is_masking(one.reference)
            ]
    return describe_comparisons(made, reference_of(pairs))


def _curve_cells(a: str, b: str, attack: str, found: dict[str, dict]) -> tuple[Cell, ...]:
    row: list[Cell] = [_pair(a, b), attack_label(attack)]
    for metric in READINGS:
        known = found.get(metric)
        row += [None, ""] if known is None else [estimate_of({**known, "unit": "fraction"}), f"{known['p_value']:.2g}"]
    return (*row, _who_wins(found))


def _who_wins(found: dict[str, dict]) -> str:
    """The side that is ahead in each reading that decides; else why none does."""
    said = {READINGS[metric]: _winner(row) for metric, row in found.items() if _names_a_side(row)}
    if not said:
        return next(iter(found.values()))["verdict"]
    if len(said) == 2 and len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{winner} ({reading})" for reading, winner in said.items())


def _winner(row: dict) -> str:
    """The verdict in words for a table: a name, or why there is none."""
    return label_of(row["verdict"]) if _names_a_side(row) else row["verdict"]


def _names_a_side(row: dict) -> bool:
    return row["verdict"] in (row["augmentation"], row["reference"])


def _pair(a: str, b: str) -> str:
    return f"{label_of(a)} \N{MINUS SIGN} {label_of(b)}"


SECTIONS = (comparisons_section,)
