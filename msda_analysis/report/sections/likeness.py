"""Whether perturbations look like MixUp."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from msda_analysis.report import draw, panels
from msda_analysis.report.section import FigureItem, Section, count_images, present
from msda_analysis.report.select import has_metric, mean_rows, select_rows, split_parts, summarize
from msda_analysis.report.style import spare_looks
from msda_analysis.report.words import Metric, Table, attack_label, define, measured_on, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {
    "mixup_likeness": Metric("Likeness to MixUp", "share of a MixUp step",
        "The energy share on the way from chance (0: the same perturbation handed to another image) to a MixUp step "
        "(1).",
    ),
    "mixup_likeness_beyond_fading": Metric("Likeness to MixUp beyond fading", "share of a MixUp step, beyond fading",
        "The same beyond fading, on the way from white noise (0) to a step towards one of the partner images (1).",
    ),
    "energy_share": Metric("Energy along MixUp", "energy share",
        "Largest share of a perturbation's energy (squared cosine) along the directions towards partner images. "
        "Fading an image counts as well as mixing it: a bound from above.",
    ),
    "energy_share_beyond_fading": Metric("Energy along MixUp beyond fading", "energy share beyond fading",
        "The same along what is left of these directions without contrast, brightness, tint and fading to the mean "
        "image.",
    ),
    "cosine_mean_abs": Metric("Cosine, mean absolute", "mean |cosine|",
        "Absolute cosine between a perturbation and the directions in which MixUp would move the image, mean over "
        "partner images. Chance is the value of white noise (gaussian) and of another image's perturbation "
        "(shuffled).",
    ),
    "cosine_mean": Metric("Cosine, mean", "mean cosine", "The same with its sign."),
    "cosine_largest": Metric("Cosine, largest", "largest cosine", "The largest of these cosines over partner images."),
    "distance_to_mixup": Metric("Distance to MixUp", "distance to MixUp",
        "Distance from the perturbed image to the nearest image that MixUp could make of the original and a partner,"
        " in lengths of the perturbation: 0 is a MixUp image, 1 is no nearer than the original.",
    ),
    "distance_to_any_mask": Metric("Distance to any mask", "distance to any mask",
        "The same to the nearest mix by any binary mask.",
    ),
    "distance_to_sampled_masks": Metric("Distance to FMix masks", "distance to FMix masks",
        "The same to the nearest mix by one of some drawn FMix masks.",
    ),
    "perturbation_power": Metric("Perturbation spectrum", "share of power",
        "Share of a perturbation's power by radial frequency, cycles per image.",
    ),
}  # fmt: skip
define(METRICS)
_SHOWN = tuple(metric for metric in METRICS if metric != "perturbation_power")
#: Measures of the main figure, one panel each.
MAIN = ("energy_share", "distance_to_mixup")
_BY = ("metric", "attack", "norm", "reference", "augmentation")
_REFERENCES: dict[str, tuple[Any, str]] = {
    "gaussian": (":", "white noise"), "fade": ("--", "fading to the mean image"), "mixup": ("-", "a MixUp step"),
}  # fmt: skip
_CHANCE = "shuffled"
_TEXT = (
    "Do attacks move images as MixUp would? Each perturbation is compared with the directions towards other images. It is "
    "like MixUp only as far as it beats white noise and its own shuffled version, which is another image's perturbation."
)
_MAIN_CAPTION = (
    "Are perturbations like MixUp? Left: largest share of a perturbation's energy along the MixUp directions towards 64 "
    "other images. Right: distance from the perturbed image to the nearest MixUp image, in lengths of the perturbation (1: no "
    "nearer than the clean image). Symbols are classifiers by augmentation, means over seeds with Student's 95 % interval "
    "over seeds. Red: the same perturbations handed to other images, which is chance. Grey: white noise (dotted), fading "
    "to the mean image (dashed) and a MixUp step (solid). If the paper's sentence held, symbols would lie near the solid line and away from the red ones."
)
_DETAILS = (
    "All measures of likeness, by attack; symbols are the augmentations of the attacked classifiers: means over seeds with "
    "Student's 95 % interval, where there are several."
)
_SPECTRA = (
    "Share of the power of perturbations by radial frequency, mean over classifiers; MixUp's directions and white noise "
    "for comparison."
)


def likeness_section(table: Table, folder: Path) -> Section | None:
    """Whether perturbations look like MixUp."""
    del folder
    shown = present(table, _SHOWN)
    if not shown:
        return None
    items = []
    for suffix, words, part in split_parts(select_rows(table, shown)):
        items += [likeness_figure(part, suffix, words)] if has_metric(part, *MAIN) else []
        numbers = _by_attack(part, shown)
        painter = partial(draw.dots, panels=[(metric,) for metric in shown], row="perturbation")
        caption = sentence(_DETAILS, measured_on(words))
        items.append(FigureItem(f"likeness_details{suffix}", numbers, painter, caption, _DETAILS, is_folded=True))
    spectra = (spectrum_figure(table),) if has_metric(table, "perturbation_power") else ()
    return Section(
        "likeness", "Do perturbations look like MixUp?", (_TEXT,), figures=(*items, *spectra), metrics=tuple(shown)
    )


def likeness_figure(table: Table, suffix: str = "", words: str = "") -> FigureItem:
    """Likeness to MixUp by attack between what chance gives and what a MixUp step gives, one panel per measure.

    Args:
        table: the long table, or one data set's and model's part of it.
        suffix: of the file's name.
        words: which part this is, for the caption.

    Raises:
        ValueError: the table has no rows of the measures.
    """
    rows = select_rows(table, MAIN)
    legend = [
        *(
            Line2D([], [], color=panels.GREY, linestyle=line, linewidth=1.4, label=said)
            for line, said in _REFERENCES.values()
        ),
        Line2D([], [], color=panels.RED, linewidth=1.6, label="another image's perturbation"),
    ]
    numbers, shown = _by_attack(rows, MAIN), [(metric,) for metric in MAIN]
    painter = partial(_draw_likeness, panels=shown, legend=legend)
    counted = count_images(select_rows(rows, MAIN, attack="mixup")) if (rows["attack"] == "mixup").any() else ""
    caption = sentence(_MAIN_CAPTION, measured_on(words), counted)
    alt = "Likeness of perturbations to MixUp, by attack, between chance and a MixUp step."
    return FigureItem(f"likeness{suffix}", numbers, painter, caption, alt)


def spectrum_figure(table: Table) -> FigureItem:
    """Share of power against radial frequency, one line per attack or reference, mean over classifiers.

    Shuffled perturbations are left out: their spectrum is that of the perturbations.

    Raises:
        ValueError: the table has no rows "perturbation_power".
    """
    rows = select_rows(table, "perturbation_power")
    rows = rows[(rows["reference"] == "") & (rows["x"] > 0) & (rows["value"] > 0)]
    means = rows.groupby(["metric", "attack", "norm", "x"], as_index=False)["value"].mean().assign(unit="")
    named = means.assign(perturbation=list(map(attack_label, means["attack"], means["norm"])))
    painter = partial(
        draw.curves, hue="perturbation", looks=spare_looks(named["perturbation"]), labels=str, log="xy",
        x_label="frequency (cycles per image)", height=2.2,
    )  # fmt: skip
    return FigureItem("perturbation_spectra", named, painter, _SPECTRA, _SPECTRA)


def _by_attack(rows: Table, metrics: Sequence[str]) -> Table:
    """Means over seeds by attack, with its name for readers."""
    rows = select_rows(rows, metrics)
    rank = {attack: i for i, attack in enumerate(dict.fromkeys(rows["attack"]))}
    means = mean_rows(summarize(rows, _BY), _BY)
    means = means.sort_values("attack", key=lambda names: names.map(rank), kind="stable")
    return means.assign(perturbation=list(map(attack_label, means["attack"], means["norm"], means["reference"])))


def _draw_likeness(numbers: Table, **settings: Any) -> Any:
    """The attacks themselves as dots; what they are held against as lines."""
    is_line = numbers["attack"].isin(list(_REFERENCES)) | (numbers["reference"] == _CHANCE)
    attacks = list(dict.fromkeys(numbers[~is_line]["perturbation"]))

    def finish(ax: "Axes", part: Table) -> None:
        beside = numbers[numbers["metric"] == part["metric"].iloc[0]]
        for name, (line, _) in _REFERENCES.items():
            at = beside[(beside["attack"] == name) & (beside["reference"] == "")]["value"].mean()
            ax.axvline(at, color=panels.GREY, linestyle=line, linewidth=1.4)
        chance = beside[beside["reference"] == _CHANCE]
        for place, attack in enumerate(attacks):
            values = chance[chance["perturbation"] == f"{attack} ({_CHANCE})"]["value"]
            ax.vlines(values.mean(), place - 0.36, place + 0.36, color=panels.RED, linewidth=1.6)
        ax.set_xlim(0, 1.05)

    return draw.dots(numbers[~is_line], row="perturbation", finish=finish, **settings)


SECTIONS = (likeness_section,)
