"""Attacks on classifiers, one a file, each registered once in ATTACKS."""

from msda_analysis.attacks.attack import Attack, AttackKind, Run
from msda_analysis.attacks.perturbation import NORMS
from msda_analysis.attacks.registry import ATTACKS, create_attack, list_attacks

__all__ = ["ATTACKS", "NORMS", "Attack", "AttackKind", "Run", "create_attack", "list_attacks"]
