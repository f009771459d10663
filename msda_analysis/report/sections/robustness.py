"""Sections on robustness: the paper's claims, accuracy under attack, comparisons, likeness to MixUp."""

from pathlib import Path

from msda_analysis.report import captions, curve_findings, findings, panels, tables
from msda_analysis.report.comparisons import Comparison, compare_seeds, correct, describe_comparisons
from msda_analysis.report.section import FigureItem, Section, dot_figures, in_brackets, present
from msda_analysis.report.sections import claims
from msda_analysis.report.sections import comparisons_tables as pair_tables
from msda_analysis.report.sections import likeness as robustness_panels
from msda_analysis.report.select import has_metric, select_rows, split_parts
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Table, attack_label, norm_label

_LIKENESS = ("mixup_likeness", "mixup_likeness_beyond_fading", "energy_share", "energy_share_beyond_fading", "cosine_mean_abs", "cosine_mean", "cosine_largest", "distance_to_mixup", "distance_to_any_mask",
             "distance_to_sampled_masks")  # fmt: skip


def claims_section(table: Table, folder: Path) -> Section | None:
    """What the paper says of MixUp, and what these rows say to it."""
    table = table[
        (table["verdict"] != "") | ~table["metric"].isin(list(claims.READINGS))
    ]  # older tables judged no pair
    if not has_metric(table, *claims.READINGS):
        return None
    rows = select_rows(table, [*claims.READINGS, "mixup_likeness", "mixup_likeness_beyond_fading"])
    lines, listed = [], []
    for suffix, words, part in split_parts(rows):
        verdicts = claims.judge_claims(part)
        lines += claims.claim_findings(verdicts)
        caption = f"{words}. {captions.CLAIMS_TABLE}"
        listed.append(claims.claims_table(verdicts, name=f"claims{suffix}", caption=caption))
    return Section(
        "claims", "Which of the paper's claims held?", (captions.CLAIMS,), tuple(lines), tables=tuple(listed)
    )


def robustness_section(table: Table, folder: Path) -> Section | None:
    """Clean and robust accuracy."""
    shown = present(table, ("accuracy", "robust_accuracy", "survival", "minimum_norm_median"))
    if not shown:
        return None
    figures: list[FigureItem] = []
    listed: list[ResultTable] = []
    lines: list[str] = []
    for suffix, words, part in split_parts(select_rows(table, [*shown, "accuracy_difference"])):
        if not present(part, shown):
            continue
        figures += _accuracy_figures(part, suffix, words)
        if has_metric(part, "accuracy", "robust_accuracy"):
            epsilons = _summed_up(tables.half_epsilons(part)) if has_metric(part, "robust_accuracy") else {}
            caption = f"Accuracy ({words}). {captions.ACCURACY_TABLE if epsilons else captions.MEANS}"
            listed.append(tables.accuracy_table(part, epsilons, name=f"accuracy{suffix}", caption=caption))
            lines += _accuracy_findings(part, epsilons, words if suffix else "")
    return Section(
        key="robustness",
        title="Accuracy and robustness",
        text=(captions.ROBUSTNESS,) if "robust_accuracy" in shown else (),
        findings=tuple(lines),
        figures=tuple(figures),
        tables=tuple(listed),
        metrics=tuple(shown),
        limits=(captions.ATTACK_LIMIT,) if "robust_accuracy" in shown else (),
    )


def comparison_section(table: Table, folder: Path) -> Section | None:
    """Differences between augmentations that the study itself tested: whole curves, or single budgets without those."""
    tested = ("accuracy_difference", *robustness_panels.MATRIX_METRICS)
    table = table[(table["verdict"] != "") | ~table["metric"].isin(tested)]  # older tables judged no pair
    if not has_metric(table, *tested):
        return None
    items, listed, lines = [], [], []
    for suffix, words, part in split_parts(select_rows(table, [*tested, "robust_accuracy"])):
        if has_metric(part, *robustness_panels.MATRIX_METRICS):
            figure, pairs = robustness_panels.draw_matrix(part)
            images = f"n = {int(pairs['n'].max())} test images ({words})."
            caption = captions.sentence(captions.MATRIX, images)
            items.append(FigureItem(f"who_is_more_robust{suffix}", figure, pairs, caption, captions.MATRIX))
            caption = f"{words}. {captions.CURVE_TABLE}"
            listed.append(pair_tables.curve_table(pairs, name=f"who_is_more_robust{suffix}", caption=caption))
            lines += curve_findings.significant_findings(pairs)
            attacks = list(dict.fromkeys(robustness_panels.shown_pairs(pairs)["attack"]))
            lines += curve_findings.direct_curve_findings(part, attacks, robustness_panels.MATRIX_METRICS)
        elif has_metric(part, "accuracy_difference"):
            caption = f"{words}. {captions.COMPARISONS}"
            listed.append(pair_tables.comparison_table(part, name=f"comparisons{suffix}", caption=caption))
    named = present(table, (*robustness_panels.MATRIX_METRICS, "accuracy_difference"))
    return Section(
        "comparisons", "Who is more robust?", findings=tuple(lines), figures=tuple(items), tables=tuple(listed),
        metrics=tuple(named),
    )  # fmt: skip


