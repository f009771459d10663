"""Accuracy of each classifier, clean and under attack."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from msda_analysis import robustness
from msda_analysis.data import Dataset
from msda_analysis.data.datasets import balanced_indices
from msda_analysis.estimate import Estimate, Measured, wilson_interval
from msda_analysis.models import name_of
from msda_analysis.results import to_rows
from msda_analysis.robustness import Attack, Outcome, archive
from msda_analysis.robustness.arguments import check_classes
from msda_analysis.robustness.guard import guarded, named
from msda_analysis.settings import to_settings
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import MODEL_FILE, Context, Rows
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.plans import RobustnessPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps import given as given_models
from msda_analysis.studies.steps.common import classifier_settings, data_settings, family_cell
from msda_analysis.studies.steps.train_classifier import plan_classifiers
from msda_analysis.training.scoring import count_right

FORMAT = 3
#: Of a cell's folder: what each image did.
OUTCOME = "outcome.npz"
#: The same of a study's folder, of all its classifiers; see robustness.archive.
OUTCOMES = "outcomes.npz"
#: Training images that MixUp directions lead to.
_BANK = 1000


def plan(study: StudyPlan) -> list[Cell]:
    settings = attack_settings(study) | versioned(FORMAT, "attack_format") | _views_settings(study)
    return [
        family_cell("measure_classifier", study, cell.augmentation, cell.seed, settings, cell)
        for cell in plan_classifiers(study)
    ]


def plan_given(given: RobustnessPlan) -> list[Cell]:
    attack = to_settings(given.attack) | {"seed": given.seed} | versioned(FORMAT)
    shared = {"data": data_settings(given.data), "attack": attack}
    return [
        Cell(
            "measure_given_classifier",
            cell.augmentation,
            cell.seed,
            shared | {"trained": cell.settings["trained"]},
            (cell,),
            cell.label,
        )
        for cell in given_models.plan(given)
    ]


def _views_settings(study: StudyPlan) -> dict[str, str]:
    return {} if study.views == "none" else {"views": study.views}


def attack_settings(study: StudyPlan) -> dict[str, Any]:
    """What decides the numbers of an attacked classifier, but for its family."""
    return classifier_settings(study) | {"attack": to_settings(study.attack)}


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    """Clean accuracy on the whole test split; robust accuracy, minimum norms and trust flags on the attacked part.

    Where likeness to MixUp is asked for, steps along MixUp directions are among the attacks. What each image did is kept
    beside the rows.
    """
    (trained,), test = cell.needs, context.test
    model, seed = (
        context.load_classifier(trained),
        getattr(context.plan, "seed", cell.seed),
    )  # given ones share the plan's
    source = context.source(cell, name_of(model))
    check_classes(model, test.take(1, name="test_size").unit_images(), test.labels, len(test.classes))
    rows = to_rows(source, _clean_accuracies(model, test, getattr(context.plan, "views", "none")))
    spec = context.plan.attack
    if spec is None:
        return rows
    places = _attacked_rows(context)
    images, labels = test.unit_images()[places], test.labels[places]
    if spec.released:
        outcome = robustness.evaluate_released(
            model, images, labels, attacks=spec.attacks, epsilons=spec.epsilons,
            seed=seed, progress=context.progress,
        )  # fmt: skip
    else:
        outcome = robustness.evaluate(
            model, images, labels, _attacks(context), spec.epsilons, spec.norm, seed,
            progress=context.progress, mode=spec.mode, folder=_batches(context, cell),
        )  # fmt: skip
    name = cell.augmentation
    archive.write_outcomes(folder / OUTCOME, {name: [outcome]}, {name: [cell.seed]}, labels, places)
    return rows + to_rows(source, robustness.measured_outcome(outcome))


def _batches(context: Context, cell: Cell) -> Path:
    """Where finished batches are kept, for this cell and for one with more attacks.

    Those of another model, one that was damaged and trained again elsewhere, or of other budgets are not even looked at.
    """
    model, spec = context.store.checksum(cell.needs[0], MODEL_FILE), to_settings(context.plan.attack)
    settings = [
        model,
        FORMAT,
        {name: value for name, value in spec.items() if name not in ("attacks", "likeness_images")},
    ]
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=6).hexdigest()
    return context.store.kept(f"attacks-{cell.needs[0].name}-{digest}")


def _clean_accuracies(model: torch.nn.Module, dataset: Dataset, views: str) -> list[Measured]:
    """The accuracy, and beside it that of the mean over views of each image, where it is asked for."""
    found = [Measured("accuracy", _clean_accuracy(model, dataset, "none"))]
    if views != "none":
        found.append(Measured("accuracy_over_views", _clean_accuracy(model, dataset, views), label=views))
    return found


def _clean_accuracy(model: torch.nn.Module, dataset: Dataset, views: str) -> Estimate:
    with guarded(model), named("clean images"):
        n_right = count_right(model, dataset, views)
    return Estimate(n_right / len(dataset), "accuracy", *wilson_interval(n_right, len(dataset)), n=len(dataset))


def _attacked_rows(context: Context) -> Tensor:
    """Places of the attacked images in the study's test split."""
    spec, test = context.plan.attack, context.test
    assert spec is not None
    if spec.n_images is None or spec.n_images >= len(test):
        return torch.arange(len(test), device=test.labels.device)
    return balanced_indices(test.labels, spec.n_images, len(test.classes), seed=0)


def _attacks(context: Context) -> list[str | Attack]:
    spec = context.plan.attack
    assert spec is not None
    if not spec.likeness_images:
        return list(spec.attacks)
    # the same balanced part for every classifier: a folder's first images are all of one class
    bank = context.train.take(min(_BANK, len(context.train))).unit_images()
    return [*spec.attacks, robustness.mixup_direction_attack(bank, spec.norm)]


def collect(context: Context, cells: Sequence[Cell]) -> None:
    """Write what each image did under every attack on every classifier to the study's outcomes.npz."""
    outcomes: dict[str, list[Outcome]] = {}
    seeds: dict[str, list[int]] = {}
    paths = [(cell, context.store.cell_folder(cell) / OUTCOME) for cell in cells]
    paths = [(cell, path) for cell, path in paths if path.is_file()]
    for cell, path in paths:
        outcomes.setdefault(cell.augmentation, []).extend(archive.read_outcomes(path)[cell.augmentation])
        seeds.setdefault(cell.augmentation, []).append(cell.seed)
    if paths:
        archive.write_outcomes(context.store.folder / OUTCOMES, outcomes, seeds, *archive.read_images(paths[-1][1]))


STEPS = (
    Step("measure_classifier", StudyPlan, plan, run, collect=collect),
    Step("measure_given_classifier", RobustnessPlan, plan_given, run, collect=collect),
)
