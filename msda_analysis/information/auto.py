"""The default estimator: blocks of variables, and for each the copula, critic or neighbors that find most."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from msda_analysis.estimate import Estimate
from msda_analysis.information.blocks import find_blocks
from msda_analysis.information.ceiling import NEAR_CEILING
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.gaussian import estimate_gaussian
from msda_analysis.information.neighbors import estimate_ksg
from msda_analysis.information.ranks import normal_scores
from msda_analysis.information.residual import estimate_with_residual
from msda_analysis.information.student import estimate_student
from msda_analysis.rng import derive_key

_KSG_DIMENSIONS = 10  # beyond it neighbors say nothing and cost much
_EASY_DIMENSIONS = 4  # of x and z together
_INTERVAL = "95 % of the sampling error of the chosen method; its bias is not in it"


@dataclass(frozen=True)
class Thresholds:
    """How much more than the copula a method must find to be believed; chosen on `closed_form.cases()`.

    Attributes:
        critic, critic_widths: nats, and widths of its interval.
        neighbors, neighbors_widths: the same for nearest neighbors.
    """

    critic: float = 0.02
    critic_widths: float = 1.5
    neighbors: float = 0.03
    neighbors_widths: float = 0.75


@dataclass(frozen=True)
class Evidence:
    """What is known of one block: the copulas (Student's only where it fits better), critic, neighbors (few dimensions).

    Attributes:
        gain: what the critic adds to the Gaussian copula.
        dim: dimensions of both variables together.
    """

    copula: Estimate
    student: Estimate | None
    gain: Estimate
    neighbors: Estimate | None
    dim: int

    @property
    def critic(self) -> Estimate:
        """Copula plus gain."""
        value, half = self.copula.value + self.gain.value, float(self.gain.details["half_width"])
        return Estimate(value, "nats", value - half, value + half, self.copula.n)

    @property
    def ceiling(self) -> float:
        return float(self.gain.details["ceiling_nats"])

    def is_beyond_critic(self) -> bool:
        """True also when a value is not a number."""
        limit = NEAR_CEILING * self.ceiling
        return not (self.copula.value < limit and self.critic.value < limit)

    def critic_adds(self, limits: Thresholds) -> bool:
        if self.student is not None:  # the critic must find more than the better copula
            return self.critic.value - self.student.value > max(
                limits.critic, limits.critic_widths * width(self.critic)
            )
        return abs(self.gain.value) > max(limits.critic, limits.critic_widths * width(self.gain))

    def neighbors_add(self, limits: Thresholds) -> bool:
        if self.neighbors is None:
            return False
        more = self.neighbors.value - (self.student or self.copula).value
        return more > max(limits.neighbors, limits.neighbors_widths * width(self.neighbors))


def estimate_auto(x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> Estimate:
    """As `estimators.estimate` with method "auto", without its checks.

    Args:
        x, z: [n, dim_x] and [n, dim_z] float64, paired samples.
        seed: stream seed.
        fit: training of the critics.
    """
    copula = estimate_gaussian(x, z, ranks=True)
    blocks = find_blocks(x, z) or [(np.arange(x.shape[1]), np.arange(z.shape[1]))]
    found = [gather_evidence(x[:, a], z[:, b], derive_key(seed, "auto", i), fit) for i, (a, b) in enumerate(blocks)]
    return combine(copula, found, x.shape[1] + z.shape[1])


def gather_evidence(x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> Evidence:
    """Every method on one block."""
    dim = x.shape[1] + z.shape[1]
    copula, gain = estimate_with_residual(x, z, seed, fit)
    neighbors = estimate_ksg(normal_scores(x), normal_scores(z)) if dim <= _KSG_DIMENSIONS else None
    student = estimate_student(x, z, float(copula.details["correction_nats"]))
    return Evidence(copula, student, gain, neighbors, dim)


def combine(copula: Estimate, blocks: Sequence[Evidence], dim: int, limits: Thresholds | None = None) -> Estimate:
    """The copula of all variables, and what the chosen method of each block finds beyond the copula of that block.

    Args:
        copula: of all variables.
        blocks: evidence on each.
        dim: dimensions of all variables of x and z together.
        limits: thresholds of the choice.
    """
    limits = limits or Thresholds()
    chosen = [_choose(block, limits) for block in blocks]
    value = copula.value + sum(
        best.value - block.copula.value for (best, *_), block in zip(chosen, blocks, strict=True)
    )
    rest = width(copula) ** 2 - sum(width(block.copula) ** 2 for block in blocks)
    half = 0.5 * math.sqrt(max(rest, 0.0) + sum(width(best) ** 2 for best, *_ in chosen))
    method, reason = (_join(part) for part in zip(*((name, why) for _, name, why in chosen), strict=True))
    details: dict[str, float | str] = {
        "method": method,
        "reason": reason,
        "interval": _INTERVAL,
        "blocks": len(blocks),
        "copula_nats": copula.value,
        "critic_nats": copula.value + sum(block.gain.value for block in blocks),
        "ceiling_nats": min(block.ceiling for block in blocks),
        "steps": sum(float(block.gain.details["steps"]) for block in blocks),
    }
    if all(block.neighbors for block in blocks):
        extra = sum(block.neighbors.value - block.copula.value for block in blocks if block.neighbors)
        details["ksg1_nats"] = copula.value + extra
    warnings = [text for block, (_, name, _) in zip(blocks, chosen, strict=True) for text in _warnings(block, name)]
    if dim > _EASY_DIMENSIONS:
        warnings.insert(0, _warn_of_dimensions(dim, method))
    return Estimate(value, "nats", value - half, value + half, copula.n, None, tuple(dict.fromkeys(warnings)), details)


def width(value: Estimate) -> float:
    """Width of the 95 % interval: about four standard errors."""
    return math.nan if value.low is None or value.high is None else value.high - value.low


def _choose(evidence: Evidence, limits: Thresholds) -> tuple[Estimate, str, str]:
    """The estimate of a block to give, its name and the reason."""
    base, name = (evidence.student or evidence.copula), "student_copula" if evidence.student else "gaussian_copula"
    if evidence.is_beyond_critic():
        return base, name, "more information than a critic can check"
    if not evidence.critic_adds(limits) and not evidence.neighbors_add(limits):
        if evidence.student:
            return base, name, "a Student copula fits better than a Gaussian one, and nothing finds more"
        return base, name, "neither a critic nor neighbors find more than a Gaussian copula"
    if evidence.neighbors is None or evidence.critic.value >= evidence.neighbors.value:
        return evidence.critic, "copula+critic", "not that copula; the critic finds most"
    return evidence.neighbors, "ksg1", "not that copula; neighbors find most"


def _warnings(evidence: Evidence, method: str) -> list[str]:
    """What speaks against the choice for one block."""
    if evidence.is_beyond_critic():
        return [
            f"too much information for the ceiling ln K = {evidence.ceiling:.4g} nats to check that the copula is Gaussian"
        ]
    if evidence.neighbors is None or method.endswith("_copula"):
        return []
    first, second = sorted((evidence.critic.value, evidence.neighbors.value))
    if second - first <= max(0.1, 0.1 * second):
        return []
    return [f"methods disagree: critic {evidence.critic.value:.4g}, ksg1 {evidence.neighbors.value:.4g} nats"]


def _warn_of_dimensions(dim: int, method: str) -> str:
    if method == "gaussian_copula":
        return f"{dim} dimensions: nothing was found against a Gaussian copula, which is no evidence for one"
    return f"not a Gaussian copula, in {dim} dimensions: the estimate tends to fall short"


def _join(parts: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(parts))


ESTIMATORS = {"auto": estimate_auto}
