"""The fast minimum-norm attack (Pintor et al. 2021); foolbox's."""

from msda_analysis.attacks.foolbox_adapter import foolbox_kind

ATTACKS = {
    "fmn": foolbox_kind(
        "FMN", {"linf": "LInfFMNAttack", "l2": "L2FMNAttack"}, is_minimum_norm=True, is_strong_gradient=True
    )
}
