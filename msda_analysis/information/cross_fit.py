"""Densities fitted to one half of a code's images and judged on the other: the costly part of the upper bounds, once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from msda_analysis.checks import check_count
from msda_analysis.information.codes import Code, check_code
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.flows import FLOW_FIT, fit_flow
from msda_analysis.information.marginals import (
    Codes,
    fit_diagonal,
    fit_full,
    fit_mixture,
    standard_normal,
    to_codes,
)
from msda_analysis.rng import derive_key, numpy_from_key

#: Mixture sizes to try, smallest first.
COMPONENTS = (2, 4, 8, 16)
_IMAGES_PER_COMPONENT = 20
_WITHOUT_MIXTURES = ("rate", "fitted_diagonal", "fitted_full", "flow")


@dataclass(frozen=True)
class MarginalTerms:
    """What every density m says of a code: terms E ln q(z|x) - E ln m(z) of upper bounds on I(X; Z).

    Attributes:
        values: by bound, [n] nats, each image judged by densities fitted to the other half. "rate": m = N(0, I).
        notes: by bound, which density was chosen in each half.
    """

    values: dict[str, np.ndarray]
    notes: dict[str, dict[str, float | str]]

    def tightest(self) -> np.ndarray:
        """Terms [n] of the smallest bound; mixtures do not compete, so that it is the same whether some were tried."""
        return min((self.values[name] for name in _WITHOUT_MIXTURES if name in self.values), key=np.mean)


def fit_marginals(
    code: Code, seed: int = 0, *, components: Sequence[int] = COMPONENTS, flow: CriticFit | None = FLOW_FIT
) -> MarginalTerms:
    """Fit every density to one half of the images and judge it on the other, both ways round.

    Args:
        code: loc, log_std of every image, each [n, latent].
        seed: stream seed of the halves, of draws and of the flow's weights.
        components: mixture sizes to try, while held-out images prefer more; empty leaves mixtures out.
        flow: training of the normalizing flow; None leaves it out.

    Raises:
        ValueError: shapes differ, a value is not finite, or a mixture size below 1.
    """
    check_code(*code)
    for count in components:
        check_count("components", count)
    codes = to_codes(*code)
    order = numpy_from_key(derive_key(seed, "encoder_bounds/halves")).permutation(len(codes))
    halves = np.array_split(order, 2)
    negative_entropy, values, notes = codes.negative_entropy(), {}, {}
    for number, (train, test) in enumerate((halves, halves[::-1]), start=1):
        fold_seed = derive_key(seed, "encoder_bounds/fold", number)
        fits, scores = _choose_fits(codes[train], components, fold_seed)
        best = max(scores, key=scores.__getitem__)
        fits["fitted"] = fits[best]
        if flow is not None:
            fits["flow"] = partial(fit_flow, seed=fold_seed, fit=flow)
        for name, fit in fits.items():
            density = fit(codes[train])
            values.setdefault(name, np.full(len(codes), np.nan))
            values[name][test] = negative_entropy[test] - density.expected_log_density(codes[test], fold_seed)
            if name in ("fitted", "fitted_mixture"):
                notes.setdefault(name, {})[f"marginal_{number}"] = getattr(density, "name", best)
    # halves of unequal size may try different mixtures: what was fitted to one of them alone judges half of the images
    whole = {name: terms for name, terms in values.items() if name != "fitted_mixture" or not np.isnan(terms).any()}
    return MarginalTerms(whole, {name: note for name, note in notes.items() if name in whole})


def _choose_fits(codes: Codes, components: Sequence[int], seed: int) -> tuple[dict[str, Callable], dict[str, float]]:
    """How to fit each density, and its mean log density on a held-out quarter of the given images."""
    n_validation = len(codes) // 4  # the caller has put the images in random order
    validation, inner = codes[np.arange(n_validation)], codes[np.arange(n_validation, len(codes))]

    def score(fit: Callable) -> float:
        return float(fit(inner).expected_log_density(validation, seed).mean())

    fits: dict[str, Callable] = {
        "rate": lambda part: standard_normal(part.loc.shape[1]),
        "fitted_diagonal": fit_diagonal,
        "fitted_full": fit_full,
    }
    scores = {name: score(fit) for name, fit in fits.items()}
    for count in sorted(components):
        fit = partial(fit_mixture, n_components=count, seed=seed)
        if _IMAGES_PER_COMPONENT * count > len(inner):
            break
        mixture_score = score(fit)
        if mixture_score < scores.get("fitted_mixture", -math.inf):
            break  # more components have stopped helping
        fits["fitted_mixture"], scores["fitted_mixture"] = fit, mixture_score
    return fits, scores
