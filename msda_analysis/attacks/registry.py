"""Attacks by name: to add one, write its file, with a table ATTACKS, and its line in FILES."""

from importlib import import_module
from typing import Any

from msda_analysis.attacks.attack import Attack, AttackKind
from msda_analysis.attacks.perturbation import NORMS, Norm
from msda_analysis.checks import check_choice

#: The files of this folder that hold attacks, in the order in which these are listed.
FILES = (
    "fgsm",
    "bim",
    "pgd",
    "uniform_noise",
    "gaussian_noise",
    "deepfool",
    "fmn",
    "ddn",
    "apgd",
    "square",
    "foolbox_deepfool",
)
#: Names accepted by evaluate(), each with its entry.
ATTACKS: dict[str, AttackKind] = {}
for _file in FILES:
    ATTACKS |= import_module(f"{__package__}.{_file}").ATTACKS
#: Attacks that search the smallest perturbation, once, instead of one within each budget.
MINIMUM_NORM_ATTACKS = tuple(name for name, kind in ATTACKS.items() if kind.is_minimum_norm)
#: Gradient attacks of many steps, together the check on what FGSM and DeepFool say.
STRONG_GRADIENT_ATTACKS = tuple(name for name, kind in ATTACKS.items() if kind.is_strong_gradient)


def list_attacks(norm: Norm) -> tuple[str, ...]:
    """Names of the attacks that exist in a norm."""
    check_choice("norm", norm, NORMS)
    return tuple(name for name, kind in ATTACKS.items() if norm in kind.norms)


def create_attack(name: str, norm: Norm = "linf", **settings: Any) -> Attack:
    """An attack by name.

    Settings that differ from the attack's own defaults go as keywords: `steps`, `rel_stepsize` for "bim" and "pgd";
    `restarts` for "pgd" and "apgd_*"; `repeats` for the noises (draws per image and budget, 1 unless set; with m of them
    an image is broken when any draw breaks it, and the attack is named "..._worst_of_m"); the fields of
    DeepFoolSettings, ApgdSettings, SquareSettings for the native ones; foolbox's own keywords elsewhere.

    Raises:
        ValueError: unknown name, or the attack does not exist in that norm.
        TypeError: the attack has no such setting.
    """
    check_choice("name", name, list(ATTACKS))
    check_choice("norm", norm, NORMS)
    kind = ATTACKS[name]
    check_choice(f"norm of attack {name!r}", norm, kind.norms)
    try:
        run, settings = kind.build(norm, dict(settings))
    except TypeError as error:
        raise TypeError(f"settings of attack {name!r}: {error}") from error
    draws = settings.get("repeats", 1) if kind.is_blind else 1
    return Attack(
        name if draws == 1 else f"{name}_worst_of_{draws}", norm, run, kind.is_minimum_norm, kind.is_black_box,
        kind.is_blind, settings,
    )  # fmt: skip