def likeness_section(table: Table, folder: Path) -> Section | None:
    """Whether perturbations look like MixUp."""
    shown = present(table, _LIKENESS)
    if not shown:
        return None
    items = []
    for suffix, words, part in split_parts(select_rows(table, shown)):
        if has_metric(part, *robustness_panels.LIKENESS):
            figure, numbers = robustness_panels.draw_likeness(part)
            counted = captions.count_images(select_rows(part, robustness_panels.LIKENESS, attack="mixup"))
            caption = captions.sentence(captions.LIKENESS_FIGURE, f"({words})", counted)
            alt = "Likeness of perturbations to MixUp, by attack, between chance and a MixUp step."
            items.append(FigureItem(f"likeness{suffix}", figure, numbers, caption, alt))
        figure, numbers = panels.draw_by_attack(part, shown)
        caption = captions.sentence(captions.LIKENESS_DETAILS, f"({words})")
        items.append(FigureItem(f"likeness_details{suffix}", figure, numbers, caption, captions.LIKENESS_DETAILS))
    return Section(
        key="likeness",
        title="Do perturbations look like MixUp?",
        text=(captions.LIKENESS,),
        figures=(*items, *spectrum_of_perturbations(table)),
        metrics=tuple(shown),
    )


def spectrum_of_perturbations(table: Table) -> tuple[FigureItem, ...]:
    """Spectra of perturbations by attack, in one panel of lines."""
    if not has_metric(table, "perturbation_power"):
        return ()
    rows = select_rows(table, "perturbation_power")
    figure, numbers = panels.draw_perturbation_spectra(rows)
    return (
        FigureItem(
            "perturbation_spectra", figure, numbers, captions.PERTURBATION_SPECTRA, captions.PERTURBATION_SPECTRA
        ),
    )


def _accuracy_figures(part: Table, suffix: str, words: str) -> list[FigureItem]:
    items = []
    if has_metric(part, "robust_accuracy"):
        figure, numbers = panels.draw_accuracy_curves(part)
        rows = select_rows(part, "robust_accuracy")
        caption = captions.sentence(
            f"Accuracy under attack{_norms(rows)} ({words}).", captions.ACCURACY, captions.explain_curves(rows),
            captions.count_images(rows),
        )  # fmt: skip
        alt = "Accuracy against epsilon, one panel per attack, one line per augmentation."
        items.append(FigureItem(f"robustness{suffix}", figure, numbers, caption, alt))
    else:
        items += dot_figures(part, present(part, ("accuracy",)), f"accuracy{suffix}", "test images")
    if has_metric(part, "survival"):
        rows = select_rows(part, "survival")
        figure, numbers = panels.draw_accuracy_curves(rows, "survival")
        opening = f"Share of images whose smallest perturbation found is longer than epsilon{_norms(rows)} ({words})."
        caption = captions.sentence(
            opening, captions.SURVIVAL, captions.explain_curves(rows), captions.count_images(rows)
        )
        alt = "Survival curves of the minimum norm, one panel per attack, one line per augmentation."
        items.append(FigureItem(f"survival{suffix}", figure, numbers, caption, alt))
    if has_metric(part, "minimum_norm_median"):
        figure, numbers = panels.draw_attack_dots(part, "minimum_norm_median")
        opening = f"Median smallest perturbation that changes the prediction ({words}); further right is more robust."
        caption = captions.sentence(opening, captions.explain_dots("test images", part))
        alt = "Dot plots of the median minimum norm, one panel per attack."
        items.append(FigureItem(f"minimum_norm{suffix}", figure, numbers, caption, alt))
    return items


def _accuracy_findings(part: Table, epsilons: dict[tuple[str, str], float], words: str) -> list[str]:
    """Sentences on clean accuracy and on each attack; all that the study did not test itself is corrected together."""
    made: list[Comparison] = []
    missing: list[str] = []
    if has_metric(part, "accuracy"):
        rows, subject = select_rows(part, "accuracy"), f"Clean accuracy{in_brackets(words)}"
        missing += findings.why_not_compared(rows, subject)
        made += compare_seeds(rows, subject)
    tested: list[Comparison] = []
    for (attack, norm), epsilon in epsilons.items():
        rows = select_rows(part, "robust_accuracy", attack=attack, norm=norm, epsilon=epsilon)
        subject = f"Accuracy under {attack_label(attack)} at epsilon = {epsilon:g}{in_brackets(words)}"
        missing += findings.why_not_compared(rows, subject)
        by_study = curve_findings.tested_accuracies(part, attack, norm, epsilon, subject)
        tested += [one for one in by_study if one.reference == "baseline"]  # whole curves tell of the other pairs
        made += [] if has_metric(part, "accuracy_difference") else compare_seeds(rows, subject)
    return [*missing, *describe_comparisons([*correct(made), *tested])]


def _summed_up(epsilons: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """The attacks that sentences and the table speak of: all, or where there is a worst case, it and the paper's two."""
    if not any(attack == "worst_case" for attack, _ in epsilons):
        return epsilons
    return {key: value for key, value in epsilons.items() if key[0] in robustness_panels.MATRIX_ATTACKS}


def _norms(rows: Table) -> str:
    words = {"linf": "the maximum norm (L-infinity)", "l2": "the Euclidean norm (L2)"}
    norms = [norm for norm in dict.fromkeys(rows["norm"]) if norm]
    return f" in {' and '.join(words.get(norm, norm_label(norm)) for norm in norms)}" if norms else ""
