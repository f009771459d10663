"""The report as a list of sections: each is a function (table, folder) -> Section, or None when its rows are missing.

To add one, write such a function and put it into SECTIONS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msda_analysis.figures import captions, findings, layers, panels, pictures, tables
from msda_analysis.figures.metrics import Table, attack_label, known_metrics, norm_label
from msda_analysis.figures.plots import augmentations_of, drawable, with_norm
from msda_analysis.figures.selection import has_metric, select_rows, split_parts
from msda_analysis.figures.tables import ResultTable

if TYPE_CHECKING:
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
    numbers: Table | None
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


SectionMaker = Callable[[Table, Path], Section | None]

_INFORMATION = ("rate", "rate_reconstructed", "mse")
_BOUNDS = ("fitted_diagonal", "fitted_full", "fitted_mixture", "fitted", "leave_one_out", "info_nce",
           "active_units")  # fmt: skip
_BETWEEN = (
    "between_upper",
    "between_difference",
    "between_info_nce",
    "between_lower",
    "between_through_reconstruction",
)
_LAYERS = ("layer_mine", "layer_mine_tanh", "layer_nwj", "layer_js", "layer_smile")
_SHAPES = ("kept_fraction", "perimeter", "components", "transitions_axis0", "transitions_axis1", "transitions_axis2",
           "axis_power_ratio")  # fmt: skip
_DETAILS = ("holes", "euler_number", "euler_number_full", "box_dimension", "mean_chord_axis0", "mean_chord_axis1",
            "mean_chord_axis2", "anisotropy", "spectral_slope")  # fmt: skip
_LIKENESS = ("cosine_mean_abs", "cosine_mean", "cosine_largest", "distance_to_mixup", "distance_to_any_mask",
             "distance_to_sampled_masks")  # fmt: skip
_SPECTRA = ("radial_power", "power_axis0", "power_axis1", "power_axis2")


def masks_section(table: Table, folder: Path) -> Section | None:
    """Pictures and statistics of the masks: the rows that no model made."""
    table = table[table["model"] == ""]
    shown = _present(table, (*_SHAPES, "kept_fraction_histogram", *_SPECTRA, *_DETAILS))
    grids = [*_grid(folder, "masks"), *_grid(folder, "mixed")]
    if not shown and not grids:
        return None
    shapes, details = _present(table, _SHAPES), _present(table, _DETAILS)
    return Section(
        key="masks",
        title="What the augmentations do to the images",
        text=(captions.MASKS,),
        findings=_direction_findings(table),
        figures=(
            *grids,
            *_dots(table, shapes, "mask_shapes", "masks"),
            *_histograms(table),
            *_spectra(table),
            *_dots(table, details, "mask_details", "masks"),
        ),
        tables=(
            *_metric_tables(table, shapes, "masks", captions.MASK_MEANS, over_samples=True),
            *_metric_tables(table, details, "mask_details", captions.MASK_MEANS, over_samples=True),
        ),
        metrics=tuple(shown),
        limits=_mask_limits(table),
    )


def information_section(table: Table, folder: Path) -> Section | None:
    """The paper's three VAE figures, with reconstructions."""
    shown = _present(table, _INFORMATION)
    grid = _grid(folder, "reconstructions")
    if not shown and not grid:
        return None
    listed = _metric_tables(table, shown, "information", f"Clean test images. {captions.MEANS}")
    if shown and _is_cifar10(select_rows(table, shown)):
        listed = (*listed, tables.published_information())
    parts = [part for _, _, part in split_parts(select_rows(table, shown))] if shown else []
    return Section(
        key="information",
        title="What a VAE encodes",
        text=(captions.INFORMATION,),
        findings=tuple(line for part in parts for line in findings.information_findings(part)),
        figures=(*_dots(table, shown, "information", "test images"), *grid),
        tables=listed,
        metrics=tuple(shown),
        limits=(captions.RATE_LIMIT,) if "rate" in shown else (),
    )


def bounds_section(table: Table, folder: Path) -> Section | None:
    """Bounds on I(X; Z) beside the rate."""
    shown = _present(table, _BOUNDS)
    if not shown:
        return None
    every = [*_present(table, ("rate",)), *shown]
    return Section(
        key="bounds",
        title="Tighter bounds on the information",
        text=(captions.BOUNDS,),
        findings=tuple(findings.bound_findings(table)),
        figures=_dots(table, every, "bounds", "test images"),
        tables=_metric_tables(table, every, "bounds", captions.MEANS),
        metrics=tuple(every),
        limits=(captions.CEILING_LIMIT,) if "info_nce" in shown else (),
    )


