"""A network with random weights in place of the trained ones: what its maps share with the trained one's was not learned."""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import nn

from msda_analysis.rng import derive_key, stream


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of a network with all weights drawn anew, as before training; the network itself is left as it was.

    Each layer is drawn as its class draws it when it is made (reset_parameters), batch statistics are those before training.
    Parameters that belong to no such layer keep their values in a random order.

    Args:
        model: any network.
        seed: the draws are a function of it, the same on every device; torch's own generators are left as they were.

    Source: the model parameter randomization test of Adebayo et al. 2018 (arXiv 1810.03292), all layers at once.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    copy = deepcopy(model).cpu()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_key(int(seed), "randomized weights"))
        for module in copy.modules():
            if _draws_itself(module):
                module.reset_parameters()  # type: ignore[operator]
    generator = stream(seed, "shuffled weights")
    with torch.no_grad():
        for parameter in _left_over(copy):
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return copy.to(device)


def _draws_itself(module: nn.Module) -> bool:
    return callable(getattr(module, "reset_parameters", None))


def _left_over(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        if not _draws_itself(module):
            yield from module.parameters(recurse=False)
