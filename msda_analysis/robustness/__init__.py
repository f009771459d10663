"""Robustness of a classifier: attacks by name, an evaluation with intervals, and checks that say when not to trust it."""

from msda_analysis.robustness.catalog import ATTACKS, Attack, create_attack
from msda_analysis.robustness.evaluate import PAPER_EPSILONS, evaluate
from msda_analysis.robustness.outcome import Outcome
from msda_analysis.robustness.perturbation import NORMS

__all__ = ["ATTACKS", "NORMS", "PAPER_EPSILONS", "Attack", "Outcome", "create_attack", "evaluate"]
