"""DeepFool as foolbox implements it, which the released experiment ran."""

from msda_analysis.attacks.foolbox_adapter import foolbox_kind

ATTACKS = {
    "foolbox_deepfool": foolbox_kind(
        "foolbox deepfool", {"linf": "LinfDeepFoolAttack", "l2": "L2DeepFoolAttack"}, is_minimum_norm=True
    )
}
