"""What any network's layers give, by the layers' names, for layer_information and whatever else looks inside."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.checks import check_count, check_image_batch
from msda_analysis.models.frozen import frozen


def layer_features(
    network: nn.Module, images: Tensor, layers: Sequence[str], *, batch_size: int = 500
) -> dict[str, Tensor]:
    """Outputs of a network's layers for all images, in evaluation mode; the network is left as it was.

    Args:
        network: any module; nothing of it is changed.
        images: [n, channel, *size] float, as the network takes them, on its device.
        layers: names as of network.named_modules(), such as "layer3.1" or "features.4". Of a layer that runs several times
            in a pass, the last output counts.
        batch_size: images per pass; changes memory only.

    Returns:
        By layer, in the order given, [n, ...] on the network's device: what layer_information takes, where it is a map
        [n, channel, height, width] or a vector [n, unit]; flatten(1) makes a vector of anything else.

    Raises:
        TypeError: `images` is no float batch, or a layer gives something else than a tensor.
        ValueError: no layer of such a name, one that does not run, or batch_size < 1.
    """
    check_image_batch(images)
    check_count("batch_size", batch_size)
    modules = _named(network, layers)
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    last: dict[str, Any] = {}
    hooks = [
        # a copy: the next layer may work in place
        module.register_forward_hook(lambda _, __, output, name=name: last.update({name: _copied(name, output)}))
        for name, module in modules.items()
    ]
    try:
        with frozen(network), torch.no_grad():
            for batch in images.split(batch_size):
                last.clear()
                network(batch)
                _collect(found, last)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(parts) for name, parts in found.items()}


def _named(network: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    if isinstance(layers, str) or not len(layers):
        raise ValueError(f"layers: expected a list of at least one name, got {layers!r}")
    known = {name: module for name, module in network.named_modules() if name}
    for name in layers:
        if name not in known:
            shown = ", ".join(list(known)[:12]) + (", ..." if len(known) > 12 else "")
            raise ValueError(f"layers: expected names of network.named_modules(), such as {shown}; got {name!r}")
    return {name: known[name] for name in layers}


def _copied(name: str, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise TypeError(f"layers: {name!r} gives a {type(output).__name__}, expected a tensor; take a layer inside it")
    return output.detach().clone()


def _collect(found: dict[str, list[Tensor]], last: dict[str, Tensor]) -> None:
    for name, parts in found.items():
        if name not in last:
            raise ValueError(f"layers: {name!r} does not run in a forward pass; take another")
        parts.append(last[name])
