"""Attacks by name: what each is called, in which norms it exists, and how one is run on a batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from msda_analysis.checks import check_choice
from msda_analysis.robustness.attacks import build_foolbox, run_foolbox
from msda_analysis.robustness.perturbation import NORMS, Norm

#: (model, images, labels, epsilon or None, key) -> perturbed images, to be clipped and scored by the caller.
Run = Callable[[nn.Module, Tensor, Tensor, float | None, int], Tensor]

#: Names accepted by evaluate().
ATTACKS: tuple[str, ...] = ("fgsm", "bim", "pgd", "uniform_noise", "deepfool")


@dataclass(frozen=True)
class Attack:
    """One attack, ready to run on a batch.

    Attributes:
        name: how tables call it.
        norm: "linf" or "l2".
        run: takes (model, images, labels, epsilon, key), returns perturbed images; epsilon is None when `is_minimum_norm`.
        is_minimum_norm: it searches the smallest perturbation, once, instead of one per budget.
        is_black_box: it looks at outputs only, never at gradients.
        settings: what was set, for the record.
    """

    name: str
    norm: Norm
    run: Run
    is_minimum_norm: bool = False
    is_black_box: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def create_attack(name: str, norm: Norm = "linf", **settings: Any) -> Attack:
    """An attack by name, with the field's default settings unless told otherwise.

    Args:
        name: one of ATTACKS.
        norm: "linf" or "l2".
        settings: passed to the attack, for example steps=100 for "pgd".

    Raises:
        ValueError: unknown name or norm.
    """
    check_choice("name", name, ATTACKS)
    check_choice("norm", norm, NORMS)
    built = build_foolbox("foolbox_deepfool" if name == "deepfool" else name, norm, **settings)

    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        return run_foolbox(built, model, images, labels, epsilon=epsilon, key=key)

    return Attack(
        name, norm, run, is_minimum_norm=name == "deepfool", is_black_box=name.endswith("noise"), settings=settings
    )
