"""Settings of training runs. Imports nothing heavy."""

from dataclasses import dataclass

from msda_analysis.settings import Settings, later, unchecked

SCHEDULES = ("constant", "steps", "cosine", "linear", "decay")
PRECISIONS = ("float32", "bfloat16")
AVERAGES = ("none", "lookahead")
OPTIMIZERS = ("sgd", "muon")


@dataclass(frozen=True)
class LoopSettings(Settings):
    """What every training run needs.

    Attributes:
        epochs: passes over the training split.
        batch_size: images per step; a last partial batch is dropped.
        lr: peak learning rate of the optimizer.
        schedule: "constant"; "steps", times 0.1 at each epoch of `drops`; "cosine", to zero; "linear", from 0.2 of the peak
            up to it and down to 0.07; or "decay", straight from the peak to zero.
        drops: epochs at which "steps" drops.
        augment: ordinary augmentation before mixing, none, flip, crop (2 pixels), crop_flip
            (4 pixels), jitter_flip, shift (2 pixels with reflection), shift_flip (each image mirrored in every other epoch), cutout (16
            pixels), autoaugment, fast_autoaugment (CIFAR-10's policies), or several in order: fast_autoaugment+crop_flip+cutout.
        precision: "float32", or "bfloat16" for forward and backward passes (weights stay float32).
        warm_up: share of the training in which the rate of "cosine" and "linear" rises.
        averaging: of the weights over the training: none, or lookahead (see training.averaging).
        accumulate: parts of each batch that go through the model one after another, to need less memory; their gradients
            add up to that of the batch, but layers with batch statistics see a part at a time.
    """

    epochs: int
    batch_size: int
    lr: float
    schedule: str = "constant"
    drops: tuple[int, ...] = ()
    augment: str = "none"
    precision: str = "float32"
    warm_up: float = later(0.05)
    averaging: str = later("none")
    accumulate: int = later(1)

    def check(self) -> None:
        from msda_analysis.checks import check_choice, check_count, check_in_range, check_positive
        from msda_analysis.data import find_augment

        check_count("epochs", self.epochs)
        check_count("batch_size", self.batch_size, minimum=2)
        check_positive("lr", self.lr)
        check_choice("schedule", self.schedule, SCHEDULES)
        for epoch in self.drops:
            check_count("drops", epoch)
        find_augment(self.augment)
        check_choice("precision", self.precision, PRECISIONS)
        check_in_range("warm_up", self.warm_up, 0.0, 1.0)
        check_choice("averaging", self.averaging, AVERAGES)
        check_count("accumulate", self.accumulate)


@dataclass(frozen=True)
class VaeFit(LoopSettings):
    """Settings of a VAE run; see LoopSettings for the rest.

    Attributes:
        latent: dimensions of the code.
        output_std: standard deviation of a pixel around its reconstruction, in normalized pixel units.
    """

    epochs: int = 15
    batch_size: int = 128
    lr: float = 2e-3
    schedule: str = "cosine"
    latent: int = 64
    output_std: float = 1.0

    def check(self) -> None:
        from msda_analysis.checks import check_count, check_positive

        super().check()
        check_count("latent", self.latent)
        check_positive("output_std", self.output_std)


@dataclass(frozen=True)
class ClassifierFit(LoopSettings):
    """Settings of a classifier run; see LoopSettings for the rest.

    Attributes:
        model: small_cnn, fast_cnn, preact_resnet18, wide_resnet28_10, densenet190, pyramidnet272, vgg11_bn, torchvision:NAME,
            timm:NAME (where installed), or a function of yours, my_nets:build(width=2).
        optimizer: "sgd", or "muon" for the filters of convolutions and SGD for all else (see training.muon).
        filter_lr: peak learning rate of what Muon turns.
        momentum: of SGD.
        weight_decay: of SGD.
        nesterov: Nesterov momentum; the released code trains without.
        label_smoothing: share of every label, mixed or not, that is spread evenly over all classes, in [0, 1].
        bias_lr: by which the rate of biases is multiplied, and their weight decay divided.
        curve: score the test split after every epoch (top-1, top-5, likelihood, calibration error, Brier); changes no weight.
    """

    model: str = "small_cnn"
    epochs: int = 15
    batch_size: int = 128
    lr: float = 0.1
    schedule: str = "cosine"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True
    label_smoothing: float = later(0.0)
    bias_lr: float = later(1.0)
    optimizer: str = later("sgd")
    filter_lr: float = later(0.24)
    curve: bool = later(False)

    def check(self) -> None:
        from msda_analysis.checks import check_choice, check_in_range, check_positive
        from msda_analysis.models import check_network

        super().check()
        check_network(self.model)
        check_in_range("momentum", self.momentum, 0.0, 1.0)
        check_in_range("weight_decay", self.weight_decay, 0.0, 1.0)
        check_in_range("label_smoothing", self.label_smoothing, 0.0, 1.0)
        check_positive("bias_lr", self.bias_lr)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_positive("filter_lr", self.filter_lr)


with unchecked():  # checking would import torch
    #: The released script's settings, where they can be recovered from it.
    PAPER_VAE_FIT = VaeFit(epochs=100, batch_size=128, lr=5e-2, schedule="steps", drops=(40, 80), augment="jitter_flip")
    #: The released CIFAR settings of PreAct-ResNet18.
    PAPER_CLASSIFIER_FIT = ClassifierFit(
        model="preact_resnet18", epochs=200, batch_size=128, lr=0.1, schedule="steps", drops=(100, 150),
        augment="crop_flip", weight_decay=1e-4, nesterov=False,
    )  # fmt: skip
    #: Ten epochs of the fast network, for studies on a CPU: Jordan 2024 (arXiv 2404.00498) and the Muon of its later code, with
    #: rates and decay for batches of 512 and a mean loss; lookahead is of the former. Mixed images may want more epochs.
    FAST_CLASSIFIER_FIT = ClassifierFit(
        model="fast_cnn", epochs=10, batch_size=512, lr=0.42, schedule="decay", augment="shift_flip", momentum=0.85,
        weight_decay=2.4e-3, averaging="lookahead", label_smoothing=0.2, bias_lr=64.0, optimizer="muon",
    )  # fmt: skip
