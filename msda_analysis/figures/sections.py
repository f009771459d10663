"""The report as a list of sections: each is a function (table, folder) -> Section, or None when its rows are missing.

To add one, write such a function and put it into SECTIONS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msda_analysis.figures import findings, panels, pictures, tables
from msda_analysis.figures.metrics import attack_label, known_metrics, metric_of, norm_label
from msda_analysis.figures.plots import SEEDS_FOR_BAND, augmentations_of, drawable, with_norm
from msda_analysis.figures.selection import has_metric, select_rows, split_parts
from msda_analysis.figures.style import label_of
from msda_analysis.figures.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureItem:
    """One figure of a section.

    Attributes:
        name: of its files.
        figure: drawn.
        numbers: what it shows, for the CSV; None for pictures.
        caption: how to read it, plain text.
        alt: what it shows in one sentence, for readers who cannot see it.
    """

    name: str
    figure: "Figure"
    numbers: "pd.DataFrame | None"
    caption: str
    alt: str


@dataclass(frozen=True)
class Section:
    """One part of the report; empty fields are left out of the page.

    Attributes:
        key: anchor in the page.
        title: heading.
        text: plain paragraphs before the figures.
        findings: sentences computed from the table; they also open the report.
        figures, tables: in order.
        metrics: names whose definitions the report must give.
        limits: what a reader must know before quoting the numbers.
    """

    key: str
    title: str
    text: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    figures: tuple[FigureItem, ...] = ()
    tables: tuple[ResultTable, ...] = ()
    metrics: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


SectionMaker = Callable[["pd.DataFrame", Path], Section | None]

_DOTS = (
    "Small open symbols are single seeds; their thin bars are 95 % intervals over the {samples} of that seed (often narrower "
    "than the symbol). The large symbol is the mean over seeds and the thick bar Student's 95 % interval of that mean, "
    "which speaks of the seeds."
)
_INFORMATION = ("rate", "rate_reconstructed", "mse")
_SHAPES = ("kept_fraction", "perimeter", "components", "transitions_axis0", "transitions_axis1", "transitions_axis2",
           "euler_number", "box_dimension", "anisotropy", "spectral_slope")  # fmt: skip
_BOUNDS = ("rate", "fitted_diagonal", "fitted_full", "fitted_mixture", "fitted", "leave_one_out", "info_nce")
_SPECTRA = ("radial_power", "power_axis0", "power_axis1", "power_axis2")


def masks_section(table: "pd.DataFrame", folder: Path) -> Section | None:
    """Pictures and statistics of the masks."""
    shown = [metric for metric in (*_SHAPES, "kept_fraction_histogram", *_SPECTRA) if has_metric(table, metric)]
    grids = [item for item in (_grid(folder, name) for name in ("masks", "mixed")) if item]
    if not shown and not grids:
        return None
    text = ("A mask m says how much of the first image each pixel keeps; the mix is m times the first image plus (1 - m) "
            "times the second. The statistics describe masks alone, without any training.",)  # fmt: skip
    figures = [*grids, *_shape_figures(table), *_spectrum_figures(table)]
    sentences = []
    if has_metric(table, "transitions_axis0") and has_metric(table, "transitions_axis1"):
        sentences = [findings.compare_axes(part) for _, _, part in split_parts(select_rows(table, _SHAPES))]
    shapes = [metric for metric in _SHAPES if metric in shown]
    listed = _part_tables(table, shapes, "masks", "Masks: mean over seeds with Student's 95 % interval.") if shapes else ()
    return Section("masks", "What the augmentations do to the images", text, tuple(filter(None, sentences)), tuple(figures),
                   listed, tuple(shown), _mask_limits(table, shown))  # fmt: skip


def information_section(table: "pd.DataFrame", folder: Path) -> Section | None:
    """The paper's three VAE figures."""
    shown = [metric for metric in _INFORMATION if has_metric(table, metric)]
    grid = _grid(folder, "reconstructions")
    if not shown:
        return None if grid is None else Section("information", "What a VAE encodes", figures=(grid,))
    rows = select_rows(table, shown)
    figures, sentences = [], []
    for suffix, words, part in split_parts(rows):
        figure, numbers = panels.draw_dots(part, shown)
        caption = f"What VAEs trained with each augmentation encode about clean test images ({words}). "
        figures.append(FigureItem(f"information{suffix}", figure, numbers, caption + _DOTS.format(samples="test images"),
                                  f"Dot plot of {_list(shown)} by augmentation."))  # fmt: skip
        sentences += findings.information_findings(part)
    listed = _part_tables(table, shown, "information", "VAEs on clean test images: mean over seeds with Student's 95 % interval.")
    if any("cifar10" in name and "cifar100" not in name for name in set(rows["dataset"].str.lower())):
        listed = (*listed, tables.published_information())
    text = ("A VAE is trained on images that an augmentation has mixed, and then shown clean test images. How much it encodes "
            "about them, in nats, says how the augmentation changes what is learned; the paper's claim is that MixUp lowers "
            "it while masking augmentations do not.",)  # fmt: skip
    limits = ("I(Z_A; X) is reported as in the paper: the rate of the VAE, an upper bound on the mutual information that "
              "includes the mismatch between the average posterior and the prior. A difference between augmentations can "
              "come from either part.",)  # fmt: skip
    return Section("information", "What a VAE encodes", text, tuple(sentences), (*figures, *([grid] if grid else [])),
                   listed, tuple(shown), limits)  # fmt: skip


