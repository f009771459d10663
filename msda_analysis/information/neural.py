"""Variational estimators: a critic is trained on one half of the samples and evaluated on the other, both ways round."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from msda_analysis.checks import check_choice, check_count
from msda_analysis.estimate import Bound, Estimate, mean_estimate
from msda_analysis.information.ceiling import NEAR_CEILING
from msda_analysis.information.fitting import CriticFit, fit_best, make_mlp, one_thread
from msda_analysis.information.ranks import NormalScores
from msda_analysis.rng import derive_key, generator_from_key, numpy_from_key

_SMILE_CLIP = 5.0  # nats
_N_SHIFTS = 20  # how many wrong partners each evaluated sample gets
_MINIMUM_SAMPLES = 64


class JointCritic(nn.Module):
    """Score of a pair from a network that sees both members."""

    def __init__(self, dim_x: int, dim_z: int, hidden: int, seed: int):
        super().__init__()
        self.body = make_mlp(dim_x + dim_z, hidden, 1, seed=seed, zero_last=True)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """[n] scores of the pairs (x_i, z_i)."""
        return self.body(torch.cat([x, z], dim=1))[:, 0]


class SeparableCritic(nn.Module):
    """Score of a pair as the product of two embeddings, so that all pairs cost one matrix product."""

    def __init__(self, dim_x: int, dim_z: int, hidden: int, seed: int):
        super().__init__()
        self.embed_x = make_mlp(dim_x, hidden, hidden // 2, seed=derive_key(seed, "x"))
        self.embed_z = make_mlp(dim_z, hidden, hidden // 2, seed=derive_key(seed, "z"))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """[n, n] scores; row i holds x_i with every z."""
        first, second = self.embed_x(x), self.embed_z(z)
        return first @ second.T / math.sqrt(first.shape[1])


class MovingAverageDv:
    """Donsker-Varadhan loss whose gradient uses a moving average of the normalizer, as MINE does to undo the bias."""

    def __init__(self, rate: float = 0.05):
        self.rate, self.average = rate, None

    def __call__(self, joint: Tensor, product: Tensor) -> Tensor:
        mean = product.exp().mean()
        old = mean.detach() if self.average is None else self.average
        self.average = (1 - self.rate) * old + self.rate * mean.detach()
        return mean / self.average - joint.mean()


@dataclass(frozen=True)
class Objective:
    """What an estimator trains by and reports.

    Attributes:
        make_loss: gives a function (scores of pairs, scores of wrong pairs) -> loss; may keep a state of its own.
        terms: (scores [n], scores of wrong pairs [n, m]) -> [n] values whose mean is the estimate.
        bound: direction of the estimate; None for Donsker-Varadhan values, which hold the logarithm of a mean over
            samples: the samples' mean misses the rare large terms, so the value may lie above the information.
    """

    make_loss: Callable[[], Callable[[Tensor, Tensor], Tensor]]
    terms: Callable[[Tensor, Tensor], Tensor]
    bound: Bound


def js_loss(joint: Tensor, product: Tensor) -> Tensor:
    """Classification loss of pairs against wrong pairs; its minimum is the log density ratio."""
    return softplus(-joint).mean() + softplus(product).mean()


def nwj_loss(joint: Tensor, product: Tensor) -> Tensor:
    """Negative NWJ bound."""
    return (product - 1).exp().mean() - joint.mean()


def dv_terms(joint: Tensor, product: Tensor) -> Tensor:
    """Linearized terms of the Donsker-Varadhan value: their mean is its value, their spread the standard error.

    From samples it is an estimate, no lower bound: see Objective.
    """
    log_mean = log_mean_exp(product)
    weight = (product - log_mean).exp().mean(dim=1)
    return joint - log_mean - (weight - 1)


def nwj_terms(joint: Tensor, product: Tensor) -> Tensor:
    """Terms of the NWJ bound."""
    return joint - (product - 1).exp().mean(dim=1)


def log_mean_exp(values: Tensor) -> Tensor:
    """Logarithm of the mean of exp(values) over all entries."""
    return values.flatten().logsumexp(dim=0) - math.log(values.numel())


#: Objectives over wrong pairs; InfoNCE, whose wrong pairs are the batch itself, stands apart.
OBJECTIVES = {
    "mine": Objective(MovingAverageDv, dv_terms, None),
    "nwj": Objective(lambda: nwj_loss, nwj_terms, "lower"),
    "js": Objective(lambda: js_loss, lambda joint, product: nwj_terms(joint + 1, product + 1), "lower"),
    "smile": Objective(lambda: js_loss, lambda j, p: dv_terms(j, p.clamp(-_SMILE_CLIP, _SMILE_CLIP)), None),
}


def estimate_neural(x: np.ndarray, z: np.ndarray, objective: str, seed: int, fit: CriticFit | None = None) -> Estimate:
    """Mutual information by a trained critic, on normal scores of the variables.

    Args:
        x, z: [n, dim_x] and [n, dim_z] float64, paired samples.
        objective: "mine" (Donsker-Varadhan, moving-average gradient), "nwj", "js" (Jensen-Shannon training, NWJ
            value), "smile" (Jensen-Shannon training, clipped Donsker-Varadhan value) or "info_nce".
        seed: stream seed of halves, weights and batches.
        fit: training settings.

    Returns:
        Estimate in nats, lower bound except for "mine" and "smile" (none). Not clamped. details: "ceiling_nats" (ln K of the K
        samples evaluated at a time), "steps", "seconds".

    Raises:
        ValueError: unknown objective, or fewer than 64 samples.

    Source: Belghazi et al. 2018 (arXiv 1801.04062), Poole et al. 2019 (arXiv 1905.06922), Song & Ermon 2020 (arXiv
    1910.06222).
    """
    check_choice("objective", objective, (*OBJECTIVES, "info_nce"))
    fit = fit or CriticFit()
    run = _run_info_nce if objective == "info_nce" else _run_objective

    def evaluate(train: tuple, test: tuple, fold_seed: int) -> tuple[Tensor, dict]:
        train, test = (_scores_of(train[0], train[1], part) for part in (train, test))
        return run(train, test, objective, fold_seed, fit)

    estimate = cross_evaluate(x, z, evaluate, seed)
    return replace(estimate, bound="lower" if objective == "info_nce" else OBJECTIVES[objective].bound)


def cross_evaluate(x: np.ndarray, z: np.ndarray, evaluate: Callable, seed: int) -> Estimate:
    """Mean of the values that `evaluate(train, test, seed)` gives for both halves of the samples.

    `evaluate` returns the terms [n_test] and a dictionary with at least "steps" and "seconds", which are summed.
    """
    check_count("x: samples", len(x), _MINIMUM_SAMPLES)
    order = numpy_from_key(derive_key(seed, "neural/halves")).permutation(len(x))
    halves = [(x[rows], z[rows]) for rows in np.array_split(order, 2)]
    values, details = [], {"steps": 0.0, "seconds": 0.0}
    for number, (train, test) in enumerate((halves, halves[::-1]), start=1):
        with one_thread():
            terms, notes = evaluate(train, test, derive_key(seed, "neural/fold", number))
        values += terms.tolist()
        details |= notes | {name: details[name] + notes[name] for name in ("steps", "seconds")}
    ceiling = math.log(len(x) // 2)
    estimate = replace(mean_estimate(values, "nats"), details={**details, "ceiling_nats": ceiling})
    if not estimate.value < NEAR_CEILING * ceiling:  # also when it is not a number
        estimate = replace(
            estimate, warnings=(f"near its ceiling ln K = {ceiling:.4g} nats for K = {len(x) // 2} samples",)
        )
    return estimate


def wrong_pairs(n: int, n_shifts: int, seed: int) -> Tensor:
    """[n_shifts, n] partners: no sample meets itself, and every partner serves once per row."""
    generator = generator_from_key(derive_key(seed, "wrong_pairs"))
    order = torch.randperm(n, generator=generator)
    shifts = 1 + torch.randperm(n - 1, generator=generator)[:n_shifts]
    partners = torch.empty(len(shifts), n, dtype=torch.int64)
    for row, shift in zip(partners, shifts.tolist(), strict=True):
        row[order] = order.roll(shift)
    return partners


def split_validation(n: int) -> tuple[Tensor, Tensor]:
    """Training and validation rows; the samples are in random order already."""
    return torch.arange(n // 5, n), torch.arange(n // 5)


def _run_objective(train: tuple, test: tuple, objective: str, seed: int, fit: CriticFit) -> tuple[Tensor, dict]:
    (x, z), loss = train, OBJECTIVES[objective].make_loss()
    critic = JointCritic(x.shape[1], z.shape[1], fit.hidden, seed)
    return fit_critic(
        lambda pair, partner: critic(*_pair(pair, partner)), critic, train, test, loss, objective, seed, fit
    )


def _pair(data: tuple, partner: Tensor | None) -> tuple[Tensor, Tensor]:
    return data if partner is None else (data[0], data[1][partner])


def fit_critic(
    score: Callable[[tuple, Tensor | None], Tensor],
    critic: nn.Module,
    train: tuple,
    test: tuple,
    loss: Callable,
    objective: str,
    seed: int,
    fit: CriticFit,
) -> tuple[Tensor, dict]:
    """Train `critic` through `score((x, z), partners or None) -> [n]` and evaluate it on `test`."""
    rows_train, rows_held = split_validation(len(train[0]))
    held = tuple(part[rows_held] for part in train)
    held_wrong = wrong_pairs(len(rows_held), 4, derive_key(seed, "held-out"))
    generator = generator_from_key(derive_key(seed, "negatives"))
    held_loss = js_loss if loss is js_loss else None

    def batch_loss(rows: Tensor) -> Tensor:
        batch = tuple(part[rows_train[rows]] for part in train)
        shift = int(torch.randint(1, len(rows), (), generator=generator))
        return loss(score(batch, None), score(batch, torch.arange(len(rows)).roll(shift)))

    def held_out() -> Tensor:
        joint, product = score(held, None), torch.stack([score(held, row) for row in held_wrong], dim=1)
        return -held_loss(joint, product) if held_loss else OBJECTIVES[objective].terms(joint, product).mean()

    notes = fit_best(critic, batch_loss, held_out, n=len(rows_train), fit=fit, seed=seed)
    with torch.no_grad():
        product = torch.stack([score(test, row) for row in wrong_pairs(len(test[0]), _N_SHIFTS, seed)], dim=1)
        return OBJECTIVES[objective].terms(score(test, None).double(), product.double()), notes


def _run_info_nce(train: tuple, test: tuple, objective: str, seed: int, fit: CriticFit) -> tuple[Tensor, dict]:
    (x, z), (rows_train, rows_held) = train, split_validation(len(train[0]))
    critic = SeparableCritic(x.shape[1], z.shape[1], fit.hidden, seed)

    def terms(rows: Tensor) -> Tensor:
        return info_nce_terms(critic(x[rows], z[rows]))

    notes = fit_best(
        critic,
        lambda rows: -terms(rows_train[rows]).mean(),
        lambda: terms(rows_held).mean(),
        n=len(rows_train),
        fit=fit,
        seed=seed,
    )
    with torch.no_grad():
        return info_nce_terms(critic(*test).double()), notes


def info_nce_terms(scores: Tensor) -> Tensor:
    """Linearized terms of the InfoNCE bound from [n, n] scores: mean over rows, with the columns' influence."""
    log_share = scores - scores.logsumexp(dim=1, keepdim=True)
    own = log_share.diagonal() + math.log(len(scores))
    return own if scores.requires_grad else own - (log_share.exp().sum(dim=0) - 1)


def _scores_of(train_x: np.ndarray, train_z: np.ndarray, part: tuple) -> tuple[Tensor, Tensor]:
    """Normal scores learned on the training half."""
    pairs = zip((train_x, train_z), part, strict=True)
    x, z = (torch.as_tensor(NormalScores(learned)(applied), dtype=torch.float32) for learned, applied in pairs)
    return x, z


def _estimate(objective: str, x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> Estimate:
    return estimate_neural(x, z, objective, seed, fit)


ESTIMATORS = {name: partial(_estimate, name) for name in ("mine", "nwj", "info_nce", "smile", "js")}
