"""Averages of the weights over a training."""

import torch
from torch import Tensor, nn

from msda_analysis.training.settings import LoopSettings


class Lookahead:
    """A slow copy of weights and running statistics, and the weights made equal to it every five steps and after the last.

    The copy moves all the way to the weights at first, and less and less of it later: it keeps 0.95^5 done^3 of itself, where
    done is the share of the training that is over.

    Source: Zhang et al. 2019 (arXiv 1907.08610), with the decay of Jordan 2024 (arXiv 2404.00498).
    """

    EVERY = 5

    def __init__(self, model: nn.Module) -> None:
        self.slow = {name: value.clone() for name, value in _averaged(model)}

    @torch.no_grad()
    def after_step(self, model: nn.Module, n_done: int, n_steps: int) -> None:
        """Average where it is time to, after n_done of n_steps steps of the training."""
        if n_done % self.EVERY and n_done < n_steps:
            return
        kept = 0.95**self.EVERY * (n_done / n_steps) ** 3
        for name, value in _averaged(model):
            value.copy_(self.slow[name].lerp_(value, 1 - kept))

    @torch.no_grad()
    def load(self, slow: dict[str, Tensor]) -> None:
        """Take the slow copy of a training that goes on."""
        for name, value in self.slow.items():
            value.copy_(slow[name])


def make_average(settings: LoopSettings, model: nn.Module) -> Lookahead | None:
    """What averages the weights of a training with these settings, if anything does."""
    return Lookahead(model) if settings.averaging == "lookahead" else None


def _averaged(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Weights and buffers, without counters."""
    values = [*model.named_parameters(), *model.named_buffers()]
    return [(name, value.detach()) for name, value in values if value.is_floating_point()]
