"""Robustness of a classifier: attacks by name, an evaluation with intervals, and checks that say when not to trust it."""

from msda_analysis.attacks import ATTACKS, Attack, create_attack, list_attacks
from msda_analysis.attacks.mixup_direction import mixup_direction_attack
from msda_analysis.attacks.perturbation import NORMS
from msda_analysis.robustness.archive import read_outcomes
from msda_analysis.robustness.arguments import epsilon_from_text
from msda_analysis.robustness.comparison import Comparison, compare, measured_differences
from msda_analysis.robustness.curves import compare_claims, compare_curves, curve_values, working_budgets
from msda_analysis.robustness.evaluate import MODES, PAPER_EPSILONS, evaluate
from msda_analysis.robustness.evidence import TrustSettings
from msda_analysis.robustness.mixup_likeness import measure_likeness
from msda_analysis.robustness.outcome import Flag, Outcome, measured_outcome
from msda_analysis.robustness.released import RELEASED_ATTACKS, evaluate_released
from msda_analysis.robustness.statistics import mcnemar, median_norm, nested_difference, survival_curve

__all__ = [
    "ATTACKS",
    "MODES",
    "NORMS",
    "PAPER_EPSILONS",
    "RELEASED_ATTACKS",
    "Attack",
    "Comparison",
    "Flag",
    "Outcome",
    "TrustSettings",
    "compare_claims",
    "compare",
    "compare_curves",
    "create_attack",
    "curve_values",
    "epsilon_from_text",
    "evaluate",
    "evaluate_released",
    "list_attacks",
    "mcnemar",
    "measure_likeness",
    "measured_differences",
    "measured_outcome",
    "median_norm",
    "mixup_direction_attack",
    "nested_difference",
    "read_outcomes",
    "survival_curve",
    "working_budgets",
]
