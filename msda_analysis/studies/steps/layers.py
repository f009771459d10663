"""Information between the input and layers of a classifier in evaluation mode, by depth."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from msda_analysis.checks import check_choice
from msda_analysis.information import layer_features, layer_information, measured_layers
from msda_analysis.information.layers import pair_with_features
from msda_analysis.information.neural import OBJECTIVES
from msda_analysis.models import create, name_of
from msda_analysis.models.vgg import VGG11
from msda_analysis.results import to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import classifier_settings, family_cell
from msda_analysis.studies.steps.train_classifier import plan_classifiers

FORMAT = 3
_METHODS = (*OBJECTIVES, "mine_tanh")


def plan(study: StudyPlan) -> list[Cell]:
    if not study.layer_methods:
        return []
    settings = classifier_settings(study) | {"methods": list(study.layer_methods)}
    if study.layers:
        settings["layers"] = list(study.layers)
    settings |= versioned(FORMAT, "information_format")
    return [
        family_cell("measure_layers", study, cell.augmentation, cell.seed, settings, cell)
        for cell in plan_classifiers(study)
    ]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    del folder
    model, images = context.load_classifier(cell.needs[0]), context.test.normalize(context.test.images)
    features, found = _features(model.network, images, cell.settings.get("layers", ())), []
    for method in cell.settings["methods"]:
        name, cap = ("mine", "tanh") if method == "mine_tanh" else (method, None)
        found += measured_layers(layer_information(features, images, name, cell.seed, cap=cap), method)
    return to_rows(context.source(cell, name_of(model)), found)


def _features(network: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """By layer, maps that fit the images, or vectors [n, unit]."""
    if layers:
        return {name: _paired(name, images, found) for name, found in layer_features(network, images, layers).items()}
    assert isinstance(network, VGG11)
    with torch.no_grad():
        taps = [network.eval().taps(batch) for batch in images.split(500)]
    return {name: torch.cat([tap[name] for tap in taps]) for name in taps[0]}


def _paired(name: str, images: Tensor, feature: Tensor) -> Tensor:
    """As it is where a convolutional critic can fold the images to its size, else flat."""
    try:
        pair_with_features(name, images[:1], feature[:1])
    except ValueError:
        return feature.flatten(1)
    return feature


def check(context: Context, cells: Sequence[Cell]) -> None:
    """Refuse layers that the network does not have, and critics that are not known, before anything is trained."""
    study: StudyPlan = context.plan
    for method in study.layer_methods:
        check_choice("layer_methods", method, _METHODS)
    if study.layers and study.classifier is not None:
        images = context.test.normalize(context.test.images[:2])
        network = create(study.classifier.model, len(context.test.classes), images.shape[1], seed=0).to(images.device)
        try:
            layer_features(network, images, study.layers)
        except TypeError as error:  # a layer that gives no tensor
            raise ValueError(str(error)) from error


STEPS = (Step("measure_layers", StudyPlan, plan, run, check=check),)
