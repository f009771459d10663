"""A Gaussian copula first, a critic for what it misses: easy dependence costs the critic nothing."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.information.fitting import CriticFit, make_mlp
from msda_analysis.information.gaussian import GaussianRatio, estimate_gaussian, fit_gaussian_ratio
from msda_analysis.information.neural import cross_evaluate, dv_terms, fit_critic, js_loss, wrong_pairs
from msda_analysis.information.ranks import NormalScores
from msda_analysis.rng import derive_key


class ResidualCritic(nn.Module):
    """Log density ratio of a fitted normal plus a network on canonical variates and their log norms; starts at zero."""

    def __init__(self, ratio: GaussianRatio, hidden: int, seed: int):
        super().__init__()
        self.nats = ratio.nats
        self.cross, self.own = (torch.as_tensor(weights, dtype=torch.float32) for weights in ratio.weights())
        n_in = len(ratio.mean_x) + len(ratio.mean_z) + 2
        self.body = make_mlp(n_in, hidden, 1, seed=seed, zero_last=True)

    def gaussian(self, u: Tensor, v: Tensor) -> Tensor:
        """[n] log ratio of the normal."""
        rank = len(self.cross)
        a, b = u[:, :rank], v[:, :rank]
        return self.nats + (self.cross * a * b - self.own * (a.square() + b.square())).sum(dim=1)

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """[n] correction."""
        norms = [part.square().sum(dim=1, keepdim=True).add(0.1).log() for part in (u, v)]
        return self.body(torch.cat([u, v, *norms], dim=1))[:, 0]


def estimate_with_residual(x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> tuple[Estimate, Estimate]:
    """The Gaussian-copula estimate, and what a critic on held-out halves adds to it.

    The sum is a Donsker-Varadhan value in which the normal's part is taken from all samples, without bias.

    Args:
        x, z: [n, dim_x] and [n, dim_z] float64, paired samples.
        seed: stream seed.
        fit: training settings.

    Returns:
        the copula's Estimate and the addition's, in nats; the addition may be negative.
    """
    gains: list[float] = []

    def evaluate(train: tuple, test: tuple, fold_seed: int) -> tuple[Tensor, dict]:
        maps = [NormalScores(part) for part in train]
        train, test = (tuple(apply(part) for apply, part in zip(maps, half, strict=True)) for half in (train, test))
        ratio = fit_gaussian_ratio(*train)
        train, test = (
            tuple(torch.as_tensor(part, dtype=torch.float32) for part in ratio.variates(*half))
            for half in (train, test)
        )
        critic = ResidualCritic(ratio, fit.hidden, fold_seed)

        def score(data: tuple, partner: Tensor | None) -> Tensor:
            u, v = data[0], data[1] if partner is None else data[1][partner]
            return critic.gaussian(u, v) + critic(u, v)

        terms, notes = fit_critic(score, critic, train, test, js_loss, "mine", fold_seed, fit)
        with torch.no_grad():
            wrong = wrong_pairs(len(test[0]), 20, derive_key(fold_seed, "gain"))
            product = torch.stack([score(test, row) for row in wrong], dim=1).double()
            gains.extend(dv_terms(critic(*test).double(), product).tolist())
        return terms, notes

    whole = cross_evaluate(x, z, evaluate, seed)
    assert whole.high is not None
    half_width = whole.high - whole.value
    gain = mean_estimate(gains, "nats")
    details = {**whole.details, "held_out_nats": whole.value, "half_width": half_width}
    gain = replace(gain, details=details, warnings=whole.warnings)
    return estimate_gaussian(x, z, ranks=True), gain
