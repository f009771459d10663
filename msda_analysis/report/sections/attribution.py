"""Where classifiers look: pictures, and numbers of the maps beside what they are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from msda_analysis.estimate import Estimate, over_seeds, share_over_seeds
from msda_analysis.report import draw, pictures
from msda_analysis.report.section import FigureItem, Section, list_classes, present
from msda_analysis.report.select import split_parts, summarize
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.tables import Cell, ResultTable, estimate_of, format_cell
from msda_analysis.report.words import Metric, Table, define, in_brackets, measured_on, metric_of, sentence

METRICS = {
    "attribution_area": Metric("Half area", "half area (share of the image)",
        "Smallest share of the image that holds half of a Grad-CAM map's attribution: 0.5 of a constant map. Maps are taken at "
        "the layer's own resolution.",
    ),
    "attribution_entropy": Metric("Entropy of the map", "entropy",
        "Entropy of where a Grad-CAM map's attribution is; ln N for a constant map of N positions.",
    ),
    "attribution_evenness": Metric("Entropy over ln N", "entropy, share of ln N",
        "The entropy of a map of N positions divided by ln N: 1 for a constant map.",
    ),
    "attribution_zero": Metric("Zero maps", "zero maps",
        "Share of Grad-CAM maps that are zero everywhere: nothing in the layer speaks for the class that is asked for. They "
        "have no shape and are left out of all other numbers of maps.",
    ),
    "attribution_on_part": Metric("On the part", "attribution on the part",
        "On images mixed of two by a mask, the share of the attribution for a label that falls on the part of the image that "
        "the label is of. Both labels are asked for.",
    ),
    "attribution_part_area": Metric("Area of the part", "area of the part",
        "The share of the area that these parts have, which is what a constant map would give.",
    ),
    "attribution_beyond_area": Metric("Beyond its area", "attribution beyond area (share)",
        "The attribution on the part minus the area of the part, image by image.",
    ),
    "attribution_zero_mixed": Metric("Zero maps, mixed images", "zero maps, mixed images",
        "Share of the maps of mixed images that are zero everywhere.",
    ),
    "attribution_agreement": Metric("Agreement of maps", "rank correlation",
        "Spearman's rank correlation over positions between two networks' maps of the same image for the same class, mean "
        "over images. Random weights: the same network with its weights drawn anew (Adebayo et al. 2018). Another image: "
        "the network's own map of another image, which is what the usual place of objects alone gives.",
    ),
}  # fmt: skip
define(METRICS, told=("attribution_*",))
_OF_MAPS = ("attribution_area", "attribution_entropy", "attribution_evenness", "attribution_zero")
_ON_PARTS = ("attribution_on_part", "attribution_part_area", "attribution_beyond_area", "attribution_zero_mixed")
_DRAWN = ("attribution_area", "attribution_evenness", "attribution_beyond_area")
_AGREEMENT = "attribution_agreement"
_CONTROLS = ("random weights", "another image")
_ITSELF = "the same augmentation, other seeds"
_TEXT = (
    "Grad-CAM shows where the channels that raise the logit of a class are active in the last convolutional feature map. Every "
    "classifier is asked for the same class, the image's label, on the same test images."
)
_LIMITS = (
    "Grad-CAM speaks of one layer, at its resolution, and of what raises a class's logit there; it does not show that other "
    "places do not matter. Maps that agree with those of random weights as well as with each other say nothing of what was "
    "learned (Adebayo et al. 2018).",
    "Networks of one seed start from the same weights: hold their agreement with the reference of other seeds, not of the same "
    "seed, against the agreement between seeds of one augmentation. Pairs of seeds are pooled, with intervals over images.",
)
_PICTURES = (
    "Where classifiers look, by augmentation. Top row: test images. Below: Grad-CAM "
    "maps for the image's label over the image in grey, of the study's first seed; dark to bright is 0 to the map's largest "
    "value, and an image without color has a map that is zero everywhere."
)
_MAPS_CAPTION = (
    "How wide maps are (half area, entropy), and how much of the attribution falls on the part of a mixed image whose label is "
    "asked for, beyond the part's share of the area (0: as a constant map would)."
)
_AGREEMENT_CAPTION = (
    "How well maps of the same images agree, by what they are held against. Only what lies clearly above random weights was "
    "learned, and only what lies above another image is about the image."
)
_INTERVALS = (
    "Means over seeds with 95 % intervals over images and seeds; below three seeds, which say too little of how runs differ, "
    "and for pooled pairs of seeds over images alone."
)
_SEEDS = "Small open symbols are single seeds, their thin bars 95 % intervals over images. Large symbols:"
_ENOUGH_SEEDS = 3
_OPACITY = 0.75  # of the brightest place of a map


def attribution_section(table: Table, folder: Path) -> Section | None:
    """Where classifiers trained with each augmentation look."""
    rows = table[(table["status"] == "ok") & table["metric"].isin(list(METRICS)) & table["value"].notna()]
    if rows.empty:
        return None
    rows = rows.assign(panel=list(map(_panel, rows.to_dict("records"))))
    figures, listed, lines = list(_picture_grid(folder)), [], []
    for suffix, words, part in split_parts(rows):
        figures += [*_maps_figure(part, suffix, words), *_agreement_figure(part, suffix, words)]
        listed += _tables(part, suffix, words)
        lines += [*_sentences_on_parts(part, words), *_sanity_check(part, words)]
    return Section(
        "attribution", "Where do the models look?", (_TEXT,), findings=tuple(lines), figures=tuple(figures),
        tables=tuple(listed), metrics=tuple(present(rows, tuple(METRICS))), limits=_LIMITS,
    )  # fmt: skip


def overlay(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Maps in color over the images in grey: [n, 3, height, width] in [0, 1].

    Args:
        images: [n, channel, height, width] in [0, 1].
        maps: [n, height, width] >= 0; each is divided by its largest value, and a zero map leaves the image as it is.
    """
    largest = maps.max(axis=(1, 2), keepdims=True)
    shares = np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)
    colors = np.moveaxis(mpl.colormaps["inferno"](shares)[..., :3], -1, 1)
    weight = _OPACITY * shares[:, None]
    return (1 - weight) * images.mean(1, keepdims=True) + weight * colors


