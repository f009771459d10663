"""Models by name or text."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import nn

from msda_analysis.models.normalized import Normalized
from msda_analysis.models.others import find_other, other_settings
from msda_analysis.models.own_vae import OwnVae
from msda_analysis.rng import derive_key
from msda_analysis.texts import Call, parse_call

#: The files of this folder that hold networks, in the order in which these are listed. To add one, write its file, with a
#: table NETWORKS: name -> class or function of num_classes, in_channels and further options, and its line here.
FILES = (
    "preact_resnet",
    "wide_resnet",
    "densenet",
    "pyramidnet",
    "vgg",
    "small_cnn",
    "fast_cnn",
    "vae",
)
NETWORKS: dict[str, Callable[..., nn.Module]] = {}
for _file in FILES:
    NETWORKS |= import_module(f"{__package__}.{_file}").NETWORKS
#: Names that create() knows.
NAMES = tuple(NETWORKS)
CLASSIFIERS = tuple(name for name in NAMES if name != "vae")


class Origin(NamedTuple):
    """How a model was made: create(name, **options) makes another of the same shape.

    Attributes:
        name: of NAMES, "torchvision:NAME", "timm:NAME" or "module:function".
        options: num_classes, in_channels and whatever else was set.
    """

    name: str
    options: dict[str, Any]


def create(
    name: str, num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None, **options: Any
) -> nn.Module:
    """A new, untrained model.

    The model remembers how it was made, see origin_of; those of NAMES in `model.name` and `model.options` as well.

    Args:
        name: one of NAMES; "torchvision:resnet18" or another of torchvision's, whose first convolution is made anew for
            other than three channels; "timm:NAME" where timm is installed; or "my_nets:build", a function or class of
            yours, in a module that is importable or in the current directory. Each may have options in parentheses,
            "my_nets:build(width=2)": literals, nothing is evaluated.
        num_classes: number of logits; without effect for "vae", and for code of yours that does not take it.
        in_channels: channels of the images; without effect for code of yours that does not take it.
        seed: the weights are drawn on the CPU from this seed, the same every time, and torch's own generators are left
            as they were. None: drawn from torch's default generator.
        options: further keywords of the model's class, for example latent=32 for "vae".

    Raises:
        ValueError: unknown name, a package that is missing, or a value out of its range.
        TypeError: an option that the model does not have, or code of yours that returns no module.

    >>> create("small_cnn", seed=0).name
    'small_cnn'
    """
    call = parse_network(name)
    make = NETWORKS[call.name] if not call.module else find_other(call, name)
    options = {**call.settings, **options}
    if not call.module:
        _check_options(call.name, options)
    options = {"num_classes": num_classes, "in_channels": in_channels, **options}
    takes = inspect.signature(make).parameters if not call.module else options  # a VAE has no classes
    make = partial(make, **{option: value for option, value in options.items() if option in takes})
    if seed is None:
        model = make()
    else:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            # not torch.manual_seed: that would seed every GPU too
            torch.default_generator.manual_seed(derive_key(int(seed), "init"))
            model = make()
    if not call.module:
        model.name, model.options = call.name, options  # type: ignore[assignment]
    # a network of somebody else may use those two names itself
    model._msda_origin = Origin(network_name(name), options)  # type: ignore[assignment]
    return model


def parse_network(text: str) -> Call:
    """What a model's text says: module ("" for NAMES), name and options.

    Raises:
        ValueError: an unknown name, or no such text.
    """
    call = parse_call(text, what="model")
    if call is None or (not call.module and call.name not in NETWORKS):
        raise ValueError(_expected(NAMES, text))
    return call


def network_settings(text: str) -> dict[str, Any]:
    """What, beside its text, numbers of this network are known by, as plain values: the code of one of yours.

    Raises:
        ValueError: as create, or the source of your code cannot be read.
    """
    call = parse_network(text)
    return other_settings(call, text) if call.module else {}


def network_name(text: str) -> str:
    """A network's text without its options: what name_of() calls the model that create() makes of it."""
    call = parse_network(text)
    return f"{call.module}:{call.name}" if call.module else call.name


def check_network(text: str) -> None:
    """Raise ValueError unless create() finds a classifier by this text; nothing is built."""
    call = parse_network(text)
    if not call.module and call.name == "vae":
        raise ValueError(_expected(CLASSIFIERS, text))
    if call.module:
        find_other(call, text)


def network_of(model: nn.Module) -> nn.Module:
    """The network inside Normalized or OwnVae, or the model itself."""
    return model.network if isinstance(model, (Normalized, OwnVae)) else model


def origin_of(model: nn.Module) -> Origin | None:
    """How create() made a model, alone or inside Normalized or OwnVae; None for any other."""
    return getattr(network_of(model), "_msda_origin", None)


def name_of(model: nn.Module) -> str:
    """What tables call a model: the name that it was created by, else its class."""
    origin = origin_of(model)
    return type(network_of(model)).__name__ if origin is None else origin.name


def check_classes(model: nn.Module, classes: Sequence[str], name: str = "model") -> None:
    """Raise ValueError unless a classifier made by create(), alone or inside Normalized, has one logit per class.

    Of a model made elsewhere nothing is known before it is run; evaluate() looks then.

    Args:
        classes: of the dataset that the model meets.
        name: what the error calls the model, for example its file.
    """
    origin = origin_of(model)
    if origin is not None and origin.options["num_classes"] != len(classes):
        shown = ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")
        raise ValueError(
            f"{name}: expected a classifier of {len(classes)} classes, those of the dataset ({shown}); "
            f"got one of {origin.options['num_classes']}; take the dataset that it was trained on"
        )


def _expected(names: Sequence[str], text: str) -> str:
    return (
        f"model: expected one of {', '.join(map(repr, names))}, 'torchvision:NAME', 'timm:NAME', or a function or class of "
        f"yours such as 'my_nets:build(width=2)'; got {text!r}"
    )


def _check_options(name: str, options: dict[str, Any]) -> None:
    known = set(inspect.signature(NETWORKS[name]).parameters) - {"num_classes", "in_channels"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"options: model {name!r} takes {', '.join(sorted(known)) or 'none'}; got {', '.join(unknown)}")
