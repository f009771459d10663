"""Where does each classifier look? Grad-CAM on test images and on mixed ones, and which classifiers' maps agree."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msda_analysis import attribution
from msda_analysis.data import Dataset
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.masks import CutMix, FMix, sample_masks
from msda_analysis.masks.text import BASELINE
from msda_analysis.models import Normalized, create
from msda_analysis.results import to_rows
from msda_analysis.rng import stream
from msda_analysis.settings import to_settings
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows, save_arrays
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import (
    classifier_settings,
    classifier_source,
    family_cell,
    names_of_shown,
    shown_of_each_class,
)
from msda_analysis.studies.steps.train_classifier import plan_classifiers

FORMAT = 3
#: Families whose masks make parts of images; all classifiers are shown both.
_MIXED_BY = {"cutmix": CutMix(), "fmix": FMix()}
_MAPS, _PICTURES = "maps.npz", "attribution.npz"


def plan(study: StudyPlan) -> list[Cell]:
    if study.attribution is None:
        return []
    settings = classifier_settings(study) | {"attribution": to_settings(study.attribution)} | versioned(FORMAT)
    return [
        family_cell("measure_attribution", study, cell.augmentation, cell.seed, settings, cell)
        for cell in plan_classifiers(study)
    ]


def plan_comparison(study: StudyPlan) -> list[Cell]:
    needs = tuple(plan(study))
    if len(needs) < 2:
        return []
    return [Cell("compare_attribution", "all", study.first_seed, _settings(study.compared_with), needs)]


def _settings(reference: str) -> dict[str, Any]:
    return versioned(FORMAT) | ({} if reference == BASELINE else {"reference": reference})  # as older cells


def check(context: Context, cells: Sequence[Cell]) -> None:
    """Refuse a layer that the network does not have, before it is trained."""
    study: StudyPlan = context.plan
    if not cells or study.classifier is None or study.attribution is None or study.attribution.layer is None:
        return
    test = context.test.take(1, name="test_size")
    model, axes = study.classifier.model, len(test.image_size)
    options = {"axes": axes} if axes != 2 and model.startswith("small_cnn") else {}
    network = create(model, len(test.classes), test.in_channels, seed=0, **options)
    attribution.find_layer(network, test.unit_images().cpu(), study.attribution.layer)


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    """Numbers of the maps, beside those of the same network with random weights, and on mixed images; maps for comparisons."""
    spec = context.plan.attribution
    model, source = context.load_classifier(cell.needs[0]), classifier_source(context, cell)
    part = context.test.take(min(spec.n_images, len(context.test)), name="test_size")
    images, labels = part.unit_images(), part.labels
    try:
        layer = attribution.find_layer(model, images, spec.layer)
    except attribution.NoFeatureMap as error:
        nothing = Estimate(float("nan"), "share of the image", n=0, warnings=(str(error),))
        return to_rows(source, [Measured("attribution_area", nothing)])
    maps = attribution.grad_cam(model, images, labels, layer)
    random = attribution.grad_cam(attribution.randomize(model, cell.seed), images, labels, layer)
    shuffled = maps[_order(len(maps), cell.seed)]  # where the neighbor is any other image
    found = [
        *attribution.measure_maps(maps, layer),
        attribution.measure_agreement([(maps, random)], "random weights"),
        attribution.measure_agreement([(shuffled, shuffled.roll(1, 0))], "another image"),
        *_measure_mixed(model, part, layer, cell.seed),
    ]
    save_arrays(folder / _MAPS, {"maps": maps.cpu().numpy()})
    _save_pictures(part, maps, folder)
    return to_rows(source, found)


def _measure_mixed(model: Normalized, part: Dataset, layer: str, seed: int) -> list[Measured]:
    """The same pairs and masks for all classifiers of a seed."""
    order = _order(len(part), seed)[: len(part) // 2 * 2]
    if not len(order):
        return []
    (first, second), (label_a, label_b) = part.unit_images()[order].chunk(2), part.labels[order].chunk(2)
    found = []
    for name, family in _MIXED_BY.items():
        generator = stream(seed, "attribution masks")
        masks = sample_masks(family, len(first), part.image_size, generator=generator, device=first.device).masks
        found += attribution.measure_mixed(model, first, second, (label_a, label_b), masks, name, layer)
    return found


def _order(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=stream(seed, "attribution order"))


def _save_pictures(part: Dataset, maps: Tensor, folder: Path) -> None:
    """Images and their maps, of each class in order of class; of signals and volumes, which no grid shows, none."""
    if len(part.image_size) != 2 or part.in_channels not in (1, 3):
        return
    chosen = shown_of_each_class(part)
    shown = attribution.enlarge(maps[chosen], part.image_size)
    rows = {"original": part.unit_images()[chosen].cpu().numpy(), "maps": shown.cpu().numpy()}
    save_arrays(folder / _PICTURES, names_of_shown(part, chosen) | rows)


def compare(context: Context, cell: Cell, folder: Path) -> Rows:
    """How well maps agree over the same images: with the reference's, of the same and of other seeds, and between seeds."""
    del folder
    maps: dict[str, dict[int, Tensor]] = {}
    for need in cell.needs:
        path = context.store.cell_folder(need) / _MAPS
        if path.is_file():
            with np.load(path, allow_pickle=False) as arrays:
                maps.setdefault(need.augmentation, {})[need.seed] = torch.from_numpy(arrays["maps"])
    against = cell.settings.get("reference", BASELINE)
    reference = maps.get(against, {})
    rows: Rows = []
    for name, own in maps.items():
        found = [_agree(list(combinations(own.values(), 2)), name, "other seeds")]
        if name != against:
            found.append(
                _agree([(own[seed], reference[seed]) for seed in own if seed in reference], against, "same seed")
            )
            crossed = [(own[a], reference[b]) for a in own for b in reference if a != b]
            found.append(_agree(crossed, against, "other seeds"))
        rows += to_rows(classifier_source(context, cell, name), [each for each in found if each is not None])
    return rows


def _agree(pairs: Sequence[tuple[Tensor, Tensor]], reference: str, label: str) -> Measured | None:
    return attribution.measure_agreement(pairs, reference, label) if pairs else None


def collect(context: Context, cells: Sequence[Cell]) -> None:
    """The same images and maps of all classifiers of a study's first seed, side by side."""
    shown: dict[str, np.ndarray] = {}
    for cell in cells:
        path = context.store.cell_folder(cell) / _PICTURES
        if cell.seed == context.plan.first_seed and path.is_file():
            with np.load(path, allow_pickle=False) as arrays:
                shown |= {name: arrays[name] for name in arrays.files if name != "maps"}
                shown[cell.augmentation] = arrays["maps"]
    if shown:
        save_arrays(context.store.folder / "pictures" / _PICTURES, shown)


STEPS = (
    Step("measure_attribution", StudyPlan, plan, run, check=check, collect=collect),
    Step("compare_attribution", StudyPlan, plan_comparison, compare),
)
