"""DeepFool for a whole batch: finished images leave, one forward pass serves all candidate classes."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.attacks.attack import AttackKind, Run
from msda_analysis.attacks.perturbation import NORMS, Norm, expand_like
from msda_analysis.checks import check_choice, check_count, check_in_range

# added by foolbox to each step's distance and to each gradient norm; kept so that both agree
_STEP_MARGIN = 1e-4
_NORM_FLOOR = 1e-8


@dataclass(frozen=True)
class DeepFoolSettings:
    """How far and among how many classes DeepFool looks; the defaults are foolbox's.

    Attributes:
        steps: linearizations at most.
        candidates: classes considered, the predicted one included, by their clean logits.
        overshoot: relative step beyond the linearized boundary.
    """

    steps: int = 50
    candidates: int = 10
    overshoot: float = 0.02

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("candidates", self.candidates, minimum=2)
        check_in_range("overshoot", self.overshoot, 0.0, 1.0)


def deepfool(
    model: nn.Module, images: Tensor, labels: Tensor, *, norm: Norm = "linf", settings: DeepFoolSettings | None = None
) -> Tensor:
    """Images pushed just over the nearest linearized decision boundary, step by step, until misclassified.

    Follows foolbox's variant: the boundaries are those of the first prediction against its runners-up on the clean image,
    each step adds 1e-4 to the linearized distance, and images misclassified from the start come back unchanged. Images
    that resist for all steps come back perturbed but correctly classified: check before counting.

    Args:
        model: maps images in [0, 1] to logits [n, classes], in eval mode.
        images: [n, channel, *size] float in [0, 1].
        labels: [n] int64.
        norm: norm whose smallest perturbation is sought.
        settings: None for the defaults.

    Returns:
        Perturbed images in [0, 1], the shape of `images`.

    Raises:
        ValueError: unknown norm, or a model with a single output.

    Source: Moosavi-Dezfooli et al. 2016 (arXiv 1511.04599), algorithm 2. Differs: p steps are accumulated before the
    overshoot is applied, candidates are fixed at the clean image, results are clipped to [0, 1] every step (as foolbox).
    """
    check_choice("norm", norm, NORMS)
    settings = settings or DeepFoolSettings()
    perturbed = images.clone()
    active = torch.arange(len(images), device=images.device)
    total = torch.zeros_like(images)
    classes = None
    for _ in range(settings.steps):
        logits, points = _forward(model, perturbed[active])
        if classes is None:
            classes = _rank_classes(logits, settings.candidates)
        unbroken = logits.argmax(1) == labels[active]
        if not bool(unbroken.any()):
            break
        if _is_worth_repeating(unbroken, classes.shape[1]):
            active = active[unbroken]
            logits, points = _forward(model, perturbed[active])
            unbroken = unbroken[unbroken]
        step = _nearest_boundary(logits, points, classes[active], norm=norm)
        active, step = active[unbroken], step[unbroken]
        total[active] += step
        perturbed[active] = (images[active] + (1.0 + settings.overshoot) * total[active]).clamp(0.0, 1.0)
    return perturbed


def _forward(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    points = images.detach().requires_grad_()
    with torch.enable_grad():
        return model(points), points


def _rank_classes(logits: Tensor, candidates: int) -> Tensor:
    """[n, candidates] classes by falling logit, ties as foolbox orders them."""
    if logits.shape[1] < 2:
        raise ValueError(f"model: expected at least 2 logits per image, got {logits.shape[1]}")
    return logits.detach().argsort(dim=1).flip(1)[:, :candidates]


def _is_worth_repeating(unbroken: Tensor, n_classes: int) -> bool:
    """Whether a second forward pass, without the finished images, saves more backward work than it costs."""
    return (n_classes - 1) * int((~unbroken).sum()) > int(unbroken.sum())


def _nearest_boundary(logits: Tensor, points: Tensor, classes: Tensor, *, norm: Norm) -> Tensor:
    """Smallest step [n, ...] to the nearest of the linearized boundaries between classes[:, 0] and the others."""
    best_distance = torch.full((len(points),), torch.inf, device=points.device, dtype=points.dtype)
    best_step = torch.zeros_like(points)
    predicted = logits.gather(1, classes[:, :1])
    for k in range(1, classes.shape[1]):
        gap = (logits.gather(1, classes[:, k : k + 1]) - predicted).squeeze(1)
        (gradient,) = torch.autograd.grad(gap.sum(), points, retain_graph=k + 1 < classes.shape[1])
        distance, step = _linear_step(gap.detach(), gradient, norm)
        closer = distance < best_distance
        best_distance = torch.where(closer, distance, best_distance)
        best_step = torch.where(expand_like(closer, step), step, best_step)
    return best_step


def _linear_step(gap: Tensor, gradient: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
    """Distance [n] to the plane gap + gradient . step = 0 in `norm`, and the step that reaches it."""
    flat = gradient.flatten(1)
    if norm == "linf":
        distance = gap.abs() / (flat.abs().sum(1) + _NORM_FLOOR)
        return distance, expand_like(distance + _STEP_MARGIN, gradient) * gradient.sign()
    length = flat.norm(dim=1) + _NORM_FLOOR
    distance = gap.abs() / length
    return distance, expand_like((distance + _STEP_MARGIN) / length, gradient) * gradient


def _build(norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    chosen = DeepFoolSettings(**settings)

    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        return deepfool(model, images, labels, norm=norm, settings=chosen)

    return run, asdict(chosen)


ATTACKS = {"deepfool": AttackKind("DeepFool", _build, is_minimum_norm=True)}
