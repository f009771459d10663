"""The fast gradient sign method, one step (Goodfellow et al. 2015); foolbox's."""

from msda_analysis.attacks.foolbox_adapter import foolbox_kind

ATTACKS = {"fgsm": foolbox_kind("FGSM", {"linf": "LinfFastGradientAttack", "l2": "L2FastGradientAttack"})}
