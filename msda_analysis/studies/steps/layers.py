"""Information between the input and layers of a classifier in evaluation mode, by depth."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from msda_analysis.checks import check_choice
from msda_analysis.data import Dataset
from msda_analysis.information import layer_features, layer_information, measured_layers
from msda_analysis.information.layers import pair_with_features
from msda_analysis.information.neural import OBJECTIVES
from msda_analysis.models import Normalized, create, name_of
from msda_analysis.models.vgg import VGG11
from msda_analysis.results import to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plan import Plan, StudyPlan
from msda_analysis.studies.plans import RobustnessPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps import given as given_models
from msda_analysis.studies.steps.common import classifier_settings, data_settings, family_cell
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


def plan_given(given: RobustnessPlan) -> list[Cell]:
    if not given.layer_methods:
        return []
    measured = {"methods": list(given.layer_methods), "layers": list(given.layers), "seed": given.seed} | versioned(
        FORMAT
    )
    shared = {"data": data_settings(given.data)} | measured
    return [
        Cell("measure_given_layers", cell.augmentation, cell.seed, shared | {"trained": cell.settings["trained"]}, (cell,), cell.label)
        for cell in given_models.plan(given)
    ]  # fmt: skip


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    del folder
    model, seed = context.load_classifier(cell.needs[0]), cell.settings.get("seed", cell.seed)
    images = _inputs(context.plan, model, context.test)
    features, found = _features(model.network, images, cell.settings.get("layers", ())), []
    for method in cell.settings["methods"]:
        name, cap = ("mine", "tanh") if method == "mine_tanh" else (method, None)
        found += measured_layers(layer_information(features, images, name, seed, cap=cap), method)
    return to_rows(context.source(cell, name_of(model)), found)


def _inputs(plan: Plan, model: Normalized, test: Dataset) -> Tensor:
    """The test images as the network takes them: by the data's mean and std, or by those that a given one says."""
    if not isinstance(plan, RobustnessPlan):
        return test.normalize(test.images)
    channel = (-1, *[1] * len(test.image_size))
    return (test.unit_images() - model.mean.view(channel)) / model.std.view(channel)


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
        _check_names(network, images, study.layers)


def check_given(context: Context, cells: Sequence[Cell]) -> None:
    """The same of every given network."""
    given: RobustnessPlan = context.plan
    for method in given.layer_methods:
        check_choice("layer_methods", method, _METHODS)
    for cell in cells:
        model = cast(Normalized, given_models.load_given(context, cell.needs[0]))
        if given.layers:
            _check_names(model.network, _inputs(given, model, context.test.take(2, name="test_size")), given.layers)
        elif not isinstance(model.network, VGG11):
            raise ValueError(
                f"layers: expected names of layers of {name_of(model)}, such as layer3.1; only vgg11_bn has some of its own"
            )


def _check_names(network: nn.Module, images: Tensor, layers: Sequence[str]) -> None:
    try:
        layer_features(network, images, layers)
    except TypeError as error:  # a layer that gives no tensor
        raise ValueError(str(error)) from error


STEPS = (
    Step("measure_layers", StudyPlan, plan, run, check=check),
    Step("measure_given_layers", RobustnessPlan, plan_given, run, check=check_given),
)
