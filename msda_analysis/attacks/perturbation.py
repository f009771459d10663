"""Perturbations in a norm: their size, and the clip to a budget."""

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["linf", "l2"]

#: Norms that budgets and minimum norms may be measured in; images are in [0, 1].
NORMS: tuple[Norm, ...] = ("linf", "l2")


def perturbation_norms(perturbations: Tensor, norm: Norm) -> Tensor:
    """Size of each perturbation.

    Args:
        perturbations: [n, ...] float.
        norm: "linf" (largest absolute pixel change) or "l2" (Euclidean length over all pixels).

    Returns:
        [n] float.
    """
    flat = perturbations.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


def clip_to_budget(images: Tensor, perturbed: Tensor, *, epsilon: float, norm: Norm) -> Tensor:
    """`perturbed` moved back towards `images` until the perturbation is at most `epsilon` long, inside [0, 1].

    "linf" clips every pixel, "l2" shortens the whole perturbation: what foolbox calls the clipped output.

    Args:
        images: [n, channel, *size] float in [0, 1].
        perturbed: the same shape.
        epsilon: budget in [0, 1] pixel units.
        norm: "linf" or "l2".
    """
    change = perturbed - images
    if norm == "linf":
        change = change.clamp(-epsilon, epsilon)
    else:
        lengths = perturbation_norms(change, "l2").clamp(min=1e-12)
        change = expand_like((epsilon / lengths).clamp(max=1.0), change) * change
    return (images + change).clamp(0.0, 1.0)


def expand_like(values: Tensor, images: Tensor) -> Tensor:
    """[n] values with as many trailing axes of length one as `images` has."""
    return values.reshape(-1, *[1] * (images.ndim - 1))


@torch.no_grad()
def is_misclassified(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """bool [n]: the model's first choice is not the label."""
    return model(images).argmax(1) != labels
