"""Which layer's maps to look at: found by running the network, as what a class is made of stands in its forward pass."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from msda_analysis.checks import check_image_batch
from msda_analysis.models.dimensions import CONVOLUTIONS
from msda_analysis.models.frozen import frozen
from msda_analysis.models.zoo import network_of

_NAMED = 8  # layers that an error lists


class NoFeatureMap(ValueError):
    """A network without a convolutional feature map of more than one position, which Grad-CAM has nothing to show of."""


@dataclass(frozen=True)
class _Output:
    """What a module returned: its sizes along the images' axes, None where it is no map of them."""

    name: str
    module: nn.Module
    positions: tuple[int, ...] | None


def find_layer(model: nn.Module, images: Tensor, name: str | None = None) -> str:
    """The layer whose maps are looked at, by its name among the modules of the network (the one inside Normalized).

    By default the last convolutional feature map, as the method's authors advise: the output of the last module in the
    forward pass that is or holds a convolution, is a map [n, channel, *positions] with as many axes as the images, no larger
    than these, and has more than one position; or of the modules that follow it without changing its shape (batch
    normalization, ReLU), but pooling. Of "small_cnn" that is "features", of a ResNet "layer4".

    Args:
        model: maps images to logits; it is run on the first image, in eval mode.
        images: [n, channel, *size] float, of one to three lengths.
        name: a layer to take instead, such as "layer3" or "features.8".

    Raises:
        NoFeatureMap: no name, and the network has no such map.
        ValueError: no such layer, or one whose output is no map with more than one position.

    Source: Selvaraju et al. 2017 (arXiv 1610.02391), section 3.
    """
    check_image_batch(images)
    outputs = _run(model, images[:1])
    maps = [each.name for each in outputs if each.positions]
    if name is None:
        return _last_feature_map(outputs)
    if name not in maps:
        listed = ", ".join(map(repr, maps[-_NAMED:])) or "none"
        raise ValueError(
            f"layer: expected a module of {type(network_of(model)).__name__} whose output is a map [n, channel, *positions] "
            f"of more than one position, in order of the forward pass ending with {listed}; got {name!r}"
        )
    return name


def _last_feature_map(outputs: list[_Output]) -> str:
    convolutional = [i for i, each in enumerate(outputs) if each.positions and _holds_convolution(each.module)]
    if not convolutional:
        raise NoFeatureMap(
            "model: expected a network with a convolutional feature map of more than one position, got none; name a layer "
            "whose output is a map [n, channel, *positions]"
        )
    last = outputs[convolutional[-1]]
    for each in outputs[convolutional[-1] + 1 :]:
        if each.positions != last.positions or "Pool" in type(each.module).__name__:
            break
        last = each
    return last.name


def _holds_convolution(module: nn.Module) -> bool:
    return any(isinstance(part, CONVOLUTIONS) for part in module.modules())


def _run(model: nn.Module, image: Tensor) -> list[_Output]:
    """What the network's modules return for one image, in the order in which they finish."""
    outputs: list[_Output] = []

    def look(name: str):
        return lambda module, _, result: outputs.append(_Output(name, module, _positions(result, image)))

    network = network_of(model)
    handles = [module.register_forward_hook(look(name)) for name, module in network.named_modules() if name]
    try:
        with frozen(model), torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def _positions(result: object, image: Tensor) -> tuple[int, ...] | None:
    if not isinstance(result, Tensor) or result.ndim != image.ndim:
        return None
    size = tuple(result.shape[2:])
    fits = all(one <= most for one, most in zip(size, image.shape[2:], strict=True))  # channels may stand last
    return size if fits and result[0, 0].numel() > 1 else None