def bounds_section(table: "pd.DataFrame", folder: Path) -> Section | None:
    """Bounds on I(X; Z) beside the rate."""
    shown = [metric for metric in _BOUNDS if has_metric(table, metric)]
    extra = [metric for metric in ("between_upper", "between_estimate", "active_units") if has_metric(table, metric)]
    if not set(shown) - {"rate"} and not extra:
        return None
    every = [*shown, *extra]
    figures = []
    for suffix, words, part in split_parts(select_rows(table, every)):
        figure, numbers = panels.draw_dots(part, every)
        figures.append(FigureItem(f"bounds{suffix}", figure, numbers, f"Bounds on I(X; Z) ({words}); panels have their own "
                                  "horizontal scale. " + _DOTS.format(samples="test images"),
                                  f"Dot plot of {_list(every)} by augmentation."))  # fmt: skip
    listed = _part_tables(table, every, "bounds", "Bounds on I(X; Z): mean over seeds with Student's 95 % interval.")
    limits = ("InfoNCE cannot exceed ln K for K samples; close to it, it says only that the information is at least that "
              "large.",) if "info_nce" in shown else ()  # fmt: skip
    return Section("bounds", "Tighter bounds on the information", (), (), tuple(figures), listed, tuple(every), limits)


def robustness_section(table: "pd.DataFrame", folder: Path) -> Section | None:
    """Clean and robust accuracy."""
    shown = [name for name in ("accuracy", "robust_accuracy", "minimum_norm_median") if has_metric(table, name)]
    if not shown:
        return None
    figures: list[FigureItem] = []
    listed: list[ResultTable] = []
    sentences: list[str] = []
    for suffix, words, part in split_parts(select_rows(table, shown)):
        figures += _accuracy_figures(part, suffix, words)
        if has_metric(part, "accuracy", "robust_accuracy"):
            epsilons = tables.half_epsilons(part) if has_metric(part, "robust_accuracy") else {}
            listed.append(tables.accuracy_table(part, epsilons, name=f"accuracy{suffix}", caption=_accuracy_caption(words)))
            sentences += _accuracy_findings(part, epsilons, words)
    limits = ()
    if "robust_accuracy" in shown:
        limits = ("Accuracy under one attack is an upper bound on the accuracy that no attack could break: a stronger attack "
                  "may find more. Pixels lie in [0, 1] and the normalization is part of the attacked model.",)  # fmt: skip
    return Section("robustness", "Accuracy and robustness", (), tuple(sentences), tuple(figures), tuple(listed), tuple(shown),
                   limits)  # fmt: skip


