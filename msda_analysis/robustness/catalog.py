"""Attacks by name: in which norms each exists, what can be set, and how one is run on a batch."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn

from msda_analysis.checks import check_choice, check_count
from msda_analysis.rng import derive_key
from msda_analysis.robustness.apgd import ApgdSettings, apgd
from msda_analysis.robustness.attacks import build_foolbox, run_foolbox
from msda_analysis.robustness.deepfool import DeepFoolSettings, deepfool
from msda_analysis.robustness.perturbation import NORMS, Norm, clip_to_budget, is_misclassified
from msda_analysis.robustness.square import SquareSettings, square_attack

#: (model, images, labels, epsilon or None, key) -> perturbed images, to be clipped and scored by the caller.
Run = Callable[[nn.Module, Tensor, Tensor, float | None, int], Tensor]

_BOTH: tuple[Norm, ...] = NORMS
_NORMS_OF: dict[str, tuple[Norm, ...]] = {
    "fgsm": _BOTH,
    "bim": _BOTH,
    "pgd": _BOTH,
    "uniform_noise": _BOTH,
    "gaussian_noise": _BOTH,
    "deepfool": _BOTH,
    "fmn": _BOTH,
    "ddn": ("l2",),
    "apgd_ce": _BOTH,
    "apgd_dlr": _BOTH,
    "square": ("linf",),
    "foolbox_deepfool": _BOTH,
}
_BLIND = ("uniform_noise", "gaussian_noise")
_BLACK_BOX = (*_BLIND, "square")

#: Attacks that search the smallest perturbation, once, instead of one within each budget.
MINIMUM_NORM_ATTACKS = ("deepfool", "fmn", "ddn", "foolbox_deepfool")
#: Gradient attacks of many steps, together the check on what FGSM and DeepFool say.
STRONG_GRADIENT_ATTACKS = ("bim", "pgd", "fmn", "ddn", "apgd_ce", "apgd_dlr")
#: Names accepted by evaluate().
ATTACKS: tuple[str, ...] = tuple(_NORMS_OF)


@dataclass(frozen=True)
class Attack:
    """One attack, ready to run on a batch.

    Attributes:
        name: how tables call it.
        norm: "linf" or "l2".
        run: takes (model, images, labels, epsilon, key), returns perturbed images; epsilon is None when `is_minimum_norm`.
        is_minimum_norm: it searches the smallest perturbation, once, instead of one per budget.
        is_black_box: it looks at outputs only, never at gradients.
        is_blind: it draws a perturbation without any look at the model: no search, so that evaluate() takes every budget
            for itself.
        settings: what was set, for the record; part of what a resumed evaluation compares.
    """

    name: str
    norm: Norm
    run: Run = field(repr=False)
    is_minimum_norm: bool = False
    is_black_box: bool = False
    is_blind: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def list_attacks(norm: Norm) -> tuple[str, ...]:
    """Names of the attacks that exist in a norm."""
    check_choice("norm", norm, NORMS)
    return tuple(name for name, norms in _NORMS_OF.items() if norm in norms)


def create_attack(name: str, norm: Norm = "linf", **settings: Any) -> Attack:
    """An attack by name.

    Settings that differ from the attack's own defaults go as keywords: `steps`, `rel_stepsize` for "bim" and "pgd";
    `restarts` for "pgd" and "apgd_*"; `repeats` for the noises (draws per image and budget, 1 unless set; with m of them
    an image is broken when any draw breaks it, and the attack is named "..._worst_of_m"); the fields of DeepFoolSettings, ApgdSettings, SquareSettings for the native ones; foolbox's own keywords elsewhere.

    Raises:
        ValueError: unknown name, or the attack does not exist in that norm.
        TypeError: the attack has no such setting.
    """
    check_choice("name", name, ATTACKS)
    check_choice("norm", norm, NORMS)
    check_choice(f"norm of attack {name!r}", norm, _NORMS_OF[name])
    try:
        run, settings = _prepare(name, norm, dict(settings))
    except TypeError as error:
        raise TypeError(f"settings of attack {name!r}: {error}") from error
    kind = {
        "is_minimum_norm": name in MINIMUM_NORM_ATTACKS, "is_black_box": name in _BLACK_BOX, "is_blind": name in _BLIND,
    }  # fmt: skip
    draws = settings.get("repeats", 1) if name in _BLIND else 1
    return Attack(name if draws == 1 else f"{name}_worst_of_{draws}", norm, run, settings=settings, **kind)


def _prepare(name: str, norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    if name == "deepfool":
        return _prepare_deepfool(norm, DeepFoolSettings(**settings))
    if name in ("apgd_ce", "apgd_dlr"):
        return _prepare_apgd(norm, ApgdSettings(loss="ce" if name == "apgd_ce" else "dlr", **settings))
    if name == "square":
        return _prepare_square(SquareSettings(**settings))
    if name in _BLIND:
        return _prepare_noise(name, norm, settings)
    return _prepare_foolbox(name, norm, settings)


def _prepare_deepfool(norm: Norm, settings: DeepFoolSettings) -> tuple[Run, dict[str, Any]]:
    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        return deepfool(model, images, labels, norm=norm, settings=settings)

    return run, asdict(settings)


def _prepare_apgd(norm: Norm, settings: ApgdSettings) -> tuple[Run, dict[str, Any]]:
    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        assert epsilon is not None
        return apgd(model, images, labels, epsilon=epsilon, key=key, norm=norm, settings=settings)

    return run, asdict(settings)


def _prepare_square(settings: SquareSettings) -> tuple[Run, dict[str, Any]]:
    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        assert epsilon is not None
        return square_attack(model, images, labels, epsilon=epsilon, key=key, settings=settings)

    return run, asdict(settings)


def _prepare_noise(name: str, norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    repeats = settings.pop("repeats", 1)
    check_count("repeats", repeats)
    if repeats == 1:
        return _prepare_foolbox(name, norm, settings)
    run, _ = _prepare_foolbox(f"repeated_{name}", norm, {**settings, "repeats": repeats})
    return run, {**settings, "repeats": repeats}


def _prepare_foolbox(name: str, norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    restarts = settings.pop("restarts", 1) if name == "pgd" else 1
    check_count("restarts", restarts)
    built = build_foolbox(name, norm, **settings)

    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        return run_foolbox(built, model, images, labels, epsilon=epsilon, key=key)

    if restarts == 1:
        return run, settings
    return _repeat(run, restarts, norm), {**settings, "restarts": restarts}


def _repeat(run: Run, restarts: int, norm: Norm) -> Run:
    """The attack started several times, each time on the images that no start has broken yet."""

    def run_again(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        assert epsilon is not None
        result = run(model, images, labels, epsilon, key)
        for restart in range(1, restarts):
            clipped = clip_to_budget(images, result, epsilon=epsilon, norm=norm)
            left = (~is_misclassified(model, clipped, labels)).nonzero().squeeze(1)
            if not len(left):
                break
            result[left] = run(model, images[left], labels[left], epsilon, derive_key(key, "restart", restart))
        return result

    return run_again
