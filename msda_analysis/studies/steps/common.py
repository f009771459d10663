"""What steps share: parts of a cell's settings, and rows of a training."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from msda_analysis.data import Dataset, dataset_settings
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.mixing import Augmentation, augmentation_from_text, augmentation_settings
from msda_analysis.models import network_settings
from msda_analysis.results import Source, to_rows
from msda_analysis.settings import to_settings
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plan import DataSpec, StudyPlan
from msda_analysis.training import History

#: What a history calls what is no part of a loss: metric and unit of its rows.
_HISTORY = {
    "seconds": ("epoch_seconds", "s"), "test_top1": ("epoch_top1", "accuracy"), "test_top5": ("epoch_top5", "accuracy"),
    "test_nll": ("epoch_nll", "nats"), "test_ece": ("epoch_ece", "fraction"), "test_brier": ("epoch_brier", ""),
}  # fmt: skip
_MOST_SHOWN = 12  # images side by side


def data_settings(data: DataSpec) -> dict[str, Any]:
    """The images as a cell's settings name them, and what tells own data; where the files are decides no number."""
    return to_settings(replace(data, root=None)) | dataset_settings(data.name)


def classifier_settings(study: StudyPlan) -> dict[str, Any]:
    """The images, the training of the classifiers, and the code of a network of the user's own."""
    own = {} if study.classifier is None else network_settings(study.classifier.model)
    return {"data": data_settings(study.data), "fit": to_settings(study.classifier), **own}


def family_cell(kind: str, plan: StudyPlan, name: str, seed: int, settings: dict[str, Any], *needs: Cell) -> Cell:
    """A cell about one augmentation, whose family's settings are among what decides its numbers."""
    return Cell(kind, name, seed, settings | {"family": augmentation_settings(plan.family_of(name))}, needs)


def describable(augmentation: str) -> Augmentation | None:
    """The family or mixer under this name, a family with a mask for each image: statistics and pictures are of such."""
    return augmentation_from_text(augmentation, per_batch=False)


def history_rows(source: Source, history: History, warnings: tuple[str, ...] = ()) -> Rows:
    """Losses in nats, seconds, and scores on the test split, by epoch; warnings about the training stand beside the last loss."""
    found = []
    for epoch, entry in enumerate(history.epochs, start=1):
        for name, value in entry.items():
            metric, unit = _HISTORY.get(name) or (f"train_{name}", "nats")
            said = warnings if (name, epoch) == ("loss", len(history.epochs)) else ()
            found.append(Measured(metric, Estimate(value, unit, warnings=said), x=epoch))
    return to_rows(source, found)


def classifier_source(context: Context, cell: Cell, augmentation: str | None = None) -> Source:
    """Columns of a row about all classifiers of a plan; the augmentation is the cell's unless a row speaks of another."""
    fit = getattr(context.plan, "classifier", None)
    return context.source(cell, "" if fit is None else fit.model, augmentation)


def shown_of_each_class(dataset: Dataset) -> Tensor:
    """Indices of images to show side by side: of each class the one most like the mean of its class (largest correlation), in
    order of class, and the next of each while all of them fit.

    Of more classes than fit the first ones; of parts that lack some, one image each of as many as there are.
    """
    n_classes, labels = len(dataset.classes), dataset.labels.cpu()
    turn = _turn_in_class(_likeness_to_mean(dataset.unit_images().cpu(), labels, n_classes), labels)
    n_shown = int((turn < max(1, _MOST_SHOWN // n_classes)).sum())
    return (turn * n_classes + labels).argsort()[: min(n_shown, _MOST_SHOWN)].to(dataset.labels.device)


def _likeness_to_mean(images: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """[n] correlation over pixels of each image with the mean of its class's, each without its own mean and of length one."""
    flat = images.flatten(1)
    flat = functional.normalize(flat - flat.mean(1, keepdim=True))
    means = functional.normalize(flat.new_zeros(n_classes, flat.shape[1]).index_add_(0, labels, flat))
    return (flat * means[labels]).sum(1)


def _turn_in_class(likeness: Tensor, labels: Tensor) -> Tensor:
    """[n] how many images of its class come before an image, by likeness."""
    order = likeness.argsort(descending=True, stable=True)
    seen = functional.one_hot(labels[order]).cumsum(0)
    turn = torch.empty_like(labels)
    turn[order] = seen.gather(1, labels[order][:, None])[:, 0] - 1
    return turn


def names_of_shown(dataset: Dataset, chosen: Tensor) -> dict[str, np.ndarray]:
    """The classes of these images, as a file of pictures holds them beside its rows."""
    return {"classes": np.array([dataset.classes[label] for label in dataset.labels[chosen].tolist()])}
