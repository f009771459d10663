"""How does information about the input fall with depth, under each augmentation? The paper's first analysis.

    python experiments/layer_information.py --dataset cifar10 --out runs/layer_information

VGG-11 classifiers (64.8 million parameters: wants a GPU), then critics between input and each of ten layers, the network
in evaluation mode. "mine_tanh" is the released script's estimator, whose scores go through tanh: at most 2 nats.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from msda_analysis.cli import run_plan, usable_device
from msda_analysis.commands import Experiment
from msda_analysis.studies import DataSpec, StudyPlan
from msda_analysis.training import ClassifierFit


@dataclass(frozen=True)
class Settings(Experiment):
    """VGG-11 under each augmentation, and what its layers know about the input."""

    out: Path = Path("layer_information")
    """Output folder. A run that was interrupted goes on where it stopped."""
    epochs: int = 200
    """Training epochs."""
    methods: tuple[str, ...] = ("mine", "mine_tanh", "smile")
    """Critics: mine, mine_tanh, nwj, js, smile."""


def make_plan(settings: Settings) -> StudyPlan:
    """The plan: classifiers only, no attacks."""
    fit = ClassifierFit(
        model="vgg11_bn", epochs=settings.epochs, schedule="steps", augment="crop_flip", weight_decay=1e-4,
        drops=(settings.epochs // 2, settings.epochs * 3 // 4),
    )  # fmt: skip
    plan = StudyPlan(
        name="layer-information",
        title="Information by depth of classifiers trained on mixed images",
        data=DataSpec(settings.dataset, settings.root, settings.train_size),
        n_seeds=settings.seeds,
        first_seed=settings.seed,
        vae=None,
        classifier=fit,
        attack=None,
        layer_methods=settings.methods,
        device=usable_device(settings.device),
    )
    if not settings.smoke:
        return plan
    data = DataSpec(settings.dataset, settings.root, train_size=40, test_size=100)
    fit = replace(fit, epochs=1, batch_size=20, drops=())
    return replace(
        plan, data=data, augmentations=("mixup",), n_seeds=1, classifier=fit, layer_methods=("smile",), n_masks=100
    )


def main(arguments: list[str] | None = None) -> int:
    """Run; exit code as msda-analysis."""
    settings = tyro.cli(Settings, args=arguments, description=__doc__)
    return run_plan(lambda: make_plan(settings), settings, settings.out)


if __name__ == "__main__":
    sys.exit(main())
