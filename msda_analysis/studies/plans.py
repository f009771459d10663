"""Plans of one question each, as settings: masks, audit, checkpoints, estimators, speed. Imports nothing heavy."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from msda_analysis.settings import later, unchecked
from msda_analysis.studies.plan import AttackSpec, DataSpec, Plan

with unchecked():  # checking would import torch
    _NO_DATA = DataSpec("")


@dataclass(frozen=True)
class MasksPlan(Plan):
    """Sample masks of families: their statistics as a table, a picture, and the masks themselves.

    Attributes:
        families: mixup, cutmix, cutmix_inside, cutmix_nominal, fmix, fmix_released; with settings: "fmix(decay_power=1.5)";
            a class of yours: "my_masks:Stripes(period=8)".
        size: one, two or three lengths in pixels.
        n: number of masks.
        alpha: lambda ~ Beta(alpha, alpha); None: the family's own, 1 unless it says otherwise.
        decay_power: FMix: power of the 1/f decay; None: the family's own, 3 unless it says otherwise.
        max_soft: FMix: half-width of the soft edge, as a share of the pixels, in [0, 0.5]; None: the family's own, 0 unless
            it says otherwise.
        seed: everything random is a function of it.
        device: "cpu", "cuda", "cuda:1", or "auto": a GPU if there is one.
    """

    name: ClassVar[str] = "masks"
    title: ClassVar[str] = "Masks"
    grows: ClassVar[tuple[str, ...]] = ("families",)

    families: tuple[str, ...] = ("fmix",)
    size: tuple[int, ...] = (32, 32)
    n: int = 1000
    alpha: float | None = None
    decay_power: float | None = None
    max_soft: float | None = None
    seed: int = 0
    device: str = "auto"

    def check(self) -> None:
        from msda_analysis.checks import check_count, check_size
        from msda_analysis.masks import family_to_text

        check_count("n", self.n)
        check_size("size", self.size)
        if not self.families:
            raise ValueError("families: expected at least one name, got none")
        # one spelling for each, which holds the options: the same masks are the same cell however they are asked for
        texts = tuple(dict.fromkeys(family_to_text(self._family(text)) for text in self.families))
        object.__setattr__(self, "families", texts)
        for name in ("alpha", "decay_power", "max_soft"):
            object.__setattr__(self, name, None)

    def _family(self, text: str) -> Any:
        from msda_analysis.masks import MaskFamily, family_from_text

        family = family_from_text(text)
        if not isinstance(family, MaskFamily):
            raise ValueError(f"family: expected a single family that has masks, got {text!r}")
        if family.per_batch:
            raise ValueError(f"family: expected independent masks, to describe them; leave per_batch out of {text!r}")
        options = {"alpha": self.alpha, "decay_power": self.decay_power, "max_soft": self.max_soft}
        given = {name: value for name, value in options.items() if value is not None}
        known = {setting.name for setting in fields(family)}
        if missing := [name for name in given if name not in known]:
            raise ValueError(f"{', '.join(missing)}: {text!r} has no such setting, only {', '.join(sorted(known))}")
        return replace(family, **given)


@dataclass(frozen=True)
class AuditPlan(Plan):
    """Who samples what: our families, torchvision, timm and kornia (if installed), and any callable of yours.

    Attributes:
        callables: package.module:function, each taking (images, labels) and returning mixed images with labels; or families
            and mixers as a study's augmentations.
        alpha: lambda of the callables is meant to follow Beta(alpha, alpha); None leaves that open.
        n_masks: independent masks to look at per implementation.
        seed: everything random is a function of it.
        device: "cpu", where audits run.
    """

    name: ClassVar[str] = "audit"
    title: ClassVar[str] = "Audit of mixed-sample data augmentation"
    packages: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "kornia")
    grows: ClassVar[tuple[str, ...]] = ("callables",)

    callables: tuple[str, ...] = ()
    alpha: float | None = None
    n_masks: int = 800
    seed: int = 0
    device: str = "cpu"

    def check(self) -> None:
        from msda_analysis.checks import check_count, check_positive

        check_count("n_masks", self.n_masks, 50)
        if self.alpha is not None:
            check_positive("alpha", self.alpha)
        _on_cpu(self)


@dataclass(frozen=True)
class CheckpointPlan(Plan):
    """What plans of given models share.

    Attributes:
        checkpoints: files, such as STUDY/cells/train_*/model.safetensors.
        weights: files by the name that results give them: plain=a.pt mixed=b.safetensors, several training seeds of one name as
            plain=a0.pt,a1.pt; a path alone has the augmentation of a checkpoint, or the file's name. Nothing in them is executed.
        model: the network of files that hold weights alone, or of checkpoints of a network of yours: my_nets:build(width=2),
            torchvision:resnet18, timm:NAME, or one of ours.
        mean: by which that network's images are normalized, in [0, 1] pixel units: one value or one per channel; none, with
            none for std: it takes images in [0, 1] as they are. Our checkpoints say it themselves.
        std: the same.
        reference: name that the others are compared with; none: the baseline, or the first where there is no baseline.
        data: whose test split.
        seed: everything random is a function of it.
        device: "cpu", "cuda", "cuda:1", or "auto": a GPU if there is one.
    """

    splits: ClassVar[tuple[str, ...]] = ("test",)
    grows: ClassVar[tuple[str, ...]] = ("checkpoints", "weights")
    side_by_side: ClassVar[bool] = True
    trains: ClassVar[str]

    checkpoints: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    weights: tuple[str, ...] = ()
    model: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    reference: str = ""
    data: DataSpec = field(default_factory=DataSpec)
    seed: int = 0
    device: str = "auto"

    def check(self) -> None:
        from msda_analysis.checks import check_statistics
        from msda_analysis.models import network_settings

        if not self.checkpoints and not self.weights:
            raise ValueError(
                "checkpoints: expected at least one file, such as "
                f"STUDY/cells/{self.trains}-*/model.safetensors; got none (weights alone: --model my_nets:build "
                "--weights plain=a.pt)"
            )
        if self.mean or self.std:
            check_statistics(self.mean, self.std)
        if self.model:
            network_settings(self.model)  # it is found, and its code can be read


@dataclass(frozen=True)
class InformationPlan(CheckpointPlan):
    """What VAE checkpoints know about the test images: the paper's figures and tighter bounds, in nats.

    Attributes:
        checkpoints: VAE checkpoints, such as STUDY/cells/train_vae-*/model.safetensors.
        model: the network of files that hold weights alone, or of checkpoints of a VAE of yours, my_vaes:build(latent=2): a module
            with encode(images) -> (mean, log-variance) and decode(z) -> mean image; or ours, "vae(latent=32)".
        baseline: baseline VAE of another seed, for the paper's second figure.
        output_std: of VAEs from weights alone: standard deviation of a pixel around the decoded mean, in normalized units.
    """

    name: ClassVar[str] = "information"
    title: ClassVar[str] = "What given VAEs know about the images"
    trains: ClassVar[str] = "train_vae"

    baseline: Path | None = None
    output_std: float = 1.0

    def check(self) -> None:
        from msda_analysis.checks import check_positive

        super().check()
        check_positive("output_std", self.output_std)


@dataclass(frozen=True)
class RobustnessPlan(CheckpointPlan):
    """Attack classifier checkpoints on the test images, and compare them where they are several.

    Attributes:
        checkpoints: classifier checkpoints, such as STUDY/cells/train_classifier-*/model.safetensors.
        attack: how.
        layer_methods: critics for the information between images and layers: mine, mine_tanh, nwj, js, smile. Empty leaves it
            out.
        layers: for these, in order of depth, by their names in named_modules(): layer3.1, features.4; none: those that
            "vgg11_bn" exposes.
    """

    name: ClassVar[str] = "robustness"
    title: ClassVar[str] = "Robustness of given classifiers"
    trains: ClassVar[str] = "train_classifier"
    grows: ClassVar[tuple[str, ...]] = (*CheckpointPlan.grows, "layer_methods", "layers")

    attack: AttackSpec = field(
        default_factory=lambda: AttackSpec(
            ("fgsm", "pgd", "apgd_ce", "apgd_dlr", "deepfool", "square", "uniform_noise")
        )
    )
    layer_methods: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    def check(self) -> None:
        from msda_analysis.models import check_network

        super().check()
        if self.model:
            check_network(self.model)
        if self.layers and not self.layer_methods:
            raise ValueError("layer_methods: expected at least one critic, such as mine, for the layers that are named")


@dataclass(frozen=True)
class EstimatorPlan(Plan):
    """Every estimator on every case with a known answer.

    Attributes:
        methods: estimators from samples, out of information.METHODS; all of them where none is named.
        samples: of every case for them.
        images: of every encoder.
        seed: of samples and estimators.
        smoke: seconds instead of half an hour, of the first few cases: the numbers mean nothing.
        device: "cpu", where estimators run.
    """

    name: ClassVar[str] = "estimators"
    title: ClassVar[str] = "Estimators of mutual information on known answers"
    packages: ClassVar[tuple[str, ...]] = ("torch", "numpy", "scipy", "scikit-learn")
    grows: ClassVar[tuple[str, ...]] = ("methods",)

    methods: tuple[str, ...] = ()
    samples: int = 4000
    images: int = 8000
    seed: int = 0
    smoke: bool = False
    device: str = "cpu"

    def check(self) -> None:
        from msda_analysis.checks import check_choice, check_count
        from msda_analysis.information import METHODS

        _on_cpu(self)
        object.__setattr__(self, "methods", tuple(self.methods or METHODS))
        for method in self.methods:
            check_choice("methods", method, METHODS)
        for name in ("samples", "images"):
            check_count(name, getattr(self, name), 64)
            if self.smoke:
                object.__setattr__(self, name, min(getattr(self, name), 200))


@dataclass(frozen=True)
class BenchPlan(Plan):
    """Speed, as ratios to a plain version in the same run; parity is checked first.

    Attributes:
        what: masks: sampling and mixing; training: steps of VAEs and classifiers; robustness: DeepFool and whole evaluations; trust: what the
            trust checks cost; coverage: how often intervals over few seeds hold the truth; load:
            mixing on an idle and on a busy machine; cost: what mixing adds to a training step; accuracy: networks on images
            that they have not seen, by the processor time of their training.
        smoke: seconds instead of minutes: the numbers mean nothing.
        seed: of nothing, as all draws are fixed; another one in the same folder measures again.
        device: "cpu", "cuda", "cuda:1", or "auto": a GPU if there is one.
        data: which images, for accuracy, and for nothing else.
        networks: for accuracy: small_cnn, fast_cnn, preact_resnet18, or any other that a study may train.
        limit_s: for accuracy: seconds of training of each network, processor time on a CPU, after which it stops.
        epochs: for accuracy: passes over the training images in place of each recipe's own; None for those.
        vary: for accuracy: also train each network by its recipe with other settings, "label_smoothing=0.0" or several with commas
            between, words in quotes.
    """

    name: ClassVar[str] = "bench"
    title: ClassVar[str] = "Speed"
    grows: ClassVar[tuple[str, ...]] = ("what", "networks", "vary")

    what: Annotated[
        tuple[Literal["masks", "training", "robustness", "trust", "coverage", "load", "cost", "accuracy"], ...],
        tyro.conf.Positional,
    ] = ("masks",)
    smoke: bool = False
    seed: int = 0
    device: str = "auto"
    data: DataSpec = later(_NO_DATA)  # noqa: RUF009 - it is frozen
    networks: tuple[str, ...] = later(("small_cnn", "fast_cnn", "preact_resnet18"))
    limit_s: float = later(480.0)
    epochs: int | None = later(None)
    vary: tuple[str, ...] = later(())

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """None where no images are asked for."""
        return Plan.splits if self.data.name else ()

    def check(self) -> None:
        from msda_analysis.checks import check_count, check_positive
        from msda_analysis.models import check_network

        if "accuracy" in self.what and not self.data.name:
            raise ValueError(
                "dataset: expected the images on which accuracy is to be measured, got none; add --dataset cifar10 or "
                "--dataset folder:PATH, and --root where downloaded files lie"
            )
        if "accuracy" not in self.what and self.data.name:
            raise ValueError(f"dataset: only accuracy takes images, not {', '.join(self.what)}; leave it out")
        if not self.networks:
            raise ValueError("networks: expected at least one name, got none")
        check_positive("limit_s", self.limit_s)
        if self.epochs is not None:
            check_count("epochs", self.epochs)
        if "accuracy" in self.what:
            from msda_analysis.bench.accuracy import recipe_of, vary_recipe

            for network in self.networks:
                check_network(network)
                for text in self.vary:
                    vary_recipe(recipe_of(network), text)


def _on_cpu(plan: Any) -> None:
    if plan.device not in ("cpu", "auto"):
        raise ValueError(f"device: expected 'cpu', the only one that this runs on, got {plan.device!r}")
    object.__setattr__(plan, "device", "cpu")
