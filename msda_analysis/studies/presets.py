"""Plans that have a name of their own. Imports nothing heavy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from msda_analysis.studies.plan import AttackSpec, AttributionSpec, DataSpec, StudyPlan
from msda_analysis.training import (
    FAST_CLASSIFIER_FIT,
    PAPER_CLASSIFIER_FIT,
    PAPER_VAE_FIT,
    ClassifierFit,
    VaeFit,
)


def quickstart() -> StudyPlan:
    """The whole line on scikit-learn's digits, small enough for two cores and a coffee."""
    return StudyPlan(
        name="quickstart",
        title="Quickstart: what MixUp, CutMix and FMix do to handwritten digits",
        data=DataSpec("digits(side=16)"),  # they are of 8x8 pixels: more only costs
        n_seeds=4,
        vae=VaeFit(epochs=10, batch_size=32, lr=6e-3, latent=16, output_std=0.3),
        classifier=ClassifierFit(epochs=3, batch_size=64, augment="crop"),
        # the paper's budgets are CIFAR's: below 0.01 no digit falls, and by 0.1 nearly all do
        attack=AttackSpec(epsilons=(0.0, 0.02, 0.04, 0.06, 0.1, 0.3, 0.5, 1.0), n_images=24),
        attribution=AttributionSpec(),
        device="auto",
    )


def quickstart_smoke(plan: StudyPlan) -> StudyPlan:
    """Seconds instead of minutes, to see that all works: the numbers mean nothing."""
    return replace(
        plan,
        name="quickstart-smoke",
        n_seeds=2,
        title="Quickstart, smoke run: the numbers mean nothing",
        data=DataSpec("digits(side=16)", train_size=200, test_size=60),
        vae=VaeFit(epochs=1, batch_size=50),
        classifier=ClassifierFit(epochs=1, batch_size=50),
        attack=AttackSpec(
            attacks=("fgsm", "uniform_noise"), epsilons=(0.0, 0.01, 0.1), n_images=20, likeness_images=20
        ),
        attribution=AttributionSpec(n_images=20),
        n_masks=100,
    )


def study() -> StudyPlan:
    """What `study` runs unless told otherwise."""
    return StudyPlan(attack=AttackSpec(n_images=500, likeness_images=200), attribution=AttributionSpec(), device="auto")


def with_paper_vae(plan: StudyPlan) -> StudyPlan:
    """the released script's settings, 100 epochs unless told otherwise; one lambda per batch is not implied."""
    return replace(plan, vae=PAPER_VAE_FIT)


def with_fast_classifier(plan: StudyPlan) -> StudyPlan:
    """the fast network and its recipe, ten epochs, with accuracy over mirrors and shifts beside the plain one: for color images."""
    return replace(plan, classifier=FAST_CLASSIFIER_FIT, views="mirror_shift")


def by_images(plan: StudyPlan) -> StudyPlan:
    """fast for color images of 32 x 32 pixels, where neither a network nor weights are named, and default for others."""
    return plan


def classifier_preset(given: Mapping[str, Sequence[str]]) -> str:
    """What "auto" stands for, from the flags and words of a command line."""
    is_trained = "--no-classifier" not in given and list(given.get("--classifier.epochs", ())) != ["0"]
    if not is_trained or "--classifier.model" in given or "--weights" in given:
        return "default"
    name, resize = (next(iter(given.get(flag, ())), "") for flag in ("--data.name", "--data.resize"))
    return "fast" if _are_small_and_colored(name, resize) else "default"


def describe_classifier(plan: StudyPlan) -> list[str]:
    """A line on the classifiers that a study trains, as what they are may depend on the images."""
    fit = plan.classifier
    if fit is None or plan.weights is not None:
        return []
    return [f"classifiers: {fit.model}, epochs {fit.epochs}, batch size {fit.batch_size}"]


def _are_small_and_colored(name: str, resize: str) -> bool:
    """Whether images are [3, 32, 32], as far as a name or the first picture of a folder tells; errors are told on loading."""
    if name in ("cifar10", "cifar100"):
        return True
    if not name.startswith("folder:"):
        return False
    classes = sorted(Path(name.removeprefix("folder:"), "train").glob("[!.]*/"))  # listing one is enough
    first = min(classes[0].glob("[!.]*.*"), default=None) if classes else None
    if first is None:
        return False
    from PIL import Image

    try:
        with Image.open(first) as image:
            return image.mode != "L" and (resize == "32" if resize else image.size == (32, 32))
    except OSError:
        return False


def with_paper_classifier(plan: StudyPlan) -> StudyPlan:
    """the released settings of PreAct-ResNet18, 200 epochs."""
    return replace(plan, classifier=PAPER_CLASSIFIER_FIT)


def with_released_attacks(plan: StudyPlan) -> StudyPlan:
    """Replay the released experiment: its five attacks, foolbox alone, its defaults and success."""
    from msda_analysis.robustness import RELEASED_ATTACKS

    attack = replace(plan.attack or AttackSpec(), attacks=RELEASED_ATTACKS, released=True, mode="independent")
    return replace(plan, attack=attack)


def as_it_is(plan: StudyPlan) -> StudyPlan:
    """our settings."""
    return plan