def training_section(table: "pd.DataFrame", folder: Path) -> Section | None:
    """Training curves."""
    if not has_metric(table, "train_loss"):
        return None
    figures = []
    for suffix, words, part in split_parts(select_rows(table, "train_loss")):
        figure, numbers = panels.draw_curves_figure(part, ("train_loss",), x_label="epoch")
        caption = (f"Training loss ({words}), on mixed images and labels: levels of different augmentations are not "
                   "comparable, only whether each has settled. " + _curve_words(part))  # fmt: skip
        figures.append(FigureItem(f"training{suffix}", figure, numbers, caption, f"Training loss by epoch, {words}."))
    return Section("training", "Training", figures=tuple(figures), metrics=("train_loss",))


def comparison_section(table: "pd.DataFrame", folder: Path) -> Section | None:
    """Differences that the study itself computed."""
    rows = table[(table["status"] == "ok") & table["metric"].str.startswith("comparison")]
    if rows.empty:
        return None
    columns = ("metric", "dataset", "model", "augmentation", "attack", "epsilon", "value", "unit", "n", "note")
    caption = "Differences as the study computed them, with their 95 % intervals."
    return Section("comparisons", "Comparisons", tables=(tables.text_table(rows, columns, name="comparisons", caption=caption),))


def flags_section(table: "pd.DataFrame", folder: Path) -> Section | None:
    """What the study's own checks found suspicious."""
    rows = table[(table["status"] == "ok") & (table["metric"] == "flag")]
    noted = table[(table["status"] == "ok") & (table["metric"] != "flag") & table["note"].str.strip().ne("")]
    listed = []
    if len(rows):
        listed.append(tables.text_table(rows, ("model", "augmentation", "seed", "attack", "note"), name="flags",
                                        caption="Checks that a reader should know of before trusting a number."))  # fmt: skip
    if len(noted):
        once = noted.drop_duplicates(["metric", "model", "augmentation", "attack", "note"])
        listed.append(tables.text_table(once, ("metric", "model", "augmentation", "attack", "note"), name="notes",
                                        caption="Warnings that came with single numbers, each once."))  # fmt: skip
    text = ("Notes that the measurements left with their numbers.",)
    return Section("flags", "Warnings", text, tables=tuple(listed)) if listed else None


def other_section(table: "pd.DataFrame", folder: Path) -> Section | None:
    """Metrics that no other section knows, so that nothing measured stays hidden."""
    rows = table[(table["status"] == "ok") & ~table["metric"].isin(known_metrics()) & (table["metric"] != "flag")]
    rows = rows[~rows["metric"].str.startswith("comparison")]
    if rows.empty:
        return None
    shown = rows.head(200)
    caption = f"{len(shown)} of {len(rows)} rows whose metric has no figure here; results.csv has all."
    columns = ("metric", "dataset", "model", "augmentation", "seed", "attack", "epsilon", "x", "value", "unit")
    return Section("other", "Other measurements", tables=(tables.text_table(shown, columns, name="other", caption=caption),))


#: Sections in the order of the report.
SECTIONS: tuple[SectionMaker, ...] = (
    masks_section, information_section, bounds_section, robustness_section, training_section, comparison_section,
    flags_section, other_section,
)  # fmt: skip


_GRIDS = {
    "masks": ("Masks, one row per family. White keeps the first image, black takes the second.",
              "Grid of masks, one row per family."),
    "mixed": ("Two source images and their mix under each family, with the masks of one draw. Display only: values outside "
              "[0, 1] are drawn as black or white.", "Grid of mixed images, one row per family."),
    "reconstructions": ("Clean test images and their reconstruction by a VAE trained with each augmentation. Values outside "
                        "[0, 1] are drawn as black or white.", "Grid of test images and reconstructions, one row per augmentation."),
}  # fmt: skip


