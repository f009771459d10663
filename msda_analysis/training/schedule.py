"""The learning rate over a training."""

import math

import torch

from msda_analysis.training.settings import LoopSettings

#: Of the peak, where "linear" starts and ends.
_LINEAR_ENDS = (0.2, 0.07)


def lr_factor(settings: LoopSettings, epoch: float) -> float:
    """Share of the peak learning rate at a (fractional) epoch."""
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "steps":
        return 0.1 ** sum(epoch >= drop for drop in settings.drops)
    done, warm_up = epoch / settings.epochs, settings.warm_up
    if settings.schedule == "decay":
        return 1 - done
    if settings.schedule == "linear":
        return _linear(done, warm_up)
    if done < warm_up:
        return (done + 1e-3) / (warm_up + 1e-3)  # the very first step is small, not zero
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _linear(done: float, warm_up: float) -> float:
    """Up to 1 and down again, as Jordan 2024 (arXiv 2404.00498)."""
    start, end = _LINEAR_ENDS
    if done < warm_up:
        return start + (1 - start) * done / warm_up
    return 1 - (1 - end) * (done - warm_up) / (1 - warm_up)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each group of parameters this rate, times its own "rate" where it has one."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("rate", 1.0)
