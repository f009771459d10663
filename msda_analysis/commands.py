"""What each command takes: one dataclass a command, with the help of every option. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

_PAPER_EPSILONS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.1, 0.3, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command takes."""

    seed: int = 0
    """First seed; everything random is a function of it."""
    device: str = "auto"
    """"cpu", "cuda", "cuda:1", or "auto": a GPU if there is one."""
    threads: int = 0
    """CPU threads; 0 takes as many as there are cores."""


@dataclass(frozen=True, kw_only=True)
class Trained(Common):
    """What every command and experiment takes that trains models."""

    dataset: str = "digits"
    """digits, cifar10, cifar100, fashion_mnist, or folder:PATH with PATH/train/CLASS/* and PATH/test/CLASS/*."""
    root: Path | None = None
    """Where downloaded files and the cache of decoded folders live (~/.cache/msda_analysis)."""
    train_size: int | None = None
    """Use a class-balanced part of the training images."""
    seeds: int = 2
    """Number of training seeds."""
    shard: str = "1/1"
    """i/n: run the i-th of n parts, on machines that share the folder; a last run without it completes the report."""


@dataclass(frozen=True, kw_only=True)
class Experiment(Trained):
    """What every experiment script takes."""

    seeds: int = 3
    """Number of training seeds."""
    smoke: bool = False
    """Seconds instead of minutes, to see that all works: the numbers mean nothing."""


@dataclass(frozen=True)
class Quickstart(Common):
    """From images to report on handwritten digits: 4 augmentations x 2 seeds, offline, a few minutes on 2 cores."""

    out: Path = Path("quickstart")
    """Output folder. A run that was interrupted goes on where it stopped."""
    smoke: bool = False
    """Seconds instead of minutes, to see that all works: the numbers mean nothing."""


@dataclass(frozen=True)
class Study(Trained):
    """Train VAEs and classifiers under each augmentation, measure them, describe the masks, write a report."""

    out: Path = Path("study")
    """Output folder. A run that was interrupted goes on where it stopped."""
    test_size: int | None = None
    """Use a class-balanced part of the test images."""
    augmentations: tuple[str, ...] = ("baseline", "mixup", "cutmix", "fmix")
    """baseline, mixup, cutmix, cutmix_inside, cutmix_nominal, fmix, fmix_released; with settings: "fmix(decay_power=1.5)";
    a+b alternates every batch; a class of yours: "my_masks:Stripes(period=8)"."""
    vae_epochs: int | None = None
    """Epochs of the VAEs (15; 100 with the paper's preset); 0 leaves them out."""
    vae_preset: Literal["default", "paper"] = "default"
    """"paper": the released script's settings (100 epochs unless --vae-epochs is given), one lambda per batch is not implied."""
    vae_precision: Literal["float32", "bfloat16"] = "float32"
    """Of forward and backward passes; bfloat16 is faster where the processor has it."""
    between: bool = False
    """Also estimate the information that each VAE shares with a baseline VAE of another seed."""
    vae_batch_size: int = 128
    """Images per step of the VAEs."""
    classifier: str = "small_cnn"
    """small_cnn, preact_resnet18, wide_resnet28_10, densenet190, pyramidnet272, vgg11_bn."""
    classifier_epochs: int = 15
    """Epochs of the classifiers; 0 leaves them and the attacks out."""
    classifier_augment: str = "crop_flip"
    """Ordinary augmentation of the classifiers: none, flip, crop (2 pixels), crop_flip (4 pixels), jitter_flip."""
    attacks: tuple[str, ...] = ("fgsm", "bim", "pgd", "uniform_noise", "deepfool")
    """Attacks by name; see robustness.ATTACKS."""
    epsilons: tuple[float, ...] = _PAPER_EPSILONS
    """Budgets, in [0, 1] pixel units."""
    norm: Literal["linf", "l2"] = "linf"
    """Norm of the budgets."""
    attack_images: int | None = 500
    """Test images attacked, a class-balanced part."""
    mode: Literal["cascade", "independent"] = "cascade"
    """cascade: an image broken at a budget stays broken at larger ones (robust accuracy); independent: the released curves."""
    released_attacks: bool = False
    """Replay the released experiment instead of --attacks: its five attacks, foolbox alone, its defaults and success."""
    likeness_images: int = 200
    """Test images on which perturbations are compared with MixUp directions; 0 leaves that out."""
    n_masks: int = 2000
    """Masks described per family; 0 leaves them out."""
    name: str = "study"
    """Short name that every row carries."""


