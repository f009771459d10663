"""Normalizing flows on top of a fitted normal: densities of codes that are not normal, for tighter upper bounds."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from msda_analysis.information.fitting import CriticFit, fit_best, make_mlp, one_thread
from msda_analysis.information.marginals import Codes, Gaussian, fit_full
from msda_analysis.information.neural import split_validation
from msda_analysis.rng import derive_key, generator_from_key, numpy_from_key

_LAYERS = 4
_HASTE = 5.0  # how much faster than the networks the bumps learn
_BUMPS = 6  # places of a coordinate at which its slope is learned
_LARGEST_LOG_SCALE = 1.0
_DRAWS = 2  # codes drawn from every image's Gaussian to evaluate with

#: How a flow is trained unless told otherwise.
FLOW_FIT = CriticFit(hidden=64, learning_rate=4e-3, batch_size=512, max_steps=500, check_every=25, patience=8)


class Flow(nn.Module):
    """Invertible map of points to where they are standard normal; the identity before training.

    Each layer stretches every coordinate by a monotone function of itself, then shifts and scales one half of the
    coordinates by a network that sees the other half.

    Args:
        dim: of the points.
        hidden: units of the networks.
        seed: stream seed of the weights and of the halves.
    """

    def __init__(self, dim: int, hidden: int, seed: int):
        super().__init__()
        turns = numpy_from_key(derive_key(seed, "flow/halves"))
        orders = [torch.as_tensor(turns.permutation(dim)) for _ in range(_LAYERS)]
        # a single coordinate has no other half to be scaled by
        orders = orders if dim > 1 else []
        couplings = (Coupling(order, hidden, derive_key(seed, "flow/layer", i)) for i, order in enumerate(orders))
        self.layers = nn.ModuleList([Stretch(dim), *couplings])

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Mapped points [n, dim] and the log determinant of the map, [n]."""
        total = points.new_zeros(len(points))
        for layer in self.layers:
            points, log_scale = layer(points)
            total = total + log_scale
        return points, total

    def log_gain(self, points: Tensor) -> Tensor:
        """Log density less that of the standard normal, [n] nats."""
        mapped, log_scale = self(points)
        return log_scale + 0.5 * (points.square() - mapped.square()).sum(dim=1)


class Stretch(nn.Module):
    """Each coordinate by a monotone function: slope 1 plus bumps, which cannot take it below 0; then a scale."""

    def __init__(self, dim: int):
        super().__init__()
        places = torch.linspace(-2.5, 2.5, _BUMPS).repeat(dim, 1)
        self.places, self.heights = nn.Parameter(places), nn.Parameter(torch.zeros(dim, _BUMPS))
        self.log_width, self.log_scale = nn.Parameter(torch.zeros(dim, _BUMPS)), nn.Parameter(torch.zeros(dim))

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Mapped points and log determinant."""
        rise = (_HASTE * self.heights).expm1() / _BUMPS  # above -1 / _BUMPS each
        width = self.log_width.exp()
        bent = torch.tanh((points[:, :, None] - self.places) / width)
        slope = 1 + ((1 - bent.square()) * rise).sum(dim=2)
        moved = points + (bent * rise * width).sum(dim=2)
        return moved * self.log_scale.exp(), slope.log().sum(dim=1) + self.log_scale.sum()


class Coupling(nn.Module):
    """Second half of `order`, shifted and scaled by a network of the first half."""

    def __init__(self, order: Tensor, hidden: int, seed: int):
        super().__init__()
        self.seen, self.moved = order.tensor_split([len(order) // 2])
        self.body = make_mlp(len(self.seen), hidden, 2 * len(self.moved), seed=seed, zero_last=True)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Mapped points and log determinant."""
        # not points[:, self.seen], whose gradient is added up one element at a time
        shift, raw = self.body(points.index_select(1, self.seen)).chunk(2, dim=1)
        log_scale = _LARGEST_LOG_SCALE * torch.tanh(raw / _LARGEST_LOG_SCALE)
        moved = points.index_select(1, self.moved) * log_scale.exp() + shift
        return points.index_copy(1, self.moved, moved), log_scale.sum(dim=1)


@dataclass(frozen=True)
class FlowDensity:
    """A flow in the whitened coordinates of a Gaussian."""

    base: Gaussian
    flow: Flow

    def expected_log_density(self, codes: Codes, seed: int = 0) -> np.ndarray:
        """E log m(z) for each image: exact for the base, plus drawn differences between flow and base; [n] nats."""
        z = self.base.whiten(codes.sample(numpy_from_key(derive_key(seed, "flow/evaluate")), _DRAWS))
        with torch.no_grad(), one_thread():
            gains = [self.flow.log_gain(torch.as_tensor(draw, dtype=torch.float32)).double().numpy() for draw in z]
        return self.base.expected_log_density(codes) + np.mean(gains, axis=0)


def fit_flow(codes: Codes, seed: int, fit: CriticFit = FLOW_FIT) -> FlowDensity | Gaussian:
    """Fit a flow by maximum likelihood to codes that are drawn anew in every step; a fifth of the images says when to stop.

    Args:
        codes: the images to fit on, in random order.
        seed: stream seed of weights, draws and batches.
        fit: training.

    Returns:
        The density; the full Gaussian fitted to all images where no step improved on it.

    Source: Dinh et al. 2017 (arXiv 1605.08803) for the couplings.
    """
    rows_train, rows_held = (rows.numpy() for rows in split_validation(len(codes)))
    base, inner = fit_full(codes[rows_train]), codes[rows_train]
    flow = Flow(codes.loc.shape[1], fit.hidden, seed)
    loc = torch.as_tensor(base.whiten(inner.loc), dtype=torch.float32)
    std, factor = (torch.as_tensor(part, dtype=torch.float32) for part in (np.sqrt(inner.var), base.factor))
    held = base.whiten(codes[rows_held].sample(numpy_from_key(derive_key(seed, "flow/held-out")), _DRAWS))
    held = torch.as_tensor(held.reshape(-1, held.shape[-1]), dtype=torch.float32)
    generator = generator_from_key(derive_key(seed, "flow/draws"))

    def loss(rows: Tensor) -> Tensor:
        noise = torch.randn(len(rows), loc.shape[1], generator=generator)
        return -flow.log_gain(loc[rows] + (std[rows] * noise) @ factor).mean()

    with one_thread():
        notes = fit_best(flow, loss, lambda: flow.log_gain(held).mean(), n=len(inner), fit=fit, seed=seed)
    return FlowDensity(base, flow) if notes["best_step"] else fit_full(codes)