def _grid(folder: Path, name: str) -> FigureItem | None:
    path = folder / "pictures" / f"{name}.npz"
    if not path.exists():
        return None
    caption, alt = _GRIDS[name]
    return FigureItem(name, pictures.draw_picture_grid(pictures.load_pictures(path)), None, caption, alt)


def _shape_figures(table: "pd.DataFrame") -> list[FigureItem]:
    figures = []
    shapes = [metric for metric in _SHAPES if has_metric(table, metric)]
    for suffix, words, part in split_parts(select_rows(table, shapes)) if shapes else ():
        figure, numbers = panels.draw_dots(part, shapes)
        figures.append(FigureItem(f"mask_shapes{suffix}", figure, numbers, f"Mask statistics by family{_of(words)}. "
                                  + _DOTS.format(samples="masks"), f"Dot plots of {_list(shapes)} by family."))  # fmt: skip
    if has_metric(table, "kept_fraction_histogram"):
        for suffix, words, part in split_parts(select_rows(table, "kept_fraction_histogram")):
            figure, numbers = panels.draw_histograms(part)
            caption = (f"How the kept fraction is distributed{_of(words)}: filled, the mean over seeds; thin lines, single "
                       "seeds. A flat histogram is the uniform law of alpha = 1.")  # fmt: skip
            figures.append(FigureItem(f"kept_fraction{suffix}", figure, numbers, caption, "Histograms of the kept fraction."))
    return figures


def _spectrum_figures(table: "pd.DataFrame") -> list[FigureItem]:
    kinds = (
        ("radial_power", ("radial_power",), "xy", "spatial frequency (cycles/pixel)",
         "Power of the masks by spatial frequency, averaged over directions; both axes logarithmic, frequency 0 not drawn."),
        ("axis_power", ("power_axis0", "power_axis1", "power_axis2"), "y", "frequency bin",
         "Power of the masks along each axis. A law without a preferred direction has the same curve in all panels; that of "
         "the released FMix code does not."),
    )  # fmt: skip
    figures = []
    for name, metrics, log, x_label, words_of in kinds:
        for suffix, words, part in split_parts(select_rows(table, metrics)) if has_metric(table, *metrics) else ():
            if drawable(part, log).empty:
                continue
            figure, numbers = panels.draw_curves_figure(part, metrics, log=log, x_label=x_label)
            caption = f"{words_of} {_absent(part, log)}{_curve_words(part)}"
            figures.append(FigureItem(f"{name}{suffix}", figure, numbers, caption, f"{words_of}{_of(words)}"))
    return figures


def _accuracy_figures(part: "pd.DataFrame", suffix: str, words: str) -> list[FigureItem]:
    figures = []
    if has_metric(part, "robust_accuracy"):
        figure, numbers = panels.draw_accuracy_curves(part)
        norms = [norm for norm in dict.fromkeys(with_norm(select_rows(part, "robust_accuracy"))["norm"]) if norm]
        named = f" in {' and '.join(_norm_text(norm) for norm in norms)}" if norms else ""
        caption = (f"Accuracy under attack{named} ({words}). Epsilon is on a linear scale from 0 to its smallest positive "
                   "value and on a logarithmic one above; the point at 0 is the clean accuracy. "
                   + _curve_words(select_rows(part, "robust_accuracy")))  # fmt: skip
        figures.append(FigureItem(f"robustness{suffix}", figure, numbers, caption, "Accuracy against epsilon, one panel per attack."))
    elif has_metric(part, "accuracy"):
        figure, numbers = panels.draw_dots(part, ("accuracy",))
        figures.append(FigureItem(f"accuracy{suffix}", figure, numbers, f"Clean accuracy ({words}). "
                                  + _DOTS.format(samples="test images"), "Dot plot of clean accuracy."))  # fmt: skip
    if has_metric(part, "minimum_norm_median"):
        figure, numbers = panels.draw_attack_dots(part, "minimum_norm_median")
        caption = f"Median smallest perturbation that changes the prediction ({words}); further right is more robust. "
        figures.append(FigureItem(f"minimum_norm{suffix}", figure, numbers, caption + _DOTS.format(samples="test images"),
                                  "Dot plots of the median minimum norm, one panel per attack."))  # fmt: skip
    return figures


