"""foolbox behind one adapter: torch tensors in and out, explicit seeds, no eager types outside.

This is the only module that imports foolbox. Whatever an attack returns is clipped to the budget and scored again by the
caller, so an attack can be weak but it cannot cheat.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.attacks.attack import AttackKind, Run
from msda_analysis.attacks.perturbation import Norm

#: Gaussian noise scaled to an L-infinity budget: foolbox has the parts but no such attack. Our name -> its base class.
_ADDED = {
    "LinfAdditiveGaussianNoiseAttack": "BaseAdditiveNoiseAttack",
    "LinfRepeatedAdditiveGaussianNoiseAttack": "BaseRepeatedAdditiveNoiseAttack",
}


@contextmanager
def forked_seed(key: int, device: torch.device) -> Iterator[None]:
    """Run a block under its own seed of torch's global generators and put their state back afterwards.

    foolbox draws from the global generators only; this keeps its draws a function of `key`.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(key)
        yield


def foolbox_kind(label: str, foolbox: Mapping[Norm, str], **more: Any) -> AttackKind:
    """The entry of an attack that is foolbox's own, with foolbox's settings and defaults.

    Args:
        label: how readers know it.
        foolbox: its class of foolbox.attacks by norm.
        more: further fields of AttackKind.
    """

    def build(norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
        return as_run(build_foolbox(foolbox[norm], **settings)), settings

    return AttackKind(label, build, tuple(foolbox), foolbox, **more)


def build_foolbox(name: str, **settings: Any) -> Any:
    """An attack object of foolbox by the name of its class, with foolbox's defaults unless `settings` says otherwise."""
    attacks = _import_foolbox().attacks
    if name in _ADDED:
        parts = attacks.additive_noise
        bases = (parts.LinfMixin, parts.GaussianMixin, getattr(parts, _ADDED[name]))
        return type("LinfAdditiveGaussianNoise", bases, {})(**settings)
    return getattr(attacks, name)(**settings)


def as_run(built: Any) -> Run:
    """A foolbox attack object as an attack runs."""

    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        return run_foolbox(built, model, images, labels, epsilon=epsilon, key=key)

    return run


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


def _import_foolbox() -> Any:
    with warnings.catch_warnings():
        # it imports a SciPy module that is due to go; the package pins SciPy below that version
        warnings.simplefilter("ignore", DeprecationWarning)
        import foolbox
    return foolbox
