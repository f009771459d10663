"""Decoupled direction and norm (Rony et al. 2019); foolbox's, in L2 only."""

from msda_analysis.attacks.foolbox_adapter import foolbox_kind

DDN = foolbox_kind("DDN", {"l2": "DDNAttack"}, is_minimum_norm=True)
