"""Initial weights that several networks share."""

from torch import nn


def initialize_fan_out(network: nn.Module) -> None:
    """Draw convolutions from N(0, 2 / fan out) and zero the linear biases.

    Source: He et al. 2015 (arXiv 1502.01852), in the form that the residual networks' authors use.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
