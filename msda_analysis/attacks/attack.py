"""What an attack is: one that is ready to run, and the entry that its file registers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from msda_analysis.attacks.perturbation import NORMS, Norm

#: (model, images, labels, epsilon or None, key) -> perturbed images, to be clipped and scored by the caller.
Run = Callable[[nn.Module, Tensor, Tensor, float | None, int], Tensor]
#: (norm, settings) -> how it runs, and the settings for the record.
Build = Callable[[Norm, dict[str, Any]], tuple[Run, dict[str, Any]]]


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


@dataclass(frozen=True)
class AttackKind:
    """The entry of an attack in ATTACKS.

    Attributes:
        label: how readers know it.
        build: makes it run with settings; TypeError for one that it does not have.
        norms: in which it exists.
        foolbox: its classes in foolbox.attacks by norm, where it is foolbox's.
        is_minimum_norm, is_black_box, is_blind: see Attack.
        is_strong_gradient: it follows gradients over many steps: together such attacks check what FGSM and DeepFool say.
    """

    label: str
    build: Build
    norms: tuple[Norm, ...] = NORMS
    foolbox: Mapping[Norm, str] = field(default_factory=dict)
    is_minimum_norm: bool = False
    is_black_box: bool = False
    is_blind: bool = False
    is_strong_gradient: bool = False
