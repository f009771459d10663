"""Auto-PGD: projected gradient steps whose size adapts by itself, with cross-entropy or the scale-free margin loss."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis.attacks.attack import AttackKind, Run
from msda_analysis.attacks.perturbation import NORMS, Norm, clip_to_budget, expand_like, perturbation_norms
from msda_analysis.checks import check_choice, check_count, check_in_range
from msda_analysis.rng import derive_key, generator_from_key

Loss = Literal["ce", "dlr"]

#: Losses by name: cross-entropy, difference of logits ratio.
LOSSES: tuple[Loss, ...] = ("ce", "dlr")

_MOMENTUM = 0.75


@dataclass(frozen=True)
class ApgdSettings:
    """How long and with which loss; the defaults are the published attack's.

    Attributes:
        loss: "ce" (cross-entropy) or "dlr" (difference of logits ratio: unchanged when all logits are scaled).
        steps: gradient steps per start.
        restarts: random starts; images broken by one are not attacked by the next.
        rho: share of steps of a window that must improve the loss for the step size to stay.
    """

    loss: Loss = "ce"
    steps: int = 100
    restarts: int = 1
    rho: float = 0.75

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        check_count("steps", self.steps)
        check_count("restarts", self.restarts)
        check_in_range("rho", self.rho, 0.0, 1.0)


def apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    key: int,
    norm: Norm = "linf",
    settings: ApgdSettings | None = None,
) -> Tensor:
    """Images moved by at most `epsilon` so that the loss grows; broken images stop at once and leave the batch.

    Args:
        model: maps images in [0, 1] to logits [n, classes], in eval mode.
        images: [n, channel, *size] float in [0, 1].
        labels: [n] int64.
        epsilon: budget > 0 in [0, 1] pixel units.
        key: seed of the random starts.
        norm: norm of the budget.
        settings: None for the defaults.

    Returns:
        Perturbed images: misclassified where one was found, else those of the highest loss.

    Raises:
        ValueError: unknown norm, or a margin loss with fewer than three classes.

    Source: Croce and Hein 2020 (arXiv 2003.01690), algorithm 1 and equation 6.
    """
    check_choice("norm", norm, NORMS)
    settings = settings or ApgdSettings()
    result = images.clone()
    active = torch.arange(len(images), device=images.device)
    for restart in range(settings.restarts):
        if not len(active):
            break
        noise = _draw_start(images, norm, derive_key(key, "apgd", restart))[active]
        ascent = _Ascent(model, images[active], labels[active], epsilon, norm, settings)
        result[active], broken = ascent.run(images[active] + epsilon * noise)
        active = active[~broken]
    return result


def attack_losses(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """[n] loss that an attack raises.

    Raises:
        ValueError: "dlr" needs at least three classes.
    """
    if loss == "ce":
        return functional.cross_entropy(logits, labels, reduction="none")
    if logits.shape[1] < 3:
        raise ValueError(f"loss: expected at least 3 classes for 'dlr', got {logits.shape[1]}; use 'ce'")
    ranked = logits.topk(3, dim=1).values
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return (others - own) / (ranked[:, 0] - ranked[:, 2] + 1e-12)


def checkpoint_windows(steps: int) -> list[int]:
    """Lengths of the windows after which the step size is judged: 22 % of the steps, then 3 % shorter each, at least 6 %."""
    first, shrink, shortest = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    windows, length = [], first
    while sum(windows) < steps:
        windows.append(length)
        length = max(length - shrink, shortest)
    return windows


class _Ascent:
    """One start of the attack on a batch: position, best position and step size of every image still unbroken."""

    def __init__(
        self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, norm: Norm, settings: ApgdSettings
    ):
        self.model, self.images, self.labels = model, images, labels
        self.epsilon, self.settings = epsilon, settings
        self.norm: Norm = norm

    def run(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Final images and bool [n] broken."""
        self.result = self._project(start)
        self.active = torch.arange(len(start), device=start.device)
        self.state = self._first_state(self.result)
        self._drop_broken()
        ends = set(torch.tensor(checkpoint_windows(self.settings.steps)).cumsum(0).tolist())
        window_start = 0
        for step in range(self.settings.steps):
            if not len(self.active):
                break
            self._step(is_first=step == 0)
            self._drop_broken()
            if step + 1 in ends and len(self.active):
                self._judge_step_size(step + 1 - window_start)
                window_start = step + 1
        broken = torch.ones(len(start), dtype=torch.bool, device=start.device)
        broken[self.active] = False
        self.result[self.active] = self.state["best"]
        return self.result, broken

    def _first_state(self, points: Tensor) -> dict[str, Tensor]:
        losses, gradients, broken = self._look(points)
        size = torch.full_like(losses, 2.0 * self.epsilon)
        return {
            "points": points, "previous": points, "gradients": gradients, "losses": losses, "broken": broken,
            "best": points, "best_losses": losses, "best_gradients": gradients, "size": size,
            "improved": torch.zeros_like(losses), "was_reduced": torch.zeros_like(broken), "judged_losses": losses,
        }  # fmt: skip

    def _look(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, its gradient, and whether the point is misclassified, of the active images."""
        points = points.detach().requires_grad_()
        labels = self.labels[self.active]
        with torch.enable_grad():
            logits = self.model(points)
            losses = attack_losses(logits, labels, self.settings.loss)
        (gradients,) = torch.autograd.grad(losses.sum(), points)
        return losses.detach(), gradients, logits.argmax(1) != labels

    def _project(self, points: Tensor) -> Tensor:
        images = self.images if len(points) == len(self.images) else self.images[self.active]
        return clip_to_budget(images, points, epsilon=self.epsilon, norm=self.norm)

    def _step(self, *, is_first: bool) -> None:
        state = self.state
        points = state["points"]
        direction = _steepest(state["gradients"], self.norm)
        target = self._project(points + expand_like(state["size"], points) * direction)
        momentum = 1.0 if is_first else _MOMENTUM
        moved = self._project(points + momentum * (target - points) + (1 - momentum) * (points - state["previous"]))
        losses, gradients, broken = self._look(moved)
        is_best = losses > state["best_losses"]
        state |= {"improved": state["improved"] + (losses > state["losses"]), "previous": points, "points": moved}
        state |= {"losses": losses, "gradients": gradients, "broken": broken}
        self._replace(is_best, {"best": moved, "best_losses": losses, "best_gradients": gradients})

    def _judge_step_size(self, window: int) -> None:
        """Halve the step and return to the best point where the loss rose too rarely or not at all since last time."""
        state = self.state
        rarely = state["improved"] < self.settings.rho * window
        stuck = ~state["was_reduced"] & (state["best_losses"] <= state["judged_losses"])
        reduce = rarely | stuck
        self._replace(
            reduce, {"points": state["best"], "gradients": state["best_gradients"], "losses": state["best_losses"]}
        )
        self._replace(reduce, {"previous": state["best"], "size": state["size"] / 2})
        state |= {"was_reduced": reduce, "judged_losses": state["best_losses"]}
        state["improved"] = torch.zeros_like(state["improved"])

    def _replace(self, where: Tensor, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self.state[name] = torch.where(expand_like(where, value), value, self.state[name])

    def _drop_broken(self) -> None:
        broken = self.state["broken"]
        if bool(broken.any()):
            self.result[self.active[broken]] = self.state["points"][broken]
            self.active = self.active[~broken]
            self.state = {name: value[~broken] for name, value in self.state.items()}


def _draw_start(images: Tensor, norm: Norm, key: int) -> Tensor:
    """Random directions of length one in `norm`, the shape of `images`."""
    generator = generator_from_key(key)
    if norm == "linf":
        noise = 2 * torch.rand(images.shape, generator=generator, dtype=images.dtype) - 1
    else:
        noise = torch.randn(images.shape, generator=generator, dtype=images.dtype)
    return (noise / expand_like(perturbation_norms(noise, norm), noise)).to(images.device)


def _steepest(gradients: Tensor, norm: Norm) -> Tensor:
    """Direction of length one in `norm` along which a linear loss grows fastest."""
    if norm == "linf":
        return gradients.sign()
    return gradients / expand_like(perturbation_norms(gradients, "l2").clamp(min=1e-12), gradients)


def _kind(label: str, loss: Loss) -> AttackKind:
    def build(norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
        chosen = ApgdSettings(loss=loss, **settings)

        def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
            assert epsilon is not None
            return apgd(model, images, labels, epsilon=epsilon, key=key, norm=norm, settings=chosen)

        return run, asdict(chosen)

    return AttackKind(label, build, is_strong_gradient=True)


ATTACKS = {"apgd_ce": _kind("APGD (cross-entropy)", "ce"), "apgd_dlr": _kind("APGD (margin)", "dlr")}
