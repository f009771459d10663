"""Accuracy without attack and under attack."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msda_analysis.report import draw, panels
from msda_analysis.report.section import (
    MEANS,
    FigureItem,
    Section,
    attack_title,
    count_images,
    dot_figures,
    explain_curves,
    explain_dots,
    present,
)
from msda_analysis.report.select import (
    half_epsilons,
    has_metric,
    reference_of,
    say_reference,
    select_rows,
    split_parts,
    summarize,
)
from msda_analysis.report.sentences import (
    Comparison,
    compare_seeds,
    correct,
    describe_comparisons,
    read_tests,
    why_not_compared,
)
from msda_analysis.report.tables import ResultTable, by_augmentation
from msda_analysis.report.words import (
    MAIN_ATTACKS,
    Metric,
    Table,
    attack_in_text,
    attack_label,
    define,
    in_brackets,
    norm_label,
    sentence,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {
    "accuracy": Metric("Clean accuracy", "clean accuracy", "Share of clean test images that are classified correctly."),
    "accuracy_over_views": Metric("Clean accuracy over views", "clean accuracy, mean over views",
        "The same of logits averaged over views of each image: its mirror, or shifts by a pixel as well.",
    ),
    "robust_accuracy": Metric("Robust accuracy", "robust accuracy",
        "Share of test images still classified correctly when the attack may change the image by up to epsilon in "
        "the stated norm. Pixels lie in [0, 1]; images that were wrong before the attack count as wrong. Epsilon 0 "
        "is the clean accuracy.",
    ),
    "minimum_norm_median": Metric("Median minimum norm", "median minimum norm",
        "Median over test images of the smallest perturbation with which the attack changed the prediction. It "
        "bounds the true distance from above, as any attack's result does.",
    ),
    "survival": Metric("Survival of the minimum norm", "images with a longer norm",
        "Share of test images whose smallest perturbation found is longer than epsilon: robust accuracy on a fine "
        "row of budgets from one search. At 0 it is the clean accuracy; worst case takes the smallest norm over all "
        "attacks.",
    ),
}  # fmt: skip
define(METRICS)
_TEXT = (
    "A classifier is trained with each augmentation and attacked on clean test images. The paper's claim is that MixUp "
    "acts like adversarial training against perturbations that look like MixUp images (DeepFool, uniform noise)."
)
_LIMIT = (
    "Accuracy under one attack is an upper bound on the accuracy that no attack could break: a stronger attack may find "
    "more. Pixels lie in [0, 1] and the normalization is part of the attacked model."
)
_CURVES = (
    "Epsilon is on a linear scale from 0 to its smallest positive value and on a logarithmic one above; the point at 0 is "
    "the clean accuracy."
)
_SURVIVAL = (
    "Epsilon is on a linear scale up to the study's smallest positive budget and on a logarithmic one above. One search per "
    "image serves all budgets. The axis ends where fewer than 1 % of the images are left. Bands over images (simultaneous, "
    "DKW) are in the CSV, by seed."
)
_TABLE = (
    "Mean over seeds with 95 % interval over images and seeds. Each attack is shown at the epsilon of the study's list where "
    "{reference} keeps closest to half of its clean accuracy; the figure's CSV has all."
)


def robustness_section(table: Table, folder: Path) -> Section | None:
    """Clean and robust accuracy."""
    del folder
    shown = present(table, list(METRICS))
    if not shown:
        return None
    figures: list[FigureItem] = []
    listed: list[ResultTable] = []
    lines: list[str] = []
    for suffix, words, part in split_parts(select_rows(table, [*shown, "accuracy_difference"])):
        if not present(part, shown):
            continue
        figures += _figures(part, suffix, words)
        if has_metric(part, "accuracy", "robust_accuracy"):
            epsilons = _summed_up(half_epsilons(part)) if has_metric(part, "robust_accuracy") else {}
            caption = f"Accuracy ({words}). {_TABLE.format(reference=say_reference(part)) if epsilons else MEANS}"
            listed.append(accuracy_table(part, epsilons, name=f"accuracy{suffix}", caption=caption))
            lines += _findings(part, epsilons, words if suffix else "")
    is_attacked = "robust_accuracy" in shown
    return Section(
        key="robustness", title="Accuracy and robustness", text=(_TEXT,) if is_attacked else (), findings=tuple(lines),
        figures=tuple(figures), tables=tuple(listed), metrics=tuple(shown), limits=(_LIMIT,) if is_attacked else (),
    )  # fmt: skip


def accuracy_figures(table: Table, suffix: str = "", words: str = "") -> list[FigureItem]:
    """Accuracy against epsilon under the main attacks, and folded under the others; all where no worst case was measured."""
    rows = select_rows(table, "robust_accuracy")
    is_main = rows["attack"].isin(MAIN_ATTACKS)
    if not (rows["attack"] == "worst_case").any() or is_main.all():
        return [accuracy_figure(rows, suffix=suffix, words=words)]
    others = accuracy_figure(rows[~is_main], suffix=f"_others{suffix}", words=words)
    return [accuracy_figure(rows[is_main], suffix=suffix, words=words), replace(others, is_folded=True)]


def accuracy_figure(table: Table, metric: str = "robust_accuracy", suffix: str = "", words: str = "") -> FigureItem:
    """Accuracy against epsilon, or survival of the minimum norm, one panel per attack and norm.

    Args:
        table: the long table, or one data set's and model's part of it.
        metric: "robust_accuracy", or "survival", the same from minimum norms on a fine row of budgets.
        suffix: of the file's name.
        words: which part this is, for the caption.

    Raises:
        ValueError: the table has no rows of the metric.
    """
    rows = select_rows(table, metric)
    numbers = summarize(rows, ("metric", "attack", "norm", "augmentation", "epsilon"))
    is_accuracy = metric == "robust_accuracy"
    order = list(dict.fromkeys(zip(rows["attack"], rows["norm"], strict=True)))
    painter = partial(
        draw.curves, x="epsilon", panel=("attack", "norm"), panels=order, title=attack_title, finish=_finish_accuracy
    )
    what = (
        f"Accuracy under {'other attacks' if 'others' in suffix else 'attack'}"
        if is_accuracy
        else "Share of images whose smallest perturbation found is longer than epsilon"
    )
    caption = sentence(
        f"{what}{_norms(rows)}{in_brackets(words)}.", _CURVES if is_accuracy else _SURVIVAL, explain_curves(rows),
        count_images(rows),
    )  # fmt: skip
    curves = "Accuracy against epsilon" if is_accuracy else "Survival curves of the minimum norm"
    alt = f"{curves}, one panel per attack, one line per augmentation."
    return FigureItem(f"{'robustness' if is_accuracy else 'survival'}{suffix}", numbers, painter, caption, alt)


def accuracy_table(
    table: Table, epsilons: Mapping[tuple[str, str], float], *, name: str = "accuracy", caption: str
) -> ResultTable:
    """Clean accuracy, and accuracy under each attack at one epsilon.

    Args:
        table: the long table.
        epsilons: (attack, norm) -> epsilon to show, see `half_epsilons`.
        name, caption: of the table.

    Raises:
        ValueError: the table has neither accuracy nor robust_accuracy rows.
    """
    rows = select_rows(table, ("accuracy", "accuracy_over_views", "robust_accuracy"))
    columns = []
    if has_metric(rows, "accuracy"):
        columns.append(("Clean", "fraction", select_rows(rows, "accuracy")))
    if has_metric(rows, "accuracy_over_views"):
        columns.append(("Clean, mean over views", "fraction", select_rows(rows, "accuracy_over_views")))
    for (attack, norm), epsilon in epsilons.items():
        part = select_rows(rows, "robust_accuracy", attack=attack, norm=norm, epsilon=epsilon)
        columns.append((f"{attack_label(attack, norm)}, epsilon = {epsilon:g}", "fraction", part))
    return by_augmentation(columns, name=name, caption=caption)


def _figures(part: Table, suffix: str, words: str) -> list[FigureItem]:
    items = []
    if has_metric(part, "robust_accuracy"):
        items += accuracy_figures(part, suffix, words)
    else:
        items += dot_figures(part, ("accuracy",), f"accuracy{suffix}", "test images")
    if has_metric(part, "survival"):
        items.append(replace(accuracy_figure(part, "survival", suffix, words), is_folded=True))
    if has_metric(part, "minimum_norm_median"):
        rows = select_rows(part, "minimum_norm_median")
        numbers = summarize(rows, ("metric", "attack", "norm", "augmentation"))
        painter = partial(draw.dots, panel=("attack", "norm"), title=attack_title)
        opening = f"Median smallest perturbation that changes the prediction ({words}); further right is more robust."
        caption = sentence(opening, explain_dots("test images", part))
        alt = "Dot plots of the median minimum norm, one panel per attack."
        items.append(FigureItem(f"minimum_norm{suffix}", numbers, painter, caption, alt, is_folded=True))
    return items


def _finish_accuracy(ax: "Axes", part: Table) -> None:
    """Scale and label one panel of accuracy against epsilon."""
    epsilons, is_survival = sorted(set(part["epsilon"])), part["metric"].iloc[0] == "survival"
    panels.scale_epsilon(ax, epsilons)
    if is_survival:
        ax.set_xlim(right=_last_alive(part, epsilons))
    norm = norm_label(str(part["norm"].iloc[0]))
    ax.set(ylim=(0, 1), xlabel=f"$\\epsilon$ ({norm}, pixels in [0, 1])" if norm else "$\\epsilon$ (pixels in [0, 1])")
    if ax.get_ylabel():
        ax.set_ylabel("share above $\\epsilon$" if is_survival else "accuracy (fraction)")


def _last_alive(rows: Table, epsilons: list[float]) -> float:
    """The budget from which on next to no image is left under any classifier: beyond it there is nothing to see."""
    highest = rows.groupby("epsilon")["value"].max()
    return next((epsilon for epsilon in epsilons if epsilon > epsilons[1] and highest[epsilon] < 0.01), epsilons[-1])


def _findings(part: Table, epsilons: dict[tuple[str, str], float], words: str) -> list[str]:
    """Sentences on clean accuracy and on each attack; all that the study did not test itself is corrected together."""
    made: list[Comparison] = []
    missing: list[str] = []
    if has_metric(part, "accuracy"):
        rows, subject = select_rows(part, "accuracy"), f"Clean accuracy{in_brackets(words)}"
        missing += why_not_compared(rows, subject)
        made += compare_seeds(rows, subject)
    tested: list[Comparison] = []
    for (attack, norm), epsilon in epsilons.items():
        where = {"attack": attack, "norm": norm, "epsilon": epsilon}
        rows = select_rows(part, "robust_accuracy", **where)
        subject = f"Accuracy under {attack_in_text(attack)} at epsilon = {epsilon:g}{in_brackets(words)}"
        missing += why_not_compared(rows, subject)
        is_here = (part[list(where)] == list(where.values())).all(axis=1) & (part["metric"] == "accuracy_difference")
        # whole curves tell of the other pairs
        tested += [one for one in read_tests(part[is_here], subject) if one.reference == reference_of(part)]
        made += [] if has_metric(part, "accuracy_difference") else compare_seeds(rows, subject)
    return [*missing, *describe_comparisons([*correct(made), *tested], reference_of(part))]


def _summed_up(epsilons: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """The attacks that sentences and the table speak of: all, or where there is a worst case, it and the paper's two."""
    if not any(attack == "worst_case" for attack, _ in epsilons):
        return epsilons
    return {key: value for key, value in epsilons.items() if key[0] in MAIN_ATTACKS}


def _norms(rows: Table) -> str:
    words = {"linf": "the maximum norm (L-infinity)", "l2": "the Euclidean norm (L2)"}
    norms = [norm for norm in dict.fromkeys(rows["norm"]) if norm]
    return f" in {' and '.join(words.get(norm, norm_label(norm)) for norm in norms)}" if norms else ""


SECTIONS = (robustness_section,)
