"""Do perturbations look like MixUp? Cosines, spectra, distances."""

from dataclasses import replace
from pathlib import Path

import torch

from msda_analysis import robustness
from msda_analysis.attacks.perturbation import Norm
from msda_analysis.estimate import Measured
from msda_analysis.masks import FMix, sample_masks
from msda_analysis.results import to_rows
from msda_analysis.rng import stream
from msda_analysis.robustness import create_attack
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import classifier_source, family_cell
from msda_analysis.studies.steps.measure_classifier import attack_settings
from msda_analysis.studies.steps.train_classifier import plan_classifiers

FORMAT = 3
#: The attacks whose perturbations the paper likens to MixUp, and others beside them: (attack, norm, budget) by a name.
#: L-infinity perturbations are flat by construction; those in L2 give the likeness its best chance.
_LIKENED: dict[str, tuple[str, Norm, float | None]] = {
    "deepfool": ("deepfool", "linf", None),
    "deepfool_l2": ("deepfool", "l2", None),
    "uniform_noise": ("uniform_noise", "linf", 0.03),
    "pgd": ("pgd", "linf", 0.03),
}


def plan(study: StudyPlan) -> list[Cell]:
    if study.attack is None or not study.attack.likeness_images:
        return []
    settings = attack_settings(study) | versioned(FORMAT, "attack_format")
    return [
        family_cell("measure_likeness", study, cell.augmentation, cell.seed, settings, cell)
        for cell in plan_classifiers(study)
    ]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    del folder
    spec = context.plan.attack
    assert spec is not None
    model, source = context.load_classifier(cell.needs[0]), classifier_source(context, cell)
    part = context.test.take(min(spec.likeness_images, len(context.test)))
    images, labels = part.unit_images(), part.labels
    perturbations = {name: _perturb(model, images, labels, *how, cell.seed) for name, how in _LIKENED.items()}
    masks = sample_masks(
        FMix(), 64, part.image_size, generator=stream(cell.seed, "likeness masks"), device=images.device
    ).masks
    found = robustness.measure_likeness(images, perturbations, seed=cell.seed, masks=masks)
    return to_rows(source, map(_with_budget, found))


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


STEPS = (Step("measure_likeness", StudyPlan, plan, run),)
