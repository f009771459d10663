"""The paper's classification runs as plans, one a row, in two versions: as published, and as the released code runs.

Imports nothing heavy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from msda_analysis.studies.plan import DataSpec, StudyPlan
from msda_analysis.training import ClassifierFit
from msda_analysis.training.settings import PAPER_CLASSIFIER_FIT

_FAULTS = (
    "FMix has the released code's law, whose masks have no frequency beyond the first along the width",
    "CutMix labels with the lambda that was drawn, which clipped boxes exceed by 0.19 on average",
    "scripts before 2021-03-26 passed the first of the epochs at which the rate drops alone; here all of them count",
    "the test split was the validation split; here it chooses nothing",
)
_CIFAR_100 = "the script's branch for CIFAR-100 sets CIFAR-10, and so does this; for CIFAR-100 add --dataset cifar100"
_FASHION = (
    "the paper used the original release of Fashion-MNIST, whose splits share images; the script, like this, takes today's",
    "the script normalizes by MNIST's mean and deviation, this by those of the training split",
)
_WIDE = "the network pools 7 x 7 of its 8 x 8 maps (on 28 x 28 images: all of 7 x 7)"
_POLICIES = (
    "the script never passes --auto-augment=True, so no policies are applied; the published configuration of Fast "
    "AutoAugment also has Cutout 16, rate 0.05 after 5 epochs of warm-up, Nesterov momentum and weight decay 5e-5"
)


@dataclass(frozen=True)
class Row:
    """One row of the paper's classification experiments.

    Attributes:
        summary: what it is, in words.
        data: as published.
        fit: training as published; the rate drops by 0.1 at fit.drops.
        augmentations: as published.
        released: what the released code does otherwise, as changes of the plan.
        faults: known ones of the released code, or of what is known of the run, beside those that all rows share.
        published: accuracy in [0, 1] by augmentation, where there is a source for it.
    """

    summary: str
    data: DataSpec
    fit: ClassifierFit
    augmentations: tuple[str, ...] = ("baseline", "fmix", "mixup", "cutmix")
    released: Callable[[StudyPlan], StudyPlan] = lambda plan: plan
    faults: tuple[str, ...] = ()
    published: tuple[tuple[str, float], ...] = ()


def _cifar_10_instead(plan: StudyPlan) -> StudyPlan:
    return replace(plan, data=replace(plan.data, name="cifar10"))


def _without_policies(plan: StudyPlan) -> StudyPlan:
    assert plan.classifier is not None
    return replace(plan, classifier=replace(plan.classifier, augment="crop_flip"))


_RESNET = PAPER_CLASSIFIER_FIT
_WRN = replace(_RESNET, model="wide_resnet28_10")
_DENSE = replace(_RESNET, model="densenet190", epochs=300, drops=(100, 150, 225), batch_size=32)
_PYRAMID = replace(
    _RESNET, model="pyramidnet272", epochs=1800, batch_size=64, schedule="cosine", drops=(), warm_up=0.0,
    augment="fast_autoaugment+crop_flip",
)  # fmt: skip
_CIFAR10, _CIFAR100, _FASHION_MNIST = DataSpec("cifar10"), DataSpec("cifar100"), DataSpec("fashion_mnist")

#: By name; "paper" and "released" are said by plan_of().
ROWS: Mapping[str, Row] = {
    "cifar10_preact_resnet18": Row("CIFAR-10, PreAct-ResNet18, 200 epochs.", _CIFAR10, _RESNET),
    "cifar10_wide_resnet28_10": Row("CIFAR-10, WRN-28-10, 200 epochs.", _CIFAR10, _WRN, faults=(_WIDE,)),
    "cifar10_densenet190": Row("CIFAR-10, DenseNet-BC-190, 300 epochs.", _CIFAR10, _DENSE),
    "cifar10_pyramidnet272": Row(
        "CIFAR-10, PyramidNet-272 with ShakeDrop and Fast AutoAugment, 1,800 epochs.", _CIFAR10, _PYRAMID,
        released=_without_policies, faults=(_POLICIES,),
        published=(("baseline", 0.9831), ("mixup", 0.9792), ("fmix", 0.9864)),
    ),
    "cifar100_preact_resnet18": Row(
        "CIFAR-100, PreAct-ResNet18, 200 epochs.", _CIFAR100, _RESNET, released=_cifar_10_instead, faults=(_CIFAR_100,)
    ),
    "cifar100_wide_resnet28_10": Row(
        "CIFAR-100, WRN-28-10, 200 epochs.", _CIFAR100, _WRN, released=_cifar_10_instead, faults=(_CIFAR_100, _WIDE)
    ),
    "cifar100_densenet190": Row(
        "CIFAR-100, DenseNet-BC-190, 300 epochs.", _CIFAR100, _DENSE, released=_cifar_10_instead, faults=(_CIFAR_100,),
        published=(("fmix", 0.8395),),
    ),
    "fashion_preact_resnet18": Row(
        "Fashion-MNIST, PreAct-ResNet18, 200 epochs.", _FASHION_MNIST, _RESNET, faults=_FASHION,
        published=(("baseline", 0.9570), ("mixup", 0.9628), ("cutmix", 0.9603), ("fmix", 0.9636)),
    ),
    "fashion_wide_resnet28_10": Row(
        "Fashion-MNIST, WRN-28-10, 300 epochs.", _FASHION_MNIST, replace(_DENSE, model=_WRN.model), faults=_FASHION
    ),
    "fashion_densenet190": Row("Fashion-MNIST, DenseNet-BC-190, 300 epochs.", _FASHION_MNIST, _DENSE, faults=_FASHION),
    "tiny_imagenet_preact_resnet18": Row(
        "Tiny-ImageNet from a folder with train/CLASS/* and test/CLASS/*, PreAct-ResNet18, 200 epochs.",
        DataSpec("folder:tiny-imagenet-200"), replace(_RESNET, drops=(150, 180), augment="flip"),
    ),
    "cifar10_alternated": Row(
        "CIFAR-10, PreAct-ResNet18: FMix and MixUp in turn, batch by batch, FMix first, beside each alone.",
        _CIFAR10, _RESNET, ("baseline", "fmix", "mixup", "fmix+mixup"),
    ),
    "cifar10_reduced": Row(
        "CIFAR-10 with 500 images a class (another share: --train-size), PreAct-ResNet18, alternated as well.",
        replace(_CIFAR10, train_size=5000), _RESNET, ("baseline", "fmix", "mixup", "cutmix", "fmix+mixup"),
        faults=("the paper's shares of the training split are not known; the released split is unseeded",),
    ),
}  # fmt: skip
_RELEASED_NAMES = {"cutmix": "cutmix_nominal", "fmix": "fmix_released", "fmix+mixup": "fmix_released+mixup"}


def plan_of(name: str) -> StudyPlan:
    """A row as published: five seeds, one lambda and one mask per batch, the last epoch's model.

    FMix is the paper's law and CutMix labels with what is kept; as_released() makes both what the released code does.
    """
    row = ROWS[name]
    return StudyPlan(
        name=f"{name}-paper", title=f"{row.summary.rstrip('.')} (as published)", data=row.data,
        augmentations=row.augmentations, n_seeds=5, vae=None, classifier=row.fit, attack=None, per_batch=True,
        device="auto",
    )  # fmt: skip


def as_published(plan: StudyPlan) -> StudyPlan:
    """what the paper describes."""
    return plan


def as_released(plan: StudyPlan) -> StudyPlan:
    """what the released code does, its faults included."""
    name = row_of(plan)
    changed = ROWS[name].released(plan)
    names = tuple(_RELEASED_NAMES.get(each, each) for each in plan.augmentations)
    title = f"{ROWS[name].summary.rstrip('.')} (as the released code runs)"
    return replace(changed, name=f"{name}-released", title=title, augmentations=names)


def row_of(plan: StudyPlan) -> str:
    """The name of a plan's row."""
    return plan.name.rpartition("-")[0]


