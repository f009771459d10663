"""One call for every sample-based estimator of mutual information, and a default that chooses among them."""

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from msda_analysis.checks import check_choice, check_count, check_finite
from msda_analysis.estimate import Estimate
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.gaussian import estimate_gaussian
from msda_analysis.information.neighbors import estimate_ksg
from msda_analysis.information.neural import estimate_neural
from msda_analysis.information.ranks import normal_scores
from msda_analysis.information.residual import estimate_with_residual

#: Estimators by name; "auto" chooses between a Gaussian copula, a critic on top of it, and neighbors.
METHODS = ("auto", "ksg1", "ksg2", "mine", "nwj", "info_nce", "smile", "js", "gaussian", "gaussian_copula")

_KSG_DIMENSIONS = 10  # beyond it neighbors say nothing and cost much
_EASY_DIMENSIONS = 4
_NEAR_CEILING = 0.8
_MINIMUM_SAMPLES = 64
_REPEATS = 0.1  # share of repeated values that rounding to few digits stays below


def estimate(x: Tensor, z: Tensor, method: str, seed: int = 0, *, fit: CriticFit | None = None) -> Estimate:
    """Mutual information between paired samples of two continuous variables, in nats; never clamped at zero.

    "auto" starts from a Gaussian copula (exact for normal variables however each is stretched) and keeps it unless a
    critic trained on top of it, or nearest neighbors (up to ten dimensions in all), find more; then it gives the larger
    of these two, as both tend to fall short. It says so in details["method"] and details["reason"], and warns where the
    methods disagree or none can be trusted. Every estimator but "gaussian" works on normal scores of each variable,
    which leaves the information as it is.

    Args:
        x, z: [n, dim_x] and [n, dim_z] (or [n] for one variable), n at least 64. Variables must vary; one whose values
            often repeat is not continuous, and the result warns of it.
        method: one of METHODS. "ksg1", "ksg2": nearest neighbors. "nwj", "info_nce", "js": lower bounds by a critic
            trained on one half and evaluated on the other. "mine", "smile": the same by a Donsker-Varadhan value (with
            clipping), an estimate that bounds nothing from samples.
            "gaussian", "gaussian_copula": from canonical correlations.
        seed: stream seed of halves, weights and batches.
        fit: training of the critics.

    Returns:
        Estimate in nats with bound, interval, details["seconds"] and, for critics (ln K) and neighbors,
        details["ceiling_nats"].

    Raises:
        TypeError: x or z is no tensor.
        ValueError: unknown method, samples that are too few, not finite, or not paired, a constant variable; for "auto"
            and the Gaussian methods also redundant variables, and a z that determines a direction of x.
    """
    check_choice("method", method, METHODS)
    arrays, start = _arrays(x, z), time.perf_counter()
    fit = fit or CriticFit()
    if method == "auto":
        found = _estimate_auto(*arrays, seed, fit)
    elif method in ("gaussian", "gaussian_copula"):
        found = estimate_gaussian(*arrays, ranks=method == "gaussian_copula")
    elif method in ("ksg1", "ksg2"):
        found = estimate_ksg(*map(normal_scores, arrays), variant=int(method[-1]))
    else:
        found = estimate_neural(*arrays, method, seed, fit)
    details = {"method": method, **found.details, "seconds": time.perf_counter() - start}
    return replace(found, details=details, warnings=(*_warn_of_repeats(*arrays), *found.warnings))


@dataclass(frozen=True)
class _Evidence:
    """What "auto" looks at: the copula, what the critic adds to it, neighbors (None in many dimensions)."""

    copula: Estimate
    gain: Estimate
    neighbors: Estimate | None
    dim: int

    @property
    def critic(self) -> Estimate:
        """Copula plus gain."""
        value, half = self.copula.value + self.gain.value, float(self.gain.details["half_width"])
        return Estimate(value, "nats", value - half, value + half, self.copula.n)

    @property
    def critic_adds(self) -> bool:
        return abs(self.gain.value) > max(0.02, 1.5 * _width(self.gain))

    @property
    def neighbors_add(self) -> bool:
        if self.neighbors is None:
            return False
        return self.neighbors.value - self.copula.value > max(0.03, 0.75 * _width(self.neighbors))


