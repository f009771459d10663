"""A model held still while it is measured: eval mode, no gradients of its parameters, and everything put back after."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(*models: nn.Module) -> Iterator[None]:
    """Models in eval mode and without parameter gradients inside, exactly as they were afterwards, module by module.

    What differentiates with respect to pixels, as attacks do, saves a good part of every backward pass by leaving the
    weights out, and `parameter.grad` stays untouched. Whoever needs no gradient at all adds torch.no_grad().
    """
    modes = [(module, module.training) for model in models for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for model in models for parameter in model.parameters()]
    try:
        for model in models:
            model.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, keeps_gradient in wanted:
            parameter.requires_grad_(keeps_gradient)
