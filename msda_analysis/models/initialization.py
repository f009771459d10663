"""Initial weights: what several networks share."""

from collections.abc import Iterator

from torch import nn


def initialize_fan_out(network: nn.Module) -> None:
    """Draw convolutions from N(0, 2 / fan out) and zero the linear biases.

    Source: He et al. 2015 (arXiv 1502.01852), in the form that the residual networks' authors use.
    """
    for module in modules_to_draw(network):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def modules_to_draw(network: nn.Module) -> Iterator[nn.Module]:
    """Modules whose own weights have memory.

    A normal draw on the meta device does nothing, but torch imports its whole compiler for it, which takes seconds.
    """
    for module in network.modules():
        if not any(parameter.is_meta for parameter in module.parameters(recurse=False)):
            yield module
