"""Projected gradient descent from a random start (Madry et al. 2018); foolbox's, started several times where asked."""

from typing import Any

from torch import Tensor, nn

from msda_analysis.attacks.attack import AttackKind, Run
from msda_analysis.attacks.foolbox_adapter import as_run, build_foolbox
from msda_analysis.attacks.perturbation import Norm, clip_to_budget, is_misclassified
from msda_analysis.checks import check_count
from msda_analysis.rng import derive_key

_FOOLBOX: dict[Norm, str] = {"linf": "LinfProjectedGradientDescentAttack", "l2": "L2ProjectedGradientDescentAttack"}


def _build(norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    restarts = settings.pop("restarts", 1)
    check_count("restarts", restarts)
    run = as_run(build_foolbox(_FOOLBOX[norm], **settings))
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


#: Settings: steps, rel_stepsize, restarts.
ATTACKS = {"pgd": AttackKind("PGD", _build, foolbox=_FOOLBOX, is_strong_gradient=True)}
