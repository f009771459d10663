"""foolbox behind one adapter: torch tensors in and out, explicit seeds, no eager types outside.

This is the only module that imports foolbox. Whatever an attack returns is clipped to the budget and scored again by the
caller, so an attack can be weak but it cannot cheat.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.robustness.perturbation import Norm

#: Class of foolbox.attacks by (our name, norm).
FOOLBOX_CLASSES: dict[tuple[str, Norm], str] = {
    ("fgsm", "linf"): "LinfFastGradientAttack",
    ("fgsm", "l2"): "L2FastGradientAttack",
    ("bim", "linf"): "LinfBasicIterativeAttack",
    ("bim", "l2"): "L2BasicIterativeAttack",
    ("pgd", "linf"): "LinfProjectedGradientDescentAttack",
    ("pgd", "l2"): "L2ProjectedGradientDescentAttack",
    ("fmn", "linf"): "LInfFMNAttack",
    ("fmn", "l2"): "L2FMNAttack",
    ("ddn", "l2"): "DDNAttack",
    ("uniform_noise", "linf"): "LinfAdditiveUniformNoiseAttack",
    ("uniform_noise", "l2"): "L2AdditiveUniformNoiseAttack",
    ("gaussian_noise", "l2"): "L2AdditiveGaussianNoiseAttack",
    ("repeated_uniform_noise", "linf"): "LinfRepeatedAdditiveUniformNoiseAttack",
    ("repeated_uniform_noise", "l2"): "L2RepeatedAdditiveUniformNoiseAttack",
    ("repeated_gaussian_noise", "l2"): "L2RepeatedAdditiveGaussianNoiseAttack",
    ("foolbox_deepfool", "linf"): "LinfDeepFoolAttack",
    ("foolbox_deepfool", "l2"): "L2DeepFoolAttack",
}

#: The released experiment's attacks in its order, all with foolbox's defaults.
RELEASED_ATTACKS = ("fgsm", "pgd", "bim", "uniform_noise", "foolbox_deepfool")


@contextmanager
def forked_seed(key: int, device: torch.device) -> Iterator[None]:
    """Run a block under its own seed of torch's global generators and put their state back afterwards.

    foolbox draws from the global generators only; this keeps its draws a function of `key`.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(key)
        yield


def build_foolbox(name: str, norm: Norm, **settings: Any) -> Any:
    """A foolbox attack object of ours by name, with foolbox's defaults unless `settings` says otherwise."""
    attacks = _import_foolbox().attacks
    if norm == "linf" and name.endswith("gaussian_noise"):
        return _linf_gaussian_class(attacks, is_repeated=name.startswith("repeated"))(**settings)
    return getattr(attacks, FOOLBOX_CLASSES[name, norm])(**settings)


def run_foolbox(
    attack: Any, model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float | None, key: int
) -> Tensor:
    """Perturbed images from a foolbox attack: raw, neither clipped to the budget nor checked.

    Args:
        attack: from build_foolbox.
        model: maps images [n, channel, *size] in [0, 1] to logits [n, classes], in eval mode.
        images: [n, channel, *size] float in [0, 1].
        labels: [n] int64.
        epsilon: budget in the attack's norm; None for attacks that search the minimum norm.
        key: seed of this call's draws.
    """
    wrapped = wrap_model(model, images.device)
    budget = {} if epsilon is None else {"epsilon": epsilon}
    with forked_seed(key, images.device):
        return attack.run(wrapped, images, labels, **budget).detach()


def call_foolbox(attack: Any, wrapped: Any, images: Tensor, labels: Tensor, *, epsilons: list[float]) -> Tensor:
    """Success [epsilon, n] as foolbox itself scores it, drawing from torch's global generators as they stand."""
    _, _, success = attack(wrapped, images, labels, epsilons=epsilons)
    return success


def wrap_model(model: nn.Module, device: torch.device) -> Any:
    """foolbox's view of a model on images in [0, 1]; the model stays on its device."""
    return _import_foolbox().PyTorchModel(model, bounds=(0, 1), device=device)


def _linf_gaussian_class(attacks: Any, *, is_repeated: bool) -> type:
    """Gaussian noise scaled to an L-infinity budget: foolbox has the parts but no such attack."""
    parts = attacks.additive_noise
    base = parts.BaseRepeatedAdditiveNoiseAttack if is_repeated else parts.BaseAdditiveNoiseAttack
    return type("LinfAdditiveGaussianNoise", (parts.LinfMixin, parts.GaussianMixin, base), {})


def _import_foolbox() -> Any:
    with warnings.catch_warnings():
        # it imports a SciPy module that is due to go; the package pins SciPy below that version
        warnings.simplefilter("ignore", DeprecationWarning)
        import foolbox
    return foolbox
