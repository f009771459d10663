"""Does MixUp act like adversarial training? Attacks on classifiers trained under each augmentation.

    python experiments/robustness.py --dataset cifar10 --model preact_resnet18 --epochs 200 --out runs/robustness
    python experiments/robustness.py --dataset cifar10 --preset released --weights FOLDER --out runs/robustness_released

Preset "released": the released experiment, foolbox with its defaults, every budget for itself; with --weights on the
published PreAct-ResNet18 state dicts. Preset "default": stronger attacks as well, robust accuracy in the strict sense,
trust checks, paired comparisons, likeness to MixUp. What came out, where and in what time: experiments/README.md.
"""

import sys
from dataclasses import replace

from msda_analysis.cli import run_script
from msda_analysis.commands import Door
from msda_analysis.studies import AttackSpec, DataSpec, StudyPlan
from msda_analysis.studies.presets import with_released_attacks
from msda_analysis.training import ClassifierFit

STRONG_ATTACKS = (
    "fgsm", "bim", "pgd", "uniform_noise", "gaussian_noise", "deepfool", "fmn", "apgd_ce", "apgd_dlr", "square",
)  # fmt: skip


def plan() -> StudyPlan:
    """Classifiers under each augmentation, attacked."""
    return StudyPlan(
        name="robustness-default",
        title="Robustness of classifiers trained on mixed images",
        augmentations=("baseline", "mixup", "cutmix", "fmix", "fmix_released", "fmix+mixup"),
        n_seeds=3,
        vae=None,
        classifier=ClassifierFit(epochs=30, augment="crop_flip"),
        attack=AttackSpec(STRONG_ATTACKS, n_images=1000, likeness_images=200),
        device="auto",
    )


def ours(full: StudyPlan) -> StudyPlan:
    """our evaluation."""
    return full


def released(full: StudyPlan) -> StudyPlan:
    """the released experiment's."""
    full = with_released_attacks(replace(full, name="robustness-released", per_batch=True))
    return replace(full, attack=replace(full.attack, likeness_images=0))


def smoke(full: StudyPlan) -> StudyPlan:
    """Seconds instead of hours, to see that all works: the numbers mean nothing."""
    return replace(
        full,
        data=DataSpec(train_size=200, test_size=60),
        augmentations=("baseline", "mixup"),
        n_seeds=2,
        classifier=ClassifierFit(epochs=1, batch_size=50),
        attack=replace(full.attack, n_images=20, epsilons=(0.0, 0.01, 0.1), likeness_images=20),
        n_masks=100,
    )


DOOR = Door(
    plan, "robustness", {"--smoke": smoke}, {"--preset": {"default": ours, "released": released}},
    {"--model": "--classifier.model", "--epochs": "--classifier.epochs", "--train-augment": "--classifier.augment"},
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(run_script(DOOR, __doc__))
