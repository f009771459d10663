"""Estimators and bounds on the cases whose answer is known: each number beside its truth."""

from dataclasses import dataclass
from functools import cache

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.information.between import between_encoders
from msda_analysis.information.encoder_bounds import encoder_bounds
from msda_analysis.information.estimators import estimate
from msda_analysis.information.measured import measured_numbers
from msda_analysis.information.truths import closed_form, linear_encoders, scoring_cases, shaped_encoders
from msda_analysis.rng import derive_key, stream

#: What is checked: estimators from samples, the same on cases that no threshold was chosen on, bounds of one encoder,
#: information between two encoders.
CHECKS = ("samples", "scored", "encoder", "between")

Case = closed_form.Case | linear_encoders.EncoderCase | linear_encoders.PairCase


@dataclass(frozen=True)
class Answer:
    """One measured number and what it should be.

    Attributes:
        case: name of the case.
        method: estimator or bound.
        truth: exact information, nats.
        found: what was measured, nats.
    """

    case: str
    method: str
    truth: float
    found: Estimate

    @property
    def error(self) -> float:
        """Measured minus true, nats."""
        return self.found.value - self.truth

    def measured(self, check: str) -> list[Measured]:
        """As numbers "known_CHECK": label is the case, x the truth, verdict the method that the default chose."""
        chosen = str(self.found.details["method"]) if self.method == "auto" else ""
        return measured_numbers(f"known_{check}", self.found, label=self.case, x=self.truth, verdict=chosen)


@cache
def known_cases(check: str) -> dict[str, Case]:
    """Cases of a check by name, in order."""
    lists = {
        "samples": closed_form.cases,
        "scored": scoring_cases.scored_cases,
        "encoder": lambda: [*linear_encoders.encoder_cases(), *shaped_encoders.shaped_cases()],
        "between": linear_encoders.pair_cases,
    }
    return {case.name: case for case in lists[check]()}


def answer_samples(case: closed_form.Case, method: str, n: int = 4000, seed: int = 0) -> Answer:
    """One estimator on one case; all methods see the same samples.

    Args:
        case: one of `closed_form.cases()`, `scoring_cases.scored_cases()`, or your own.
        method: one of estimators.METHODS.
        n: samples.
        seed: stream seed of samples and estimator.

    Raises:
        ValueError: the method refuses the case, for example for too few samples.
    """
    x, z = case.sample(n, stream(seed, f"known_answers/{case.name}"))
    return Answer(case.name, method, case.truth, estimate(x, z, method, seed))


def answer_encoder(case: linear_encoders.EncoderCase, n: int = 8000, seed: int = 0) -> list[Answer]:
    """All bounds of one encoder from n images."""
    code = case.sample(n, stream(seed, f"known_answers/{case.name}"))
    bounds = encoder_bounds(*code, derive_key(seed, "known_answers"))
    return [Answer(case.name, name, case.truth, found) for name, found in bounds.items()]


def answer_between(case: linear_encoders.PairCase, n: int = 8000, seed: int = 0) -> list[Answer]:
    """All bounds and estimates between two encoders from n images."""
    codes = case.sample(n, stream(seed, f"known_answers/{case.name}"))
    found = between_encoders(*codes, derive_key(seed, "known_answers"))
    return [Answer(case.name, name, case.truth, value) for name, value in found.items()]
