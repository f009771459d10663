"""Noise as a blind attack: one draw per image and budget, or the worst of several."""

from typing import Any

from msda_analysis.attacks.attack import AttackKind, Run
from msda_analysis.attacks.foolbox_adapter import as_run, build_foolbox
from msda_analysis.attacks.perturbation import Norm
from msda_analysis.checks import check_count

_PREFIXES: dict[Norm, str] = {"linf": "Linf", "l2": "L2"}


def noise_kind(label: str, name: str) -> AttackKind:
    """The entry of a noise. Settings: `repeats`, draws per image and budget, 1 unless set.

    Args:
        label: how readers know it.
        name: of foolbox's class without its norm.
    """

    def build(norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
        repeats = settings.pop("repeats", 1)
        check_count("repeats", repeats)
        if repeats == 1:
            return as_run(build_foolbox(f"{_PREFIXES[norm]}{name}", **settings)), settings
        settings = {**settings, "repeats": repeats}
        return as_run(build_foolbox(f"{_PREFIXES[norm]}Repeated{name}", **settings)), settings

    foolbox: dict[Norm, str] = {norm: f"{prefix}{name}" for norm, prefix in _PREFIXES.items()}
    return AttackKind(label, build, foolbox=foolbox, is_black_box=True, is_blind=True)