def _estimate_auto(x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> Estimate:
    dim = x.shape[1] + z.shape[1]
    copula, gain = estimate_with_residual(x, z, seed, fit)
    neighbors = estimate_ksg(normal_scores(x), normal_scores(z)) if dim <= _KSG_DIMENSIONS else None
    evidence = _Evidence(copula, gain, neighbors, dim)
    found, method, reason = _choose(evidence)
    details = {"method": method, "reason": reason, "copula_nats": copula.value, "critic_nats": evidence.critic.value}
    if neighbors is not None:
        details["ksg1_nats"] = neighbors.value
    shared = {name: gain.details[name] for name in ("ceiling_nats", "steps")}
    return replace(found, bound=None, details={**details, **shared}, warnings=_warnings(evidence, method))


def _choose(evidence: _Evidence) -> tuple[Estimate, str, str]:
    """The estimate to give, its name and the reason."""
    if _beyond_critic(evidence):
        return evidence.copula, "gaussian_copula", "more information than a critic can check"
    if not evidence.critic_adds and not evidence.neighbors_add:
        return evidence.copula, "gaussian_copula", "neither a critic nor neighbors find more than a Gaussian copula"
    if evidence.neighbors is None or evidence.critic.value >= evidence.neighbors.value:
        return evidence.critic, "copula+critic", "not a Gaussian copula; the critic finds most"
    return evidence.neighbors, "ksg1", "not a Gaussian copula; neighbors find most"


def _warnings(evidence: _Evidence, method: str) -> tuple[str, ...]:
    ceiling = float(evidence.gain.details["ceiling_nats"])
    if _beyond_critic(evidence):
        return (f"too much information for the ceiling ln K = {ceiling:.4g} nats to check that the copula is Gaussian",)
    if method == "gaussian_copula":
        return ()
    found = []
    if evidence.dim > _EASY_DIMENSIONS:
        found.append(f"not a Gaussian copula, in {evidence.dim} dimensions: the estimate tends to fall short")
    if evidence.neighbors is not None:
        first, second = sorted((evidence.critic.value, evidence.neighbors.value))
        if second - first > max(0.1, 0.1 * second):
            found.append(
                f"methods disagree: critic {evidence.critic.value:.4g}, ksg1 {evidence.neighbors.value:.4g} nats"
            )
    return tuple(found)


def _beyond_critic(evidence: _Evidence) -> bool:
    """True also when a value is not a number."""
    limit = _NEAR_CEILING * float(evidence.gain.details["ceiling_nats"])
    return not (evidence.copula.value < limit and evidence.critic.value < limit)


def _width(value: Estimate) -> float:
    """Width of the 95 % interval: about four standard errors."""
    return math.nan if value.low is None or value.high is None else value.high - value.low


def _arrays(x: Tensor, z: Tensor) -> tuple[np.ndarray, np.ndarray]:
    for name, part in (("x", x), ("z", z)):
        _check_samples(name, part)
    if len(x) != len(z):
        raise ValueError(f"x, z: expected paired samples, got {len(x)} and {len(z)}")
    check_count("x: samples", len(x), _MINIMUM_SAMPLES)
    columns = (part if part.ndim == 2 else part[:, None] for part in (x, z))
    x, z = (part.detach().double().cpu() for part in columns)
    _check_varied("x", x)
    _check_varied("z", z)
    return x.numpy(), z.numpy()


def _check_samples(name: str, part: Tensor) -> None:
    if not isinstance(part, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(part).__name__}; convert it with torch.as_tensor")
    if part.ndim not in (1, 2) or 0 in part.shape:
        raise ValueError(f"{name}: expected [n] or [n, dim], got shape {tuple(part.shape)}; flatten it first")
    check_finite(name, part)


def _check_varied(name: str, part: Tensor) -> None:
    constant = (part == part[0]).all(dim=0).nonzero().flatten().tolist()
    if constant:
        raise ValueError(
            f"{name}: expected variables that vary, got constant columns {constant}; drop them, they hold nothing"
        )


def _warn_of_repeats(x: np.ndarray, z: np.ndarray) -> list[str]:
    """Which variables are not continuous, as far as samples show."""
    found = []
    for name, part in (("x", x), ("z", z)):
        shares = [_repeated_share(column) for column in part.T]
        worst = int(np.argmax(shares))
        if shares[worst] > _REPEATS:
            found.append(
                f"{name}: {shares[worst]:.0%} of the samples repeat another's value in column {worst}; these are estimators "
                "for continuous variables"
            )
    return found


def _repeated_share(column: np.ndarray) -> float:
    """Share of samples whose value occurs more than once."""
    counts = np.unique(column, return_counts=True)[1]
    return float(counts[counts > 1].sum() / len(column))
