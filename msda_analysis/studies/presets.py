"""Plans behind the commands."""

from dataclasses import replace
from typing import TYPE_CHECKING

from msda_analysis.robustness import RELEASED_ATTACKS
from msda_analysis.studies.plan import AttackSpec, DataSpec, StudyPlan
from msda_analysis.training import PAPER_VAE_FIT, ClassifierFit, VaeFit

if TYPE_CHECKING:
    from msda_analysis.commands import Study


def quickstart(*, seed: int = 0, device: str = "cpu", smoke: bool = False) -> StudyPlan:
    """The whole line on scikit-learn's digits, small enough for two cores and a coffee."""
    plan = StudyPlan(
        name="quickstart",
        title="Quickstart: what MixUp, CutMix and FMix do to handwritten digits",
        data=DataSpec("digits"),
        first_seed=seed,
        vae=VaeFit(epochs=10, batch_size=32, lr=4e-3),
        classifier=ClassifierFit(epochs=10, batch_size=64, augment="crop"),
        attack=AttackSpec(n_images=60),
        device=device,
    )
    if not smoke:
        return plan
    return replace(
        plan,
        name="quickstart-smoke",
        title="Quickstart, smoke run: the numbers mean nothing",
        data=DataSpec("digits", train_size=200, test_size=60),
        vae=VaeFit(epochs=1, batch_size=50),
        classifier=ClassifierFit(epochs=1, batch_size=50),
        attack=AttackSpec(
            attacks=("fgsm", "uniform_noise"), epsilons=(0.0, 0.01, 0.1), n_images=20, likeness_images=20
        ),
        n_masks=100,
    )


def study(command: "Study", *, device: str) -> StudyPlan:
    """The plan that the command line's options describe."""
    return StudyPlan(
        name=command.name,
        title=f"Mixed-sample data augmentation on {command.dataset.removeprefix('folder:')}",
        data=DataSpec(command.dataset, command.root, command.train_size, command.test_size),
        augmentations=command.augmentations,
        n_seeds=command.seeds,
        first_seed=command.seed,
        vae=_vae_fit(command),
        classifier=_classifier_fit(command),
        attack=AttackSpec(
            RELEASED_ATTACKS if command.released_attacks else command.attacks,
            command.epsilons,
            command.norm,
            command.attack_images,
            "independent" if command.released_attacks else command.mode,
            command.released_attacks,
            command.likeness_images,
        ),
        between=command.between,
        n_masks=command.n_masks,
        device=device,
    )


def _vae_fit(command: "Study") -> VaeFit | None:
    if command.vae_epochs == 0:
        return None
    base = PAPER_VAE_FIT if command.vae_preset == "paper" else VaeFit()
    epochs = base.epochs if command.vae_epochs is None else command.vae_epochs
    return replace(base, epochs=epochs, batch_size=command.vae_batch_size, precision=command.vae_precision)


def _classifier_fit(command: "Study") -> ClassifierFit | None:
    if command.classifier_epochs == 0:
        return None
    return ClassifierFit(model=command.classifier, epochs=command.classifier_epochs, augment=command.classifier_augment)