def _picture_grid(folder: Path) -> tuple[FigureItem, ...]:
    path = folder / "pictures" / "attribution.npz"
    if not path.exists():
        return ()
    (name, images), *maps = pictures.load_pictures(path).items()
    classes = pictures.load_classes(path)
    painter = partial(pictures.draw_picture_grid, columns=classes)
    rows = {name: images} | {family: overlay(images, found) for family, found in maps}
    alt = "Grid of pictures: test images, and below them where the classifiers of each augmentation look."
    return (FigureItem("attribution", None, painter, sentence(_PICTURES, list_classes(classes)), alt, pictures=rows),)


def _panel(row: Mapping[str, str]) -> str:
    """What tells numbers of one metric apart: whose masks made parts, or what maps are held against."""
    if row["metric"] in _ON_PARTS:
        return f"{label_of(row['label'])} masks"
    if row["metric"] != _AGREEMENT or row["reference"] in _CONTROLS:
        return row["reference"]
    return _ITSELF if row["reference"] == row["augmentation"] else f"{label_of(row['reference'])}, {row['label']}"


def _rank(panels: Any) -> Any:
    """Places of what maps are held against: other seeds first, the controls last."""
    order = (_ITSELF, "", *_CONTROLS)
    return panels.map(lambda panel: order.index(panel if panel in order else ""))


def _maps_figure(part: Table, suffix: str, words: str) -> list[FigureItem]:
    """Width of the maps and attribution on parts, one panel a number."""
    rows, by = part[part["metric"].isin(_DRAWN)], ("metric", "panel", "augmentation")
    if rows.empty:
        return []
    order = [(name, panel) for name in _DRAWN for panel in dict.fromkeys(rows[rows["metric"] == name]["panel"])]
    painter = partial(draw.dots, panel=("metric", "panel"), panels=order, title=lambda metric, panel: panel, columns=2)
    caption = sentence(_MAPS_CAPTION, _list_layers(part), measured_on(words), _SEEDS, _INTERVALS)
    alt = f"Dot plot by augmentation of {', '.join(metric_of(name).label for name in present(rows, _DRAWN))}."
    return [FigureItem(f"attribution_maps{suffix}", _summarize(rows, by), painter, caption, alt)]


def _agreement_figure(part: Table, suffix: str, words: str) -> list[FigureItem]:
    """Agreement of maps, a row for each thing that they are held against."""
    rows = part[part["metric"] == _AGREEMENT]
    if rows.empty:
        return []
    numbers = _summarize(rows, ("metric", "panel", "augmentation"))
    is_single = numbers.groupby(["panel", "augmentation"])["level"].transform("size") == 1
    numbers = numbers[is_single | (numbers["level"] == "mean")].sort_values("panel", key=_rank, kind="stable")
    caption = sentence(_AGREEMENT_CAPTION, measured_on(words), _INTERVALS)
    painter = partial(draw.dots, row="panel")
    return [FigureItem(f"attribution_agreement{suffix}", numbers, painter, caption, "Dot plot of agreement of maps.")]


def _tables(part: Table, suffix: str, words: str) -> list[ResultTable]:
    """Numbers of the maps, of the parts of mixed images, and of agreement, by augmentation."""
    opening = f"{words}. " if words else ""
    made = []
    for name, caption, metrics in (
        ("attribution_maps", f"Grad-CAM maps. {_list_layers(part)}", _OF_MAPS),
        (
            "attribution_parts",
            "Attribution for a label on images mixed of two, and the part that the label is of.",
            _ON_PARTS,
        ),
    ):
        if shown := present(part, metrics):
            rows = part[part["metric"].isin(shown)]
            units = [str(rows[rows["metric"] == metric]["unit"].iloc[0]) for metric in shown]
            heads, lines = [metric_of(metric).label for metric in shown], _lines(rows, "metric", shown, "panel")
            made.append(_table(f"{name}{suffix}", f"{opening}{caption} {_INTERVALS}", heads, lines, units))
    rows = part[part["metric"] == _AGREEMENT]
    if len(rows):
        held = list(dict.fromkeys(rows.sort_values("panel", key=_rank, kind="stable")["panel"]))
        caption = f"{opening}Rank correlation of maps with those of what stands in the head of the column. {_INTERVALS}"
        heads = [each[:1].upper() + each[1:] for each in held]
        lines = _lines(rows, "panel", held, "metric")
        made.append(
            _table(f"attribution_agreement{suffix}", caption, heads, [(line[0], "", *line[2:]) for line in lines])
        )
    return made


