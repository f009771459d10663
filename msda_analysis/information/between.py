"""Information between two encoders' codes of the same image, I(Z_base; Z_augmented)."""

from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
import torch
from torch import Tensor, nn

from msda_analysis.checks import check_count
from msda_analysis.estimate import Bound, Estimate, mean_estimate
from msda_analysis.information.codes import Code, check_code
from msda_analysis.information.cross_fit import MarginalTerms, fit_marginals
from msda_analysis.information.encoder_bounds import DIFFERENCE_OF_UPPER_BOUNDS, pairwise_values
from msda_analysis.information.fitting import CriticFit, fit_best, make_mlp, one_thread
from msda_analysis.information.flows import FLOW_FIT
from msda_analysis.information.marginals import Codes, fit_full, to_codes
from msda_analysis.information.neural import info_nce_terms, split_validation
from msda_analysis.rng import derive_key, numpy_from_key

_OTHER_CODE = "speaks of the code of the baseline's reconstructions, not of the code of the images; bounds neither way"
_MINIMUM_IMAGES = 64


def between_encoders(
    base: Code,
    augmented: Code,
    seed: int = 0,
    *,
    reconstructed: Code | None = None,
    fit: CriticFit | None = None,
    flow: CriticFit | None = FLOW_FIT,
    marginals: tuple[MarginalTerms, MarginalTerms] | None = None,
) -> dict[str, Estimate]:
    """Bounds and estimates of the information between two Gaussian codes of the same images.

    The codes are independent given the image: I(Z_base; Z_aug) = I(Z_aug; X) - I(Z_aug; X | Z_base). A density
    q(z_aug | z_base), trained on one half of the images and judged on the other, gives an upper bound of the second
    term, E ln p(z_aug | x) - E ln q(z_aug | z_base). With a lower bound of the first (InfoNCE) the difference is a lower
    bound; with an upper bound of the first (a fitted marginal) it is an estimate that escapes ln K and bounds nothing.
    The information is symmetric, these are not: everything is done both ways round and averaged, and what the ways
    differ by is in details["gap_nats"]. Exchanging the codes changes no number.

    Args:
        base, augmented: (loc, log_std) of the two encoders, each [n, latent], row by row the same images.
        seed: stream seed.
        reconstructed: (loc, log_std) of the augmented encoder on the baseline's reconstructions, the paper's route.
        fit: training of the conditional densities.
        flow: training of the marginals' normalizing flows; None for fitted Gaussians alone.
        marginals: what `cross_fit.fit_marginals` found for the two codes with one seed, where it is there already; `flow`
            is then not used.

    Returns:
        Estimates in nats by name.
        "upper": the smallest of the two codes' bounds on the information with the image (data processing).
        "lower": Barber-Agakov bound with the InfoNCE bound for the entropy; below zero once the code holds much more
        than ln K. "info_nce": lower bound with the conditional density as critic, at most ln K.
        "difference": Barber-Agakov value with the tightest marginal; no bound, warned about; the one that follows the
        truth. "through_reconstruction": a fitted upper bound of I(Z_aug(reconstruction); reconstruction); no bound on what
        the codes share, warned about.

    Raises:
        ValueError: codes of different numbers of images, fewer than 64, or not finite.

    Source: Barber & Agakov 2003; Poole et al. 2019 (arXiv 1905.06922), section 2; McAllester & Stratos 2020 (arXiv
    1811.04251) for the difference of entropies.
    """
    for code in (base, augmented, *([] if reconstructed is None else [reconstructed])):
        check_code(*code)
    if len(base[0]) != len(augmented[0]):
        raise ValueError(
            f"base, augmented: expected codes of the same images, got {len(base[0])} and {len(augmented[0])}"
        )
    check_count("base: images", len(base[0]), _MINIMUM_IMAGES)
    first, second = (to_codes(*code) for code in (base, augmented))
    fitted = marginals or [fit_marginals(code, seed, components=(), flow=flow) for code in (base, augmented)]
    tightest = [terms.tightest() for terms in fitted]
    fit = fit or CriticFit()
    # both ways with one seed: exchanging the two codes exchanges the two ways, and changes no number
    forward = _one_way(first, second, tightest[1], seed, fit)
    backward = _one_way(second, first, tightest[0], seed, fit)
    found = {"upper": mean_estimate(min(tightest, key=np.mean).tolist(), "nats", bound="upper")}
    for name in ("lower", "info_nce"):
        found[name] = _average(getattr(forward, name), getattr(backward, name), bound="lower")
    found["difference"] = _average(forward.difference, backward.difference, warnings=(DIFFERENCE_OF_UPPER_BOUNDS,))
    ceilings = {"lower": len(first), "info_nce": len(first) // 2}
    notes = {name: {"ceiling_nats": float(np.log(n))} for name, n in ceilings.items()}
    notes["difference"] = {name: forward.notes[name] + backward.notes[name] for name in forward.notes}
    found |= {name: replace(found[name], details=found[name].details | notes[name]) for name in notes}
    if reconstructed is not None:
        # bounds nothing: not worth a flow
        route = fit_marginals(reconstructed, seed, components=(), flow=None).tightest()
        found["through_reconstruction"] = mean_estimate(route.tolist(), "nats", warnings=(_OTHER_CODE,))
    return found


@dataclass(frozen=True)
class _Values:
    """Per image, nats: terms of the two lower bounds and of the estimate; and how the density was trained."""

    lower: np.ndarray
    info_nce: np.ndarray
    difference: np.ndarray
    notes: dict[str, float]


def _average(forward: np.ndarray, backward: np.ndarray, *, bound: Bound = None, warnings: tuple = ()) -> Estimate:
    """Mean over images and both ways; what the ways differ by is the method's error, and no image's."""
    gap = mean_estimate((forward - backward).tolist(), "nats")
    assert gap.low is not None and gap.high is not None
    if bound is None and (gap.low > 0 or gap.high < 0):
        warnings += (
            f"the two ways round differ by {abs(gap.value):.3g} nats: an error of the method that the interval leaves out",
        )
    found = mean_estimate(((forward + backward) / 2).tolist(), "nats", bound=bound, warnings=warnings)
    return replace(found, details={"gap_nats": abs(gap.value)})


class ConditionalDensity(nn.Module):
    """Normal density of one code given a draw of another: a regression plus a network, which starts at zero.

    The network shifts the mean and scales the spread along the axes where the regression's residual is white.
    """

    def __init__(self, base: Codes, target: Codes, hidden: int, seed: int):
        super().__init__()
        dim = base.loc.shape[1]
        joint = fit_full(Codes(*(np.hstack([getattr(c, name) for c in (base, target)]) for name in ("loc", "var"))))
        covariance = np.linalg.inv(joint.factor @ joint.factor.T)
        slope = np.linalg.solve(covariance[:dim, :dim], covariance[:dim, dim:])
        rest = covariance[dim:, dim:] - covariance[dim:, :dim] @ slope
        # registered as float64: the regression is solved in it, and the residual of a tight code is small
        self.mean_base, self.mean, self.slope, self.factor = (
            torch.as_tensor(part) for part in (joint.mean[:dim], joint.mean[dim:], slope, _precision_factor(rest))
        )
        self.scale_base = torch.as_tensor(np.sqrt(np.diag(covariance)[:dim]))
        self.body = make_mlp(dim, hidden, 2 * len(rest), seed=seed, zero_last=True)

    def forward(self, z_base: Tensor) -> tuple[Tensor, Tensor]:
        """Mean [n, latent] and log standard deviation [n, latent], along the white axes and around the regression."""
        shift, log_std = self.body(((z_base - self.mean_base) / self.scale_base).float()).double().chunk(2, dim=1)
        return shift, log_std

    def expected_log_density(self, z_base: Tensor, loc: Tensor, var: Tensor) -> Tensor:
        """E ln q(z | z_base) over z ~ N(loc, var), exact; [n] nats."""
        shift, log_std = self(z_base)
        white = (loc - self.mean - (z_base - self.mean_base) @ self.slope) @ self.factor
        spread = (white - shift).square() + var @ self.factor.square()
        return self._log_scale() - (log_std + 0.5 * spread * (-2 * log_std).exp()).sum(dim=1)

    def log_density(self, z_base: Tensor, z: Tensor) -> Tensor:
        """ln q(z_j | z_base_i) for all pairs, [n, n] nats."""
        shift, log_std = self(z_base)
        center = (z_base - self.mean_base) @ self.slope @ self.factor + shift
        white, precision = (z - self.mean) @ self.factor, (-2 * log_std).exp()
        cross = (center * precision) @ white.T
        own = (center.square() * precision + 2 * log_std).sum(dim=1, keepdim=True)
        return self._log_scale() + cross - 0.5 * (precision @ white.square().T + own)

    def _log_scale(self) -> Tensor:
        return torch.linalg.slogdet(self.factor)[1] - 0.5 * len(self.factor) * float(np.log(2 * np.pi))


def _precision_factor(covariance: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.linalg.cholesky(covariance)).T


def _one_way(base: Codes, target: Codes, marginal: np.ndarray, seed: int, fit: CriticFit) -> _Values:
    """Everything that a density of `target` given `base` says; `marginal`: the tightest terms of `target`."""
    order = numpy_from_key(derive_key(seed, "between/halves")).permutation(len(base))
    halves = np.array_split(order, 2)
    draws = {name: _draw(code, derive_key(seed, name)) for name, code in (("base", base), ("target", target))}
    conditional, info_nce = np.empty((2, len(base)))
    notes = {"steps": 0.0, "seconds": 0.0}
    for number, (train, test) in enumerate((halves, halves[::-1])):
        with one_thread():
            density, fold = _fit_density(base[train], target[train], derive_key(seed, "between/fold", number), fit)
        notes = {name: notes[name] + fold[name] for name in notes}
        loc, var = (torch.as_tensor(part[test]) for part in (target.loc, target.var))
        with torch.no_grad():
            expected = density.expected_log_density(draws["base"][test], loc, var).numpy()
            info_nce[test] = info_nce_terms(density.log_density(draws["base"][test], draws["target"][test]).T).numpy()
        conditional[test] = target[test].negative_entropy() - expected
    return _Values(pairwise_values(target, seed)["info_nce"] - conditional, info_nce, marginal - conditional, notes)


def _fit_density(base: Codes, target: Codes, seed: int, fit: CriticFit) -> tuple[ConditionalDensity, dict[str, float]]:
    rows_train, rows_held = split_validation(len(base))
    density = ConditionalDensity(base[rows_train.numpy()], target[rows_train.numpy()], fit.hidden, seed)
    loc, var = torch.as_tensor(target.loc), torch.as_tensor(target.var)
    draws = torch.stack([_draw(base, derive_key(seed, "train", i)) for i in range(4)])
    turns = cycle(draws)

    def loss(rows: Tensor) -> Tensor:
        rows, draw = rows_train[rows], next(turns)
        return -density.expected_log_density(draw[rows], loc[rows], var[rows]).mean()

    def score() -> Tensor:
        return density.expected_log_density(draws[0][rows_held], loc[rows_held], var[rows_held]).mean()

    notes = fit_best(density, loss, score, n=len(rows_train), fit=fit, seed=seed)
    if notes["best_step"] == 0:  # the network found nothing: the regression may use the held-out rows too
        density = ConditionalDensity(base, target, fit.hidden, seed)
    return density, notes


def _draw(codes: Codes, seed: int) -> Tensor:
    return torch.as_tensor(codes.sample(numpy_from_key(seed), n_each=1)[0])