def between_section(table: Table, folder: Path) -> Section | None:
    """What the latents of two VAEs share."""
    shown = _present(table, _BETWEEN)
    if not shown:
        return None
    return Section(
        key="between",
        title="What two VAEs share",
        text=(captions.BETWEEN,),
        figures=_dots(table, shown, "between", "test images"),
        tables=_metric_tables(table, shown, "between", captions.MEANS),
        metrics=tuple(shown),
        limits=(captions.CEILING_LIMIT,),
    )


def layers_section(table: Table, folder: Path) -> Section | None:
    """Information by depth of a classifier."""
    shown = _present(table, _LAYERS)
    if not shown:
        return None
    figure, numbers = layers.draw_layers(table, shown)
    caption = captions.sentence(captions.LAYERS_FIGURE, captions.explain_curves(select_rows(table, shown)))
    return Section(
        key="layers",
        title="Information by depth",
        text=(captions.LAYERS,),
        figures=(FigureItem("layers", figure, numbers, caption, "Information between image and layer, by layer."),),
        tables=layers.layer_tables(table, shown),
        metrics=tuple(shown),
        limits=(captions.LAYERS_LIMIT,),
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


def robustness_section(table: Table, folder: Path) -> Section | None:
    """Clean and robust accuracy."""
    shown = _present(table, ("accuracy", "robust_accuracy", "minimum_norm_median"))
    if not shown:
        return None
    figures: list[FigureItem] = []
    listed: list[ResultTable] = []
    lines: list[str] = []
    for suffix, words, part in split_parts(select_rows(table, shown)):
        figures += _accuracy_figures(part, suffix, words)
        if has_metric(part, "accuracy", "robust_accuracy"):
            epsilons = tables.half_epsilons(part) if has_metric(part, "robust_accuracy") else {}
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


def training_section(table: Table, folder: Path) -> Section | None:
    """Training curves and times."""
    shown = _present(table, panels.TRAIN_METRICS)
    if not shown:
        return None
    rows = select_rows(table, shown)
    figure, numbers = panels.draw_training(rows)
    caption = captions.sentence(captions.TRAINING, captions.explain_curves(rows))
    item = FigureItem("training", figure, numbers, caption, "Training losses by epoch, one panel per model and part.")
    timed = _present(table, ("epoch_seconds",))
    times = ()
    if timed:
        times = _metric_tables(_mean_over_x(table, timed[0]), timed, "training_time", captions.FIRST_EPOCHS)
    return Section("training", "Training", figures=(item,), tables=times, metrics=(*shown, *timed))


def likeness_section(table: Table, folder: Path) -> Section | None:
    """Whether perturbations look like MixUp."""
    shown = _present(table, _LIKENESS)
    if not shown:
        return None
    items = []
    for suffix, words, part in split_parts(select_rows(table, shown)):
        figure, numbers = panels.draw_by_attack(part, shown)
        caption = captions.sentence(captions.LIKENESS_FIGURE, f"({words})")
        items.append(FigureItem(f"likeness{suffix}", figure, numbers, caption, captions.LIKENESS_FIGURE))
    return Section(
        key="likeness",
        title="Do perturbations look like MixUp?",
        text=(captions.LIKENESS,),
        figures=(*items, *spectrum_of_perturbations(table)),
        metrics=tuple(shown),
    )


def comparison_section(table: Table, folder: Path) -> Section | None:
    """Differences in accuracy that the study itself tested."""
    if not has_metric(table, "accuracy_difference"):
        return None
    listed = []
    for suffix, words, part in split_parts(select_rows(table, ("accuracy_difference", "p_holm", "robust_accuracy"))):
        if has_metric(part, "accuracy_difference"):
            caption = f"{words}. {captions.COMPARISONS}"
            listed.append(tables.comparison_table(part, name=f"comparisons{suffix}", caption=caption))
    return Section(
        "comparisons", "Who is more robust?", tables=tuple(listed), metrics=("accuracy_difference", "p_holm")
    )


def flags_section(table: Table, folder: Path) -> Section | None:
    """What the study's own checks found suspicious, and the warnings that came with single numbers."""
    done = table[table["status"] == "ok"]
    flags = done[done["metric"] == "flag"]
    is_note = done["note"].str.strip().ne("") & ~done["metric"].isin(("flag", "accuracy_difference"))
    notes = _merge_notes(done[is_note & ~done["note"].str.startswith("flags: ")])  # those are listed as flags
    listed = []
    if len(flags):
        caption = "Checks that a reader should know of before trusting a number."
        columns = ("model", "augmentation", "seed", "attack", "note")
        listed.append(tables.text_table(flags, columns, name="flags", caption=caption))
    if len(notes):
        caption = "Warnings that came with single numbers, each kind once per model, augmentation and attack."
        columns = ("model", "augmentation", "attack", "note", "metric")
        listed.append(tables.text_table(notes, columns, name="notes", caption=caption))
    return Section("flags", "Warnings", tables=tuple(listed)) if listed else None


def other_section(table: Table, folder: Path) -> Section | None:
    """Metrics that no other section knows, so that nothing measured stays hidden."""
    rows = table[(table["status"] == "ok") & ~table["metric"].isin([*known_metrics(), "flag"])]
    if rows.empty:
        return None
    shown = rows.head(200)
    caption = f"{len(shown)} of {len(rows)} rows whose metric has no figure here; results.csv has all."
    columns = ("metric", "dataset", "model", "augmentation", "seed", "attack", "epsilon", "x", "value", "unit")
    return Section(
        "other", "Other measurements", tables=(tables.text_table(shown, columns, name="other", caption=caption),)
    )


#: Sections in the order of the page.
SECTIONS: tuple[SectionMaker, ...] = (
    masks_section, information_section, bounds_section, between_section, layers_section, robustness_section, comparison_section,
    likeness_section, training_section, flags_section, other_section,
)  # fmt: skip


def _present(table: Table, metrics: Sequence[str]) -> list[str]:
    return [metric for metric in metrics if has_metric(table, metric)]


def _grid(folder: Path, name: str) -> tuple[FigureItem, ...]:
    """The picture grid of a file in pictures/, where there is one."""
    path = folder / "pictures" / f"{name}.npz"
    if not path.exists():
        return ()
    caption, alt = captions.GRIDS[name]
    return (FigureItem(name, pictures.draw_picture_grid(pictures.load_pictures(path)), None, caption, alt),)


def _dots(table: Table, metrics: list[str], name: str, samples: str) -> tuple[FigureItem, ...]:
    """One dot figure of these metrics for each data set and model."""
    items = []
    for suffix, words, part in split_parts(select_rows(table, metrics)) if metrics else ():
        figure, numbers = panels.draw_dots(part, metrics)
        listed = captions.list_metrics(_present(part, metrics))
        caption = captions.sentence(f"{listed}{_of(words)}.", captions.explain_dots(samples, part))
        items.append(FigureItem(f"{name}{suffix}", figure, numbers, caption, f"Dot plot by augmentation of {listed}."))
    return tuple(items)


def _metric_tables(
    table: Table, metrics: list[str], name: str, caption: str, *, over_samples: bool = False
) -> tuple[ResultTable, ...]:
    """One table of these metrics for each data set and model."""
    made = []
    for suffix, words, part in split_parts(select_rows(table, metrics)) if metrics else ():
        opening = f"{words}. " if words else ""
        made.append(
            tables.metrics_table(
                part, metrics, name=f"{name}{suffix}", caption=opening + caption, over_samples=over_samples
            )
        )
    return tuple(made)


def _mean_over_x(table: Table, metric: str) -> Table:
    """One row per cell: the mean of a curve, without an interval."""
    rows = select_rows(table, metric)
    means = rows.groupby("cell")["value"].mean()
    once = rows.drop_duplicates("cell")
    return once.assign(value=once["cell"].map(means), x=float("nan"), low=float("nan"), high=float("nan"), n=1)


def _merge_notes(rows: Table) -> Table:
    """One row per model, augmentation, attack and note, with all metrics that carry it."""
    keys = ["model", "augmentation", "attack", "note"]
    metrics = rows.groupby(keys)["metric"].agg(lambda names: ", ".join(dict.fromkeys(names)))
    return metrics.reset_index()


def _histograms(table: Table) -> list[FigureItem]:
    metric, items = "kept_fraction_histogram", []
    for suffix, words, part in split_parts(select_rows(table, metric)) if has_metric(table, metric) else ():
        figure, numbers = panels.draw_histograms(part)
        alt = f"Histograms of the kept fraction, one panel per family{_of(words)}."
        items.append(FigureItem(f"kept_fraction{suffix}", figure, numbers, captions.HISTOGRAM, alt))
    return items


def _spectra(table: Table) -> list[FigureItem]:
    kinds = (
        ("radial_power", _SPECTRA[:1], "xy", "spatial frequency (cycles/pixel)", captions.RADIAL),
        ("axis_power", _SPECTRA[1:], "y", "frequency bin", captions.AXES),
    )
    items = []
    for name, metrics, log, x_label, words in kinds:
        for suffix, _, part in split_parts(select_rows(table, metrics)) if has_metric(table, *metrics) else ():
            if drawable(part, log).empty:
                continue
            figure, numbers = panels.draw_curves_figure(part, metrics, log=log, x_label=x_label)
            caption = captions.sentence(words, captions.explain_absence(part, log), captions.explain_curves(part))
            items.append(FigureItem(f"{name}{suffix}", figure, numbers, caption, words))
    return items


def _direction_findings(table: Table) -> tuple[str, ...]:
    if not has_metric(table, "axis_power_ratio"):
        return ()
    lines = [findings.compare_axes(part) for _, _, part in split_parts(select_rows(table, "axis_power_ratio"))]
    return tuple(line for line in lines if line)


def _mask_limits(table: Table) -> tuple[str, ...]:
    names = augmentations_of(table)
    fmix = (captions.FMIX_LIMIT,) if any("fmix" in name for name in names) else ()
    cutmix = (captions.CUTMIX_LIMIT,) if any("cutmix" in name for name in names) else ()
    return (*fmix, *cutmix)


def _accuracy_figures(part: Table, suffix: str, words: str) -> list[FigureItem]:
    items = []
    if has_metric(part, "robust_accuracy"):
        figure, numbers = panels.draw_accuracy_curves(part)
        rows = select_rows(part, "robust_accuracy")
        caption = captions.sentence(
            f"Accuracy under attack{_norms(rows)} ({words}).", captions.ACCURACY, captions.explain_curves(rows)
        )
        alt = "Accuracy against epsilon, one panel per attack, one line per augmentation."
        items.append(FigureItem(f"robustness{suffix}", figure, numbers, caption, alt))
    else:
        items += _dots(part, _present(part, ("accuracy",)), f"accuracy{suffix}", "test images")
    if has_metric(part, "minimum_norm_median"):
        figure, numbers = panels.draw_attack_dots(part, "minimum_norm_median")
        opening = f"Median smallest perturbation that changes the prediction ({words}); further right is more robust."
        caption = captions.sentence(opening, captions.explain_dots("test images", part))
        alt = "Dot plots of the median minimum norm, one panel per attack."
        items.append(FigureItem(f"minimum_norm{suffix}", figure, numbers, caption, alt))
    return items


def _accuracy_findings(part: Table, epsilons: dict[tuple[str, str], float], words: str) -> list[str]:
    lines = []
    if has_metric(part, "accuracy"):
        lines.append(findings.compare_with_baseline(select_rows(part, "accuracy"), f"Clean accuracy{_of(words)}"))
    for (attack, norm), epsilon in epsilons.items():
        rows = select_rows(with_norm(part), "robust_accuracy", attack=attack, norm=norm, epsilon=epsilon)
        subject = f"Accuracy under {attack_label(attack)} at epsilon = {epsilon:g}{_of(words)}"
        lines.append(findings.compare_with_baseline(rows, subject))
    return lines


def _norms(rows: Table) -> str:
    words = {"linf": "the maximum norm (L-infinity)", "l2": "the Euclidean norm (L2)"}
    norms = [norm for norm in dict.fromkeys(with_norm(rows)["norm"]) if norm]
    return f" in {' and '.join(words.get(norm, norm_label(norm)) for norm in norms)}" if norms else ""


def _is_cifar10(rows: Table) -> bool:
    """Whether the data set looks like CIFAR-10, the only one the paper reports VAEs on."""
    names = set(rows["dataset"].str.lower().str.replace("-", ""))
    return any("cifar10" in name and "cifar100" not in name for name in names)


def _of(words: str) -> str:
    return f" ({words})" if words else ""
