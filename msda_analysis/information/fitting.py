"""Training of critics and density networks: one loop, early stopping on held-out samples, the best weights kept."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from msda_analysis.checks import check_count, check_positive
from msda_analysis.estimate import Estimate
from msda_analysis.rng import derive_key, generator_from_key


@dataclass(frozen=True)
class CriticFit:
    """How a critic is trained.

    Attributes:
        hidden: units of each of the two hidden layers.
        learning_rate: Adam's.
        batch_size: samples per step.
        max_steps: steps at most.
        check_every: steps between looks at the held-out samples.
        patience: looks without a better one before training stops.
    """

    hidden: int = 128
    learning_rate: float = 1e-3
    batch_size: int = 256
    max_steps: int = 1500
    check_every: int = 25
    patience: int = 8

    def __post_init__(self):
        check_positive("learning_rate", self.learning_rate)
        for name in ("hidden", "max_steps", "check_every", "patience"):
            check_count(name, getattr(self, name))
        check_count("batch_size", self.batch_size, 2)


#: (x [n, dim_x] float64, z [n, dim_z] float64, seed, training of the critics) -> estimate in nats.
Estimator = Callable[[np.ndarray, np.ndarray, int, CriticFit], Estimate]


def fit_best(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    score: Callable[[], Tensor | float],
    *,
    n: int,
    fit: CriticFit,
    seed: int,
) -> dict[str, float]:
    """Train a module in place and leave it at the weights that scored best; the untrained ones compete too.

    Args:
        module: what is trained.
        loss: called with the indices of a batch, gives the loss to minimize.
        score: the higher the better, on samples that are not trained on.
        n: how many training samples the indices run over.
        fit: settings.
        seed: stream seed of the batches.

    Returns:
        "steps" taken, "best_step", "seconds", "best_score".
    """
    start, generator = time.perf_counter(), generator_from_key(derive_key(seed, "fit_best/batches"))
    optimizer = torch.optim.Adam(module.parameters(), lr=fit.learning_rate, foreach=True)  # same numbers, fewer calls
    best = {"score": _score(score), "step": 0, "weights": copy.deepcopy(module.state_dict())}
    step = 0
    while step < fit.max_steps and step - best["step"] < fit.patience * fit.check_every:
        order = torch.randperm(n, generator=generator)
        for rows in order[: max(len(order) - len(order) % fit.batch_size, min(fit.batch_size, n))].split(
            fit.batch_size
        ):
            optimizer.zero_grad(set_to_none=True)
            loss(rows).backward()
            optimizer.step()
            step += 1
            if step % fit.check_every == 0 and (now := _score(score)) > best["score"]:
                best = {"score": now, "step": step, "weights": copy.deepcopy(module.state_dict())}
            if step == fit.max_steps:
                break
    module.load_state_dict(best["weights"])
    seconds = time.perf_counter() - start
    return {"steps": step, "best_step": best["step"], "seconds": seconds, "best_score": best["score"]}


def make_mlp(n_in: int, hidden: int, n_out: int, *, seed: int, zero_last: bool = False) -> nn.Sequential:
    """Two hidden ReLU layers; weights drawn from `seed` alone, the last layer zero if asked for."""
    last = nn.Linear(hidden, n_out)
    mlp = nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last)
    initialize(mlp, seed)
    if zero_last:
        nn.init.zeros_(last.weight)
    return mlp


def initialize(module: nn.Module, seed: int) -> None:
    """Kaiming-uniform weights and zero biases of all linear and convolutional layers, from `seed` alone."""
    generator = generator_from_key(derive_key(seed, "initialize"))
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run small networks on one CPU thread: sharing such work costs more time than it saves, and moves the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _score(score: Callable[[], Tensor | float]) -> float:
    with torch.no_grad():
        return float(score())