@dataclass(frozen=True)
class Masks(Common):
    """Sample masks of one family: their statistics as a table, a picture, and the masks themselves."""

    out: Path = Path("masks")
    """Output folder."""
    family: str = "fmix"
    """mixup, cutmix, cutmix_inside, cutmix_nominal, fmix, fmix_released; with settings: "fmix(decay_power=1.5)"; a class of
    yours: "my_masks:Stripes(period=8)"."""
    size: tuple[int, ...] = (32, 32)
    """One, two or three lengths in pixels."""
    n: int = 1000
    """Number of masks."""
    alpha: float | None = None
    """lambda ~ Beta(alpha, alpha); None: the family's own, 1 unless it says otherwise."""
    decay_power: float | None = None
    """FMix: power of the 1/f decay; None: the family's own, 3 unless it says otherwise."""
    max_soft: float | None = None
    """FMix: half-width of the soft edge, as a share of the pixels, in [0, 0.5]; None: the family's own, 0 unless it says otherwise."""


@dataclass(frozen=True)
class Report:
    """Draw figures, tables and report.html again from a folder's results.csv; nothing is trained or measured."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A study's output folder."""


@dataclass(frozen=True)
class Information(Common):
    """What VAE checkpoints know about the test images: the paper's figures and tighter bounds, in nats."""

    checkpoints: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """VAE checkpoints, such as STUDY/cells/train_vae-*/model.safetensors."""
    out: Path = Path("information")
    """Output folder, for results.csv."""
    baseline: Path | None = None
    """Baseline VAE of another seed, for the paper's second figure."""
    dataset: str = "digits"
    """Whose test split; as in `study`."""
    root: Path | None = None
    """Where downloaded files live."""
    test_size: int | None = None
    """Use a class-balanced part of the test images."""


@dataclass(frozen=True)
class Robustness(Common):
    """Attack classifier checkpoints on the test images."""

    checkpoints: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Classifier checkpoints, such as STUDY/cells/train_classifier-*/model.safetensors."""
    out: Path = Path("robustness")
    """Output folder, for results.csv."""
    dataset: str = "digits"
    """Whose test split; as in `study`."""
    root: Path | None = None
    """Where downloaded files live."""
    test_size: int | None = None
    """Use a class-balanced part of the test images."""
    attacks: tuple[str, ...] = ("fgsm", "pgd", "apgd_ce", "apgd_dlr", "deepfool", "square", "uniform_noise")
    """Attacks by name."""
    epsilons: tuple[float, ...] = _PAPER_EPSILONS
    """Budgets, in [0, 1] pixel units."""
    norm: Literal["linf", "l2"] = "linf"
    """Norm of the budgets."""
    mode: Literal["cascade", "independent"] = "cascade"
    """cascade: an image broken at a budget stays broken at larger ones; independent: every budget for itself."""


@dataclass(frozen=True)
class Audit(Common):
    """Who samples what: our families, torchvision, timm and kornia (if installed), and any callable of yours."""

    out: Path = Path("audit")
    """Output folder."""
    callables: tuple[str, ...] = ()
    """package.module:function, each taking (images, labels) and returning mixed images with labels."""
    n_masks: int = 800
    """Independent masks to look at per implementation."""


@dataclass(frozen=True)
class Bench(Common):
    """Speed, as ratios to a plain version in the same run; parity is checked first."""

    what: Annotated[Literal["masks", "training", "robustness", "trust", "coverage", "load"], tyro.conf.Positional]
    """masks: sampling and mixing; training: VAE steps; robustness: DeepFool and whole evaluations;
    trust: what the trust checks cost; coverage: how often intervals over few seeds hold the truth;
    load: mixing on an idle and on a busy machine."""
    out: Path = Path("bench")
    """Output folder, for bench_<what>_<device>.csv."""
    smoke: bool = False
    """Seconds instead of minutes: the numbers mean nothing."""
