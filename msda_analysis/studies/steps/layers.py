"""Information between the input and each layer of a VGG-11 in evaluation mode, by depth."""

from pathlib import Path

import torch

from msda_analysis.information import layer_information, measured_layers
from msda_analysis.models.vgg import VGG11
from msda_analysis.results import to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import classifier_settings, family_cell
from msda_analysis.studies.steps.train_classifier import plan_classifiers

FORMAT = 3


def plan(study: StudyPlan) -> list[Cell]:
    if not study.layer_methods:
        return []
    settings = classifier_settings(study) | {"methods": list(study.layer_methods)}
    settings |= versioned(FORMAT, "information_format")
    return [
        family_cell("measure_layers", study, cell.augmentation, cell.seed, settings, cell)
        for cell in plan_classifiers(study)
    ]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    del folder
    model = context.load_classifier(cell.needs[0])
    assert isinstance(model.network, VGG11)
    images, network = context.test.normalize(context.test.images), model.network.eval()
    with torch.no_grad():
        taps = [network.taps(batch) for batch in images.split(500)]
    features = {name: torch.cat([tap[name] for tap in taps]) for name in taps[0]}
    found = []
    for method in cell.settings["methods"]:
        name, cap = ("mine", "tanh") if method == "mine_tanh" else (method, None)
        found += measured_layers(layer_information(features, images, name, cell.seed, cap=cap), method)
    return to_rows(context.source(cell, "vgg11_bn"), found)


STEPS = (Step("measure_layers", StudyPlan, plan, run),)