def _lines(rows: Table, column: str, values: Sequence[str], beside: str) -> list[tuple[Cell, ...]]:
    """A line an augmentation and value of the column `beside`; a cell for each value of `column`."""
    found = {key: _over(group) for key, group in rows.groupby(["augmentation", beside, column])}
    return [
        (label_of(name), other, *(found.get((name, other, value)) for value in values))
        for name in order_augmentations(rows["augmentation"])
        for other in dict.fromkeys(rows[rows["augmentation"] == name][beside])
    ]


def _table(
    name: str, caption: str, heads: Sequence[str], lines: Sequence[tuple[Cell, ...]], units: Sequence[str] = ()
) -> ResultTable:
    """With the second column only where it tells lines apart."""
    if any(line[1] for line in lines):
        return ResultTable(name, caption, ("Augmentation", "Mixed by", *heads), tuple(lines), ("", "", *units))
    short = tuple((line[0], *line[2:]) for line in lines)
    return ResultTable(name, caption, ("Augmentation", *heads), short, ("", *units) if units else ())


def _sentences_on_parts(part: Table, words: str) -> list[str]:
    """How much of the attribution falls on the part whose label is asked for."""
    rows = part[part["metric"] == "attribution_beyond_area"]
    return [
        f"On images mixed by {panel}{in_brackets(words)}, the part whose label is asked for holds this many points more of the "
        f"attribution than of the area: {_list_points(group)}."
        for panel, group in rows.groupby("panel", sort=False)
    ]


def _sanity_check(part: Table, words: str) -> list[str]:
    """What maps share with those of random weights, other images and other seeds, and how many are zero."""
    rows = part[part["metric"] == _AGREEMENT]
    said = [
        f"{_span(group)} with {panel}" for panel in (_ITSELF, *_CONTROLS) if len(group := rows[rows["panel"] == panel])
    ]
    where = in_brackets(words)
    lines = [f"Rank correlation of maps{where}, by augmentation: {'; '.join(said)}."] if said else []
    zero = part[(part["metric"] == "attribution_zero")]
    if (zero["value"] > 0).any():
        lines.append(
            f"Percentage of maps that are zero everywhere, and left out of all else{where}: {_list_points(zero)}."
        )
    return lines


def _span(rows: Table) -> str:
    """The smallest and the largest mean of an augmentation."""
    means = [
        f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
        for value in rows.groupby("augmentation")["value"].mean().sort_values()
    ]
    return means[0] if means[0] == means[-1] else f"{means[0]} to {means[-1]}"


def _list_points(rows: Table) -> str:
    """Each augmentation's share in percentage points, with its interval."""
    clauses = []
    for name in order_augmentations(rows["augmentation"]):
        share = _over(rows[rows["augmentation"] == name])
        low, high = (None if end is None else 100 * end for end in (share.low, share.high))
        clauses.append(f"{label_of(name)} {format_cell(replace(share, value=100 * share.value, low=low, high=high))}")
    return ", ".join(clauses)


def _summarize(rows: Table, by: Sequence[str]) -> Table:
    """select.summarize, with means' intervals over images and seeds."""
    numbers = summarize(rows, by)
    for key, group in rows.groupby(list(by)):
        is_mean = (numbers["level"] == "mean") & (numbers[list(by)] == list(key)).all(axis=1)
        mean, over = _over(group), "images and seeds" if len(group) >= _ENOUGH_SEEDS else "images"
        numbers.loc[is_mean, ["low", "high", "interval_over"]] = [mean.low, mean.high, over]
    return numbers


def _over(rows: Table) -> Estimate:
    """Mean over seeds with its interval over images, and from three seeds on over seeds too."""
    found = [estimate_of(row) for row in rows.to_dict("records")]
    mean = sum(each.value for each in found) / len(found)
    seen = found if len(found) >= _ENOUGH_SEEDS else [replace(each, value=mean) for each in found]
    if found[0].unit == "share of maps":
        return share_over_seeds([each.value for each in seen], min(each.n for each in found), found[0].unit)
    if any(each.low is None for each in found):
        return Estimate(mean, found[0].unit, n=min(each.n for each in found))
    return over_seeds(seen)


def _list_layers(part: Table) -> str:
    labels = dict.fromkeys(part[part["metric"] == "attribution_area"]["label"])
    return f"Layer and its positions: {', '.join(labels)}." if labels else ""


SECTIONS = (attribution_section,)
