"""Models by name."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import nn

from msda_analysis import checks
from msda_analysis.models.normalized import Normalized
from msda_analysis.rng import derive_key

#: The files of this folder that hold networks, in the order in which these are listed. To add one, write its file, with a
#: table NETWORKS: name -> class or function of num_classes, in_channels and further options, and its line here.
FILES = (
    "preact_resnet",
    "wide_resnet",
    "densenet",
    "pyramidnet",
    "vgg",
    "small_cnn",
    "vae",
)
NETWORKS: dict[str, Callable[..., nn.Module]] = {}
for _file in FILES:
    NETWORKS |= import_module(f"{__package__}.{_file}").NETWORKS
#: Names that create() knows.
NAMES = tuple(NETWORKS)


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
    takes = inspect.signature(NETWORKS[name]).parameters  # a VAE has no classes
    make = partial(NETWORKS[name], **{option: value for option, value in options.items() if option in takes})
    if seed is None:
        model = make()
    else:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            # not torch.manual_seed: that would seed every GPU too
            torch.default_generator.manual_seed(derive_key(int(seed), "init"))
            model = make()
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
    known = set(inspect.signature(NETWORKS[name]).parameters) - {"num_classes", "in_channels"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"options: model {name!r} takes {', '.join(sorted(known)) or 'none'}; got {', '.join(unknown)}")