def _accuracy_findings(part: "pd.DataFrame", epsilons: dict[tuple[str, str], float], words: str) -> list[str]:
    sentences = []
    if has_metric(part, "accuracy"):
        sentences.append(findings.compare_with_baseline(select_rows(part, "accuracy"), f"Clean accuracy ({words})"))
    for (attack, norm), epsilon in epsilons.items():
        rows = select_rows(with_norm(part), "robust_accuracy", attack=attack, norm=norm, epsilon=epsilon)
        subject = f"Accuracy under {attack_label(attack)} at epsilon = {epsilon:g}"
        sentences.append(findings.compare_with_baseline(rows, subject))
    return sentences


def _accuracy_caption(words: str) -> str:
    return (
        f"Accuracy ({words}): mean over seeds with Student's 95 % interval. Each attack is shown at the epsilon of the "
        "study's list where the baseline keeps closest to half of its clean accuracy; the figure's CSV has all."
    )


def _part_tables(table: "pd.DataFrame", metrics: list[str], name: str, caption: str) -> tuple[ResultTable, ...]:
    return tuple(
        tables.metrics_table(part, metrics, name=f"{name}{suffix}", caption=f"{words}. {caption}" if words else caption)
        for suffix, words, part in split_parts(select_rows(table, metrics))
    )


def _mask_limits(table: "pd.DataFrame", shown: list[str]) -> tuple[str, ...]:
    names = augmentations_of(table)
    limits = []
    if any("fmix" in name for name in names):
        limits.append("FMix has two laws. FMix (isotropic) is what the paper describes; FMix (released) is what the published "
                      "code does: it pairs real and imaginary parts along the wrong axis, so that its masks vary slowly along "
                      "the width only. Published FMix results were made with the released law.")  # fmt: skip
    if any("cutmix" in name for name in names) and "kept_fraction" in shown:
        limits.append("CutMix boxes that are clipped at the border keep more of the first image (0.68 on average at alpha = 1) "
                      "than MixUp and FMix (0.5), so families are not compared at equal strength.")  # fmt: skip
    return tuple(limits)


def _curve_words(rows: "pd.DataFrame") -> str:
    """What lines, bands and bars of a curve figure are, for its number of seeds."""
    n_seeds = rows.groupby("augmentation")["seed"].nunique(dropna=False)
    if n_seeds.min() >= SEEDS_FOR_BAND:
        return "Lines are means over seeds, bands Student's 95 % interval over seeds (drawn cut off where it leaves the panel)."
    if n_seeds.max() == 1:
        return "Lines are single seeds; thin bars, where given, are 95 % intervals over images or masks. Nothing here speaks of seeds."
    return (
        "Thick lines are means over seeds. Augmentations with at least three seeds have a band, Student's 95 % interval; with "
        "two, that interval is 12.7 standard errors wide, so the seeds are drawn as thin lines instead."
    )


def _absent(part: "pd.DataFrame", log: str) -> str:
    """Says which augmentations a logarithmic figure cannot show."""
    missing = [name for name in augmentations_of(part) if name not in set(drawable(part, log)["augmentation"])]
    if not missing:
        return ""
    names = " and ".join(label_of(name) for name in missing)
    return f"{names} has no power above frequency 0 (its masks are constant) and is not drawn. " if len(missing) == 1 else (
        f"{names} have no power to draw. ")  # fmt: skip


def _list(metrics: list[str]) -> str:
    return ", ".join(metric_of(metric).label for metric in metrics)


def _of(words: str) -> str:
    return f" ({words})" if words else ""


def _norm_text(norm: str) -> str:
    return {"linf": "the maximum norm (L-infinity)", "l2": "the Euclidean norm (L2)"}.get(norm, norm_label(norm))
