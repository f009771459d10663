"""What a study consists of, as settings. Imports nothing heavy."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from msda_analysis.settings import Settings, later, to_settings
from msda_analysis.training import ClassifierFit, VaeFit

if TYPE_CHECKING:
    from msda_analysis.mixing import Augmentation

PAPER_ATTACKS = ("fgsm", "bim", "pgd", "uniform_noise", "deepfool")
#: robustness.PAPER_EPSILONS, without its imports.
PAPER_EPSILONS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.1, 0.3, 0.5, 1.0)


class Plan(Settings):
    """What a folder belongs to: the settings of all its cells; see steps.STEPS for what serves which plan.

    Attributes:
        name: short name that the rows carry.
        title: heading of the report.
        device: where it runs.
        packages: whose versions the manifest names.
        splits: of the data set, where the plan has one.
        grows: settings of which a folder may get more.
        side_by_side: whether its cells take long enough to be shared by processes, where nobody says how many.
    """

    name: str
    title: str
    device: str
    packages: ClassVar[tuple[str, ...]] = (
        "torch",
        "torchvision",
        "numpy",
        "scipy",
        "foolbox",
        "scikit-learn",
        "captum",
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    grows: ClassVar[tuple[str, ...]] = ()
    side_by_side: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """Plain JSON values that two runs of the same plan share."""
        data: Any = getattr(self, "data", None)
        shared: Any = self if data is None else replace(self, data=replace(data, root=None))  # type: ignore[type-var]
        return json.loads(json.dumps(to_settings(shared), default=str))


@dataclass(frozen=True)
class DataSpec(Settings):
    """Which images; see data.load_dataset.

    Attributes:
        name: digits, cifar10, cifar100, fashion_mnist, waveforms (1-D), voxels (3-D), folder:PATH with PATH/train/CLASS/* and
            PATH/test/CLASS/*, npz:FILE with arrays images and labels, aeon:OSULeaf, or a function of yours: my_data:load.
        root: where downloaded files and the cache of decoded folders live (~/.cache/msda_analysis); decides no number.
        train_size: class-balanced part of the training split; None for all.
        test_size: class-balanced part of the test split; None for all.
        resize: side of a square, in pixels, that pictures of a folder are scaled to cover, and cut around their centers to;
            None takes them as they are, all of one size.
    """

    name: str = "digits"
    root: Path | None = field(default=None, compare=False)
    train_size: int | None = None
    test_size: int | None = None
    resize: int | None = later(None)

    def check(self) -> None:
        from msda_analysis.checks import check_count

        for name in ("train_size", "test_size", "resize"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))


@dataclass(frozen=True)
class AttackSpec(Settings):
    """How classifiers are attacked; see robustness.evaluate.

    Attributes:
        attacks: by name; see robustness.ATTACKS.
        epsilons: budgets, in [0, 1] pixel units: numbers, or fractions such as 8/255.
        norm: of the budgets.
        n_images: test images attacked, a class-balanced part; None for all.
        mode: "cascade", the definition of robust accuracy, or "independent", the released curves.
        released: replay the released experiment with foolbox alone, its defaults and its seeding; then `mode` is
            "independent", and there are no minimum norms and no trust checks.
        likeness_images: images on which perturbations are compared with MixUp directions; 0 leaves that out.
    """

    attacks: tuple[str, ...] = PAPER_ATTACKS
    epsilons: tuple[float | str, ...] = PAPER_EPSILONS
    norm: Literal["linf", "l2"] = "linf"
    n_images: int | None = None
    mode: Literal["cascade", "independent"] = "cascade"
    released: bool = False
    likeness_images: int = 0

    def check(self) -> None:
        from msda_analysis.checks import check_choice, check_count
        from msda_analysis.robustness import MODES, NORMS, list_attacks
        from msda_analysis.robustness.arguments import to_epsilons

        check_choice("norm", self.norm, NORMS)
        check_choice("mode", self.mode, MODES)
        check_count("likeness_images", self.likeness_images, minimum=0)
        if self.n_images is not None:
            check_count("n_images", self.n_images)
        for name in self.attacks:
            check_choice("attacks", name, list_attacks(self.norm))
        # 0, 0.0 and 0/255 are one budget, and a cell is known by its settings as they are written
        object.__setattr__(self, "epsilons", to_epsilons(self.epsilons))


def choose_reference(asked: str, names: Sequence[str]) -> str:
    """What all else is compared with: what is asked for, else the baseline, or the first where there is none.

    Raises:
        ValueError: it is not among the names.
    """
    if asked and asked not in names:
        raise ValueError(f"reference: expected one of {', '.join(map(repr, names))}, got {asked!r}")
    return asked or ("baseline" if "baseline" in names or not names else names[0])


@dataclass(frozen=True)
class AttributionSpec(Settings):
    """Where classifiers look; see attribution.grad_cam.

    Attributes:
        n_images: test images looked at, a class-balanced part.
        layer: whose maps, by its name in the network, such as "layer3"; None for the last convolutional feature map.
    """

    n_images: int = 100
    layer: str | None = None

    def check(self) -> None:
        from msda_analysis.checks import check_count

        check_count("n_images", self.n_images)


@dataclass(frozen=True)
class StudyPlan(Plan):
    """A whole study: augmentations x seeds, VAEs and classifiers, measured and described.

    Attributes:
        name: short name that the rows carry.
        title: heading of the report; "" for one that names the images.
        data: which images.
        augmentations: baseline (no mixing), mixup, cutmix, cutmix_inside, cutmix_nominal, fmix, fmix_released, gridmix,
            resizemix, saliencymix, sage; with settings: "fmix(decay_power=1.5)"; a+b alternates every batch; a class of yours:
            "my_masks:Stripes(period=8)", a function of yours: "my_mixers:swap_halves", another package's: torchvision:CutMix.
            Each is kept in its shortest form.
        n_seeds: number of training seeds.
        first_seed: the first of them; everything random is a function of the seed.
        reference: augmentation that the others are compared with, one of those above; none: the baseline, or the first where
            there is no baseline. Trains nothing again.
        vae: training of the VAEs; None leaves them out, on the command line --no-vae.
        classifier: training of the classifiers; None leaves them and the attacks out, on the command line --no-classifier.
        attack: how classifiers are attacked; None leaves the attacks out, on the command line --no-attack.
        attribution: where classifiers look, by Grad-CAM; None leaves that out, on the command line --no-attribution.
        per_batch: train with one lambda and one mask per batch, as the paper's runs did.
        between: also estimate the information that each VAE shares with a baseline VAE of another seed.
        layer_methods: critics for the information by depth: mine, mine_tanh, nwj, js, smile. Empty leaves it out.
        layers: of the classifier, for these, in order of depth, by their names in named_modules(): layer3.1, features.4; none:
            those that "vgg11_bn" exposes.
        weights: folder of published state dicts to measure instead of training classifiers (see studies.steps.published).
        n_masks: masks described per family.
        more_masks: families to describe beside those trained with, as texts too.
        device: "cpu", "cuda", "cuda:1", or "auto": a GPU if there is one.
        views: also give the clean accuracy of logits averaged over views of each image, beside the plain one: none, mirror, or
            mirror_shift (see models.logits_over_views).

    Raises:
        ValueError: an unknown augmentation or reference, no augmentation, one named twice, or no seed.
    """

    grows: ClassVar[tuple[str, ...]] = (
        "augmentations", "more_masks", "layer_methods", "layers", "between", "n_masks", "attack.attacks", "attack.epsilons",
        "attack.n_images", "attack.likeness_images", "attribution.n_images",
    )  # fmt: skip
    side_by_side: ClassVar[bool] = True

    name: str = "study"
    title: str = ""
    data: DataSpec = field(default_factory=DataSpec)
    augmentations: tuple[str, ...] = ("baseline", "mixup", "cutmix", "fmix")
    n_seeds: int = 2
    first_seed: int = 0
    reference: str = ""
    vae: VaeFit | None = field(default_factory=VaeFit)
    classifier: ClassifierFit | None = field(default_factory=ClassifierFit)
    attack: AttackSpec | None = field(default_factory=AttackSpec)
    attribution: AttributionSpec | None = None
    per_batch: bool = False
    between: bool = False
    layer_methods: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    weights: Path | None = None
    n_masks: int = 2000
    more_masks: tuple[str, ...] = ("fmix_released",)
    device: str = "cpu"
    views: str = later("none")

    def check(self) -> None:
        from msda_analysis.checks import check_choice, check_count
        from msda_analysis.mixing import augmentation_from_text, augmentation_to_text
        from msda_analysis.models import VIEWS

        if not self.title:
            data = self.data.name.removeprefix("folder:")
            object.__setattr__(self, "title", f"Mixed-sample data augmentation on {data}")
        if self.weights is not None and self.classifier is not None:
            object.__setattr__(self, "classifier", replace(self.classifier, model="preact_resnet18"))
        check_choice("views", self.views, VIEWS)
        check_count("seeds", self.n_seeds)
        check_count("n_masks", self.n_masks, minimum=0)
        self._check_layers()
        if not self.augmentations:
            raise ValueError("augmentations: expected at least one name, got none")
        for listed in ("augmentations", "more_masks"):  # one spelling for each, by which rows are known
            texts = tuple(augmentation_to_text(augmentation_from_text(text)) for text in getattr(self, listed))
            object.__setattr__(self, listed, texts)
        if self.reference:
            object.__setattr__(self, "reference", augmentation_to_text(augmentation_from_text(self.reference)))
        choose_reference(self.reference, self.augmentations)
        for name in self.augmentations:
            if self.augmentations.count(name) > 1:
                raise ValueError(f"augmentations: expected each name once, got {name!r} twice")

    def _check_layers(self) -> None:
        if self.layers and not self.layer_methods:
            raise ValueError("layer_methods: expected at least one critic, such as mine, for the layers that are named")
        if not self.layer_methods:
            return
        if self.classifier is None:
            raise ValueError("layer_methods: information by depth is of classifiers, and none is trained")
        if not self.layers and self.classifier.model != "vgg11_bn":
            raise ValueError(
                f"layers: expected names of layers of {self.classifier.model}, such as layer3.1; only vgg11_bn has some of its own"
            )

    @property
    def compared_with(self) -> str:
        """The augmentation that all others are compared with: the one that is asked for, else the baseline, else the first."""
        return choose_reference(self.reference, self.augmentations)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.first_seed, self.first_seed + self.n_seeds))

    def family_of(self, augmentation: str) -> "Augmentation | None":
        """The family or mixer that is trained with under this name."""
        from msda_analysis.mixing import augmentation_from_text

        return augmentation_from_text(augmentation, per_batch=self.per_batch or None)