def published_for(plan: StudyPlan) -> dict[str, float]:
    """Published accuracies in [0, 1] of a plan's augmentations, by the name that each has in it; empty for other plans.

    Source: the paper's public results page and the released code's README; more is not known with a source.
    """
    row = ROWS.get(row_of(plan))
    known = {} if row is None else dict(row.published)
    names = known | {_RELEASED_NAMES[name]: accuracy for name, accuracy in known.items() if name in _RELEASED_NAMES}
    return {name: names[name] for name in plan.augmentations if name in names}


def describe_faults(plan: StudyPlan) -> list[str]:
    """What is known to be wrong, or not known, about the row, one line each."""
    faults = ROWS[row_of(plan)].faults
    return [*faults, *_FAULTS] if plan.name.endswith("-released") else [*faults, _ABOUT_PAPER]


_ABOUT_PAPER = (
    "settings are the released scripts', laws those that the paper describes; its own runs may have had either law"
)


def preset(name: str) -> Callable[[StudyPlan], StudyPlan]:
    """A change to this row, whatever the plan was, for the command line."""

    def change(_: StudyPlan) -> StudyPlan:
        return plan_of(name)

    change.__doc__ = ROWS[name].summary
    return change


def smoke(plan: StudyPlan) -> StudyPlan:
    """two steps on digits: all is run, and the numbers mean nothing."""
    assert plan.classifier is not None
    return replace(
        plan, data=DataSpec("digits", train_size=4, test_size=6), augmentations=plan.augmentations[1:2], n_seeds=1,
        classifier=replace(plan.classifier, epochs=1, batch_size=2), n_masks=0, more_masks=(),
    )  # fmt: skip
