"""Cells that attack classifiers, compare them, and ask whether perturbations look like MixUp."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from msda_analysis import robustness
from msda_analysis.attacks.perturbation import Norm
from msda_analysis.data import Dataset
from msda_analysis.data.datasets import balanced_indices
from msda_analysis.estimate import Estimate, Measured, wilson_interval
from msda_analysis.masks import FMix, sample_masks
from msda_analysis.results import Source, to_rows
from msda_analysis.rng import stream
from msda_analysis.robustness import Attack, Outcome, archive, create_attack
from msda_analysis.robustness.arguments import check_classes
from msda_analysis.robustness.guard import guarded, named
from msda_analysis.studies.plan import Cell
from msda_analysis.studies.store import PARTIAL, Store
from msda_analysis.studies.workshop import MODEL_FILE, Rows, Workshop

_OUTCOME = "outcome.npz"
#: Of a study's folder: outcomes of all its classifiers by image; see robustness.archive.
OUTCOMES = "outcomes.npz"
#: The attacks whose perturbations the paper likens to MixUp, and others beside them: (attack, norm, budget) by a name.
#: L-infinity perturbations are flat by construction; those in L2 give the likeness its best chance.
_LIKENED: dict[str, tuple[str, Norm, float | None]] = {
    "deepfool": ("deepfool", "linf", None),
    "deepfool_l2": ("deepfool", "l2", None),
    "uniform_noise": ("uniform_noise", "linf", 0.03),
    "pgd": ("pgd", "linf", 0.03),
}
#: Training images that MixUp directions lead to.
_BANK = 1000


def measure_classifier(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Clean accuracy on the whole test split; robust accuracy, minimum norms and trust flags on the attacked part.

    Where likeness to MixUp is asked for, steps along MixUp directions are among the attacks. What each image did is kept
    beside the rows.
    """
    (trained,), test = cell.needs, workshop.test
    model, source = workshop.load_model(trained), _source(workshop, cell)
    check_classes(model, test.take(1, name="test_size").unit_images(), test.labels, len(test.classes))
    rows = to_rows(source, [Measured("accuracy", _clean_accuracy(model, workshop.test))])
    spec = workshop.plan.attack
    if spec is None:
        return rows
    places = _attacked_rows(workshop)
    images, labels = test.unit_images()[places], test.labels[places]
    if spec.released:
        outcome = robustness.evaluate_released(
            model, images, labels, attacks=spec.attacks, epsilons=spec.epsilons,
            seed=cell.seed, progress=workshop.progress,
        )  # fmt: skip
    else:
        # batches of another model, one that was damaged and trained again elsewhere, are not even looked at
        partial = folder / PARTIAL / workshop.store.checksum(trained, MODEL_FILE)
        outcome = robustness.evaluate(
            model, images, labels, _attacks(workshop), spec.epsilons, spec.norm, cell.seed,
            progress=workshop.progress, mode=spec.mode, folder=partial,
        )  # fmt: skip
    name = cell.augmentation
    archive.write_outcomes(folder / _OUTCOME, {name: [outcome]}, {name: [cell.seed]}, labels, places)
    return rows + to_rows(source, robustness.measured_outcome(outcome))


def compare_classifiers(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Who is more robust than whom: paired on the same images, seeds as the outer level, corrected for many tests."""
    del folder
    outcomes: dict[str, list[Outcome]] = {}
    for need in cell.needs:
        path = workshop.store.cell_folder(need) / _OUTCOME
        outcomes.setdefault(need.augmentation, []).extend(archive.read_outcomes(path)[need.augmentation])
    found = robustness.measured_differences(outcomes)
    return [row for name, numbers in found.items() for row in to_rows(_source(workshop, cell, name), numbers)]


def measure_likeness(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Do perturbations look like MixUp? Cosines, spectra, distances."""
    del folder
    spec = workshop.plan.attack
    assert spec is not None
    model, source = workshop.load_model(cell.needs[0]), _source(workshop, cell)
    part = workshop.test.take(min(spec.likeness_images, len(workshop.test)))
    images, labels = part.unit_images(), part.labels
    perturbations = {name: _perturb(model, images, labels, *how, cell.seed) for name, how in _LIKENED.items()}
    masks = sample_masks(
        FMix(), 64, part.image_size, generator=stream(cell.seed, "likeness masks"), device=images.device
    ).masks
    found = robustness.measure_likeness(images, perturbations, seed=cell.seed, masks=masks)
    return to_rows(source, map(_with_budget, found))


def _source(workshop: Workshop, cell: Cell, augmentation: str | None = None) -> Source:
    assert workshop.plan.classifier is not None
    return workshop.source(cell, workshop.plan.classifier.model, augmentation)


@torch.no_grad()
def _clean_accuracy(model: torch.nn.Module, dataset: Dataset) -> Estimate:
    parts = zip(dataset.unit_images().split(500), dataset.labels.split(500), strict=True)
    with guarded(model), named("clean images"):
        n_right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in parts)
    return Estimate(n_right / len(dataset), "accuracy", *wilson_interval(n_right, len(dataset)), n=len(dataset))


def _attacked_rows(workshop: Workshop) -> Tensor:
    """Places of the attacked images in the study's test split."""
    spec, test = workshop.plan.attack, workshop.test
    assert spec is not None
    if spec.n_images is None or spec.n_images >= len(test):
        return torch.arange(len(test), device=test.labels.device)
    return balanced_indices(test.labels, spec.n_images, len(test.classes), seed=0)


def _attacks(workshop: Workshop) -> list[str | Attack]:
    spec = workshop.plan.attack
    assert spec is not None
    if not spec.likeness_images:
        return list(spec.attacks)
    # the same balanced part for every classifier: a folder's first images are all of one class
    bank = workshop.train.take(min(_BANK, len(workshop.train))).unit_images()
    return [*spec.attacks, robustness.mixup_direction_attack(bank, spec.norm)]


def _with_budget(number: Measured) -> Measured:
    """Attack, norm and budget in place of the name of a perturbation; references have none."""
    if number.attack not in _LIKENED:
        return number
    attack, norm, epsilon = _LIKENED[number.attack]
    return replace(number, attack=attack, norm=norm, epsilon=epsilon)


def _perturb(
    model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, name: str, norm: Norm, epsilon: float | None,
    seed: int,
) -> torch.Tensor:  # fmt: skip
    attack = create_attack(name, norm)
    return attack.run(model, images, labels, epsilon, seed).clamp(0, 1) - images


def collect_outcomes(store: Store, cells: Sequence[Cell]) -> None:
    """Write what each image did under every attack on every measured classifier to the study's outcomes.npz."""
    outcomes: dict[str, list[Outcome]] = {}
    seeds: dict[str, list[int]] = {}
    path = None
    for cell in cells:
        found = store.cell_folder(cell) / _OUTCOME
        if cell.kind != "measure_classifier" or not store.is_done(cell) or not found.is_file():
            continue
        path = found
        outcomes.setdefault(cell.augmentation, []).extend(archive.read_outcomes(path)[cell.augmentation])
        seeds.setdefault(cell.augmentation, []).append(cell.seed)
    if path is not None:
        archive.write_outcomes(store.folder / OUTCOMES, outcomes, seeds, *archive.read_images(path))
