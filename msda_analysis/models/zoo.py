"""Models by name."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from msda_analysis import checks
from msda_analysis.models.densenet import DenseNetBC
from msda_analysis.models.normalized import Normalized
from msda_analysis.models.preact_resnet import PreActResNet18
from msda_analysis.models.pyramidnet import PyramidNet
from msda_analysis.models.small_cnn import SmallCNN
from msda_analysis.models.vae import VAE
from msda_analysis.models.vgg import VGG11
from msda_analysis.models.wide_resnet import WideResNet28
from msda_analysis.rng import derive_key


def _vae(num_classes: int, in_channels: int, **options: Any) -> VAE:
    """A VAE has no classes; the argument is accepted so that every model is created alike."""
    return VAE(in_channels, **options)


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "preact_resnet18": PreActResNet18,
    "wide_resnet28_10": WideResNet28,
    "densenet190": DenseNetBC,
    "pyramidnet272": PyramidNet,
    "vgg11_bn": VGG11,
    "small_cnn": SmallCNN,
    "vae": _vae,
}

#: Names that create() knows.
NAMES = tuple(_BUILDERS)

_OPTIONS_OF: dict[str, Callable[..., nn.Module]] = {**_BUILDERS, "vae": VAE}


def create(
    name: str, num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None, **options: Any
) -> nn.Module:
    """A new, untrained model.

    The model remembers how it was made, in `model.name` and `model.options`: `create(model.name, **model.options)`
    makes another of the same shape.

    Args:
        name: one of NAMES.
        num_classes: number of logits; without effect for "vae".
        in_channels: channels of the images.
        seed: the weights are drawn on the CPU from this seed, the same every time, and torch's own generators are left
            as they were. None: drawn from torch's default generator.
        options: further keywords of the model's class, for example latent=32 for "vae".

    Raises:
        ValueError: unknown name, or a value out of its range.
        TypeError: an option that the model does not have.

    >>> create("small_cnn", seed=0).name
    'small_cnn'
    """
    checks.check_choice("name", name, NAMES)
    _check_options(name, options)
    options = {"num_classes": num_classes, "in_channels": in_channels, **options}
    if seed is None:
        model = _BUILDERS[name](**options)
    else:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            # not torch.manual_seed: that would seed every GPU too
            torch.default_generator.manual_seed(derive_key(int(seed), "init"))
            model = _BUILDERS[name](**options)
    model.name, model.options = name, options  # type: ignore[assignment]
    return model


def check_classes(model: nn.Module, classes: Sequence[str], name: str = "model") -> None:
    """Raise ValueError unless a classifier made by create(), alone or inside Normalized, has one logit per class.

    Args:
        classes: of the dataset that the model meets.
        name: what the error calls the model, for example its file.
    """
    network = model.network if isinstance(model, Normalized) else model
    options: dict[str, Any] = network.options  # type: ignore[assignment]
    if options["num_classes"] != len(classes):
        shown = ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")
        raise ValueError(
            f"{name}: expected a classifier of {len(classes)} classes, those of the dataset ({shown}); "
            f"got one of {options['num_classes']}; take the dataset that it was trained on"
        )


def _check_options(name: str, options: dict[str, Any]) -> None:
    known = set(inspect.signature(_OPTIONS_OF[name]).parameters) - {"num_classes", "in_channels"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"options: model {name!r} takes {', '.join(sorted(known)) or 'none'}; got {', '.join(unknown)}")
