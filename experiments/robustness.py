"""Does MixUp act like adversarial training? Attacks on classifiers trained under each augmentation.

    python experiments/robustness.py --dataset cifar10 --model preact_resnet18 --epochs 200 --out runs/robustness
    python experiments/robustness.py --dataset cifar10 --preset released --weights FOLDER --out runs/robustness_released

Preset "released": the released experiment, foolbox with its defaults, every budget for itself; with --weights on the
published PreAct-ResNet18 state dicts. Preset "default": stronger attacks as well, robust accuracy in the strict sense,
trust checks, paired comparisons, likeness to MixUp. What came out, where and in what time: experiments/README.md.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from msda_analysis.cli import run_plan, usable_device
from msda_analysis.commands import Experiment
from msda_analysis.robustness import PAPER_EPSILONS, RELEASED_ATTACKS
from msda_analysis.studies import AttackSpec, DataSpec, StudyPlan
from msda_analysis.training import ClassifierFit

STRONG_ATTACKS = (
    "fgsm",
    "bim",
    "pgd",
    "uniform_noise",
    "gaussian_noise",
    "deepfool",
    "fmn",
    "apgd_ce",
    "apgd_dlr",
    "square",
)


@dataclass(frozen=True)
class Settings(Experiment):
    """Classifiers under each augmentation, attacked."""

    out: Path = Path("robustness")
    """Output folder. A run that was interrupted goes on where it stopped."""
    preset: Literal["default", "released"] = "default"
    """Our evaluation, or the released experiment's."""
    augmentations: tuple[str, ...] = ("baseline", "mixup", "cutmix", "fmix", "fmix_released", "fmix+mixup")
    """As in `msda-analysis study`."""
    attacks: tuple[str, ...] = STRONG_ATTACKS
    """Attacks of the preset "default"."""
    epsilons: tuple[float, ...] = PAPER_EPSILONS
    """Budgets, in [0, 1] pixel units."""
    model: str = "small_cnn"
    """Classifier to train."""
    epochs: int = 30
    """Training epochs."""
    train_augment: str = "crop_flip"
    """Ordinary augmentation: none, flip, crop, crop_flip, jitter_flip."""
    weights: Path | None = None
    """Folder of published PreAct-ResNet18 state dicts to attack instead of training; seeds count its repeats."""
    attack_images: int | None = 1000
    """Test images attacked, a class-balanced part; "None" for all."""
    likeness_images: int = 200
    """Test images on which perturbations are compared with MixUp directions."""


def make_plan(settings: Settings) -> StudyPlan:
    """The plan of a preset."""
    is_released = settings.preset == "released"
    attack = AttackSpec(
        epsilons=settings.epsilons, n_images=settings.attack_images, likeness_images=settings.likeness_images
    )
    if is_released:
        attack = replace(attack, attacks=RELEASED_ATTACKS, released=True, mode="independent", likeness_images=0)
    else:
        attack = replace(attack, attacks=settings.attacks)
    model = "preact_resnet18" if settings.weights is not None else settings.model
    plan = StudyPlan(
        name=f"robustness-{settings.preset}",
        title="Robustness of classifiers trained on mixed images",
        data=DataSpec(settings.dataset, settings.root, settings.train_size),
        augmentations=settings.augmentations,
        n_seeds=settings.seeds,
        first_seed=settings.seed,
        vae=None,
        classifier=ClassifierFit(model=model, epochs=settings.epochs, augment=settings.train_augment),
        attack=attack,
        per_batch=is_released,
        weights=settings.weights,
        device=usable_device(settings.device),
    )
    if not settings.smoke:
        return plan
    return replace(
        plan,
        data=DataSpec(settings.dataset, settings.root, train_size=200, test_size=60),
        augmentations=("baseline", "mixup"),
        n_seeds=2,
        classifier=ClassifierFit(epochs=1, batch_size=50),
        attack=replace(attack, n_images=20, epsilons=(0.0, 0.01, 0.1), likeness_images=20),
        n_masks=100,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run; exit code as msda-analysis."""
    settings = tyro.cli(Settings, args=arguments, description=__doc__)
    return run_plan(lambda: make_plan(settings), settings, settings.out)


if __name__ == "__main__":
    sys.exit(main())
