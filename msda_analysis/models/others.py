"""Networks from outside the package: torchvision's and timm's by name, and functions or classes of your own."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from msda_analysis.source import own_identity
from msda_analysis.texts import Call, find_own


def find_other(call: Call, text: str) -> Callable[..., nn.Module]:
    """What makes the network of "torchvision:NAME", "timm:NAME" or "my_nets:build", given num_classes, in_channels, options.

    Args:
        call: with a module.
        text: as the user wrote it, for errors.

    Raises:
        ValueError: it cannot be found, or is nothing to call.
    """
    if call.module in _LIBRARIES:
        return partial(_LIBRARIES[call.module], call.name)
    found = find_own(call, text, what="model")
    if not callable(found) or isinstance(found, nn.Module):
        raise ValueError(
            f"model: expected {call.module}:{call.name} to be a function or class that makes a torch.nn.Module, got "
            f"{type(found).__name__}; a module that exists already is given as fit_classifier(..., network=module)"
        )
    return partial(_make_own, found, text)


def is_library(module: str) -> bool:
    """Whether names of this module are those of a library's table of models, and not any code."""
    return module in _LIBRARIES


def other_settings(call: Call, text: str) -> dict[str, Any]:
    """What, beside its text, tells a network of your own from others under the same text: its module, name and code.

    Raises:
        ValueError: it cannot be found, or its source cannot be read.
    """
    return {} if is_library(call.module) else {"network": own_identity(find_own(call, text, what="model"))}


def _make_own(make: Callable[..., Any], text: str, **options: Any) -> nn.Module:
    """The user's network; num_classes and in_channels are given to it as far as it takes them."""
    takes = inspect.signature(make).parameters
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values()):
        optional = {"num_classes", "in_channels"} - set(takes)
        options = {name: value for name, value in options.items() if name not in optional}
    try:
        inspect.signature(make).bind(**options)
    except TypeError as error:
        raise TypeError(f"model: {text!r} does not take {options}: {error}") from error
    network = make(**options)
    if not isinstance(network, nn.Module):
        raise TypeError(f"model: expected {text!r} to return a torch.nn.Module, got {type(network).__name__}")
    return network


def _make_torchvision(name: str, num_classes: int, in_channels: int, **options: Any) -> nn.Module:
    from torchvision.models import get_model, list_models

    if name not in list_models():
        raise ValueError(f"model: expected a name of torchvision.models.list_models(), got {name!r}")
    if "weights" in options:
        raise ValueError(
            "weights: torchvision's are for its own classes; take models.create without them, then models.load_state"
        )
    return _take_channels(get_model(name, weights=None, num_classes=num_classes, **options), name, in_channels)


def _take_channels(network: nn.Module, name: str, in_channels: int) -> nn.Module:
    """A network for color pictures with its first convolution made anew for so many channels."""
    if in_channels == 3:
        return network
    found = next(((place, part) for place, part in network.named_modules() if isinstance(part, nn.Conv2d)), None)
    if found is None or found[1].in_channels != 3:
        raise ValueError(f"in_channels: torchvision's {name} takes 3 channels only, got {in_channels}")
    place, old = found
    new = nn.Conv2d(
        in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )  # fmt: skip
    network.set_submodule(place, new)
    return network


def _make_timm(name: str, num_classes: int, in_channels: int, **options: Any) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ValueError(f"model: 'timm:{name}' needs the package timm; install it (pip install timm)") from error
    if not timm.is_model(name):
        raise ValueError(f"model: expected a name of timm.list_models(), got {name!r}")
    return timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=in_channels, **options)


_LIBRARIES: dict[str, Callable[..., nn.Module]] = {"torchvision": _make_torchvision, "timm": _make_timm}
