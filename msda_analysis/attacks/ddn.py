"""Decoupled direction and norm (Rony et al. 2019); foolbox's, in L2 only."""

from msda_analysis.attacks.foolbox_adapter import foolbox_kind

ATTACKS = {"ddn": foolbox_kind("DDN", {"l2": "DDNAttack"}, is_minimum_norm=True, is_strong_gradient=True)}
