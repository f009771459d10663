"""Bounds on I(X; Z) of a Gaussian encoder, whose conditional density is known."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from msda_analysis.checks import check_count
from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.information.ceiling import NEAR_CEILING
from msda_analysis.information.codes import check_code
from msda_analysis.information.cross_fit import COMPONENTS, MarginalTerms, fit_marginals
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.flows import FLOW_FIT
from msda_analysis.information.marginals import Codes, to_codes
from msda_analysis.rng import derive_key, numpy_from_key

#: What a reader must know of a difference between two upper bounds, for example of two encoders.
DIFFERENCE_OF_UPPER_BOUNDS = (
    "difference of two upper bounds: each lies above its truth by a gap that is not known and need not be the same, "
    "so it bounds nothing"
)
_MINIMUM_IMAGES = 16


def encoder_bounds(
    loc: Tensor,
    log_std: Tensor,
    seed: int = 0,
    *,
    components: Sequence[int] = COMPONENTS,
    flow: CriticFit | None = FLOW_FIT,
    marginals: MarginalTerms | None = None,
) -> dict[str, Estimate]:
    """Upper and lower bounds on the information between images and a Gaussian code, with 95 % intervals over images.

    "rate" and the fitted ones are E KL(q(z|x) || m(z)), an upper bound for every density m that does not depend on the
    images it is evaluated on; it exceeds I(X; Z) by KL(q(z) || m). Densities are fitted on one half of the images and
    evaluated on the other, both ways round.

    Args:
        loc: [n, latent] mean of every image's code.
        log_std: [n, latent] natural logarithm of its standard deviation.
        seed: stream seed of the split into halves and of drawn codes.
        components: mixture sizes to try, smallest first, while held-out images prefer more; empty leaves
            "fitted_mixture" out.
        flow: training of the normalizing flow; None leaves "flow" out. It is the slow one: see flows.FLOW_FIT.
        marginals: what `cross_fit.fit_marginals` found for this code, where it is there already; `components` and
            `flow` are then not used.

    Returns:
        Estimates in nats by name.
        "rate": upper, m = N(0, I), the paper's figure. "fitted_diagonal", "fitted_full", "fitted_mixture": upper, m
        fitted. "fitted": upper, the one of these four that a validation part of the fitting half preferred. "flow":
        upper, m a normalizing flow on top of the full Gaussian; read this one, the tightest where codes are not normal.
        details["gap_nats"] of "flow": how far "fitted" lies above "flow", with "gap_low" and "gap_high"
        paired over images. At least that much is the error of "fitted" as a method; that of "flow" is not known, and
        its interval speaks of the images alone. "leave_one_out": upper, "info_nce": lower, both from the images' own
        conditionals; their ceiling ln(n) is in details["ceiling_nats"].

    Raises:
        ValueError: shapes differ, a value is not finite, fewer than 16 images, or a mixture size below 1.

    Source: Alemi et al. 2018 (arXiv 1711.00464) for the rate; Poole et al. 2019 (arXiv 1905.06922), equations 12 and
    13, for the last two.
    """
    check_code(loc, log_std)
    check_count("loc: images", len(loc), _MINIMUM_IMAGES)
    marginals = marginals or fit_marginals((loc, log_std), seed, components=components, flow=flow)
    if any(len(terms) != len(loc) for terms in marginals.values.values()):
        raise ValueError(f"marginals: expected terms of the {len(loc)} images of loc, got another number")
    bounds = {}
    for name, terms in marginals.values.items():
        found = mean_estimate(terms.tolist(), "nats", bound="upper")
        bounds[name] = replace(found, details=marginals.notes.get(name, {}))
    if "flow" in bounds:
        bounds |= _with_gap(bounds, marginals.values["fitted"] - marginals.values["flow"])
    return bounds | _pairwise_bounds(to_codes(loc, log_std), seed)


def _with_gap(bounds: dict[str, Estimate], gaps: np.ndarray) -> dict[str, Estimate]:
    """ "flow" with the gap to "fitted", and "fitted" with a warning where that shows it to be loose."""
    gap = mean_estimate(gaps.tolist(), "nats")
    assert gap.low is not None and gap.high is not None
    details: dict[str, float | str] = {"gap_nats": gap.value, "gap_low": gap.low, "gap_high": gap.high}
    found = {"flow": replace(bounds["flow"], details=details)}
    if gap.low > 0:
        loose = f"an upper bound, the flow's, lies lower by {gap.value:.3g} nats [{gap.low:.3g}, {gap.high:.3g}]"
        found["fitted"] = replace(bounds["fitted"], warnings=(loose,))
    return found


def pairwise_values(codes: Codes, seed: int) -> dict[str, np.ndarray]:
    """Terms [n] of leave-one-out (upper) and structured InfoNCE (lower) over all pairs of images, one draw each.

    Their mean is the bound; their spread gives its infinitesimal-jackknife interval, in which an image counts through
    its own term and as the contrast of all others.
    """
    n = len(codes)
    z = codes.sample(numpy_from_key(derive_key(seed, "encoder_bounds/pairs")), n_each=1)[0]
    own, all_rows, other_rows, all_weight, other_weight = _pairwise_sums(codes, z)
    return {
        "leave_one_out": own - other_rows + math.log(n - 1) - (other_weight - 1),
        "info_nce": own - all_rows + math.log(n) - (all_weight - 1),
    }


def _pairwise_bounds(codes: Codes, seed: int) -> dict[str, Estimate]:
    values, ceiling = pairwise_values(codes, seed), math.log(len(codes))
    note = {"ceiling_nats": ceiling}
    above = replace(mean_estimate(values["leave_one_out"].tolist(), "nats", bound="upper"), details=note)
    below = replace(mean_estimate(values["info_nce"].tolist(), "nats", bound="lower"), details=note)
    if above.value > ceiling:
        warning = f"loose once the information exceeds ln K = {ceiling:.4g} nats, K = {len(codes)} images"
        above = replace(above, warnings=(warning,))
    if below.value > NEAR_CEILING * ceiling:
        below = replace(below, warnings=(f"near its ceiling ln K = {ceiling:.4g} nats for K = {len(codes)} images",))
    return {"leave_one_out": above, "info_nce": below}


def _pairwise_sums(codes: Codes, z: np.ndarray, block: int = 500) -> tuple[np.ndarray, ...]:
    """Log sums over images of q(z_i | x_j), with and without j = i, and how much each image weighs in all of them.

    Returns:
        log q(z_i | x_i), log sum over all j, log sum over j != i, and the column sums of the two normalized matrices;
        each [n].
    """
    precision = 1 / codes.var
    constant = np.log(codes.var).sum(axis=1) + (np.square(codes.loc) * precision).sum(axis=1)
    constant += codes.loc.shape[1] * math.log(2 * math.pi)
    own, all_rows, other_rows = np.empty((3, len(codes)))
    all_weight, other_weight = np.zeros((2, len(codes)))
    for start in range(0, len(codes), block):
        rows = np.arange(start, min(start + block, len(codes)))
        log_q = z[rows] @ (codes.loc * precision).T - 0.5 * (np.square(z[rows]) @ precision.T + constant)
        local = np.arange(len(rows))
        own[rows] = log_q[local, rows]
        log_q[local, rows] = -np.inf
        highest = log_q.max(axis=1, keepdims=True)
        share = np.exp(np.subtract(log_q, highest, out=log_q), out=log_q)
        total = share.sum(axis=1)
        other_rows[rows] = highest[:, 0] + np.log(total)
        all_rows[rows] = np.logaddexp(own[rows], other_rows[rows])
        other_weight += (1 / total) @ share
        all_weight += (np.exp(other_rows[rows] - all_rows[rows]) / total) @ share
    return own, all_rows, other_rows, all_weight + np.exp(own - all_rows), other_weight
