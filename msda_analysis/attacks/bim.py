"""The basic iterative method (Kurakin et al. 2017); foolbox's. Settings: steps, rel_stepsize."""

from msda_analysis.attacks.foolbox_adapter import foolbox_kind

ATTACKS = {
    "bim": foolbox_kind(
        "BIM", {"linf": "LinfBasicIterativeAttack", "l2": "L2BasicIterativeAttack"}, is_strong_gradient=True
    )
}
