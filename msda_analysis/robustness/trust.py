"""Checks that say when a robustness number must not be trusted; every evaluation runs them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis.checks import check_count, check_in_range
from msda_analysis.rng import derive_key
from msda_analysis.robustness.apgd import ApgdSettings, apgd
from msda_analysis.robustness.perturbation import clip_to_budget, is_misclassified
from msda_analysis.robustness.square import SquareSettings, square_attack

if TYPE_CHECKING:
    from msda_analysis.robustness.catalog import Attack
    from msda_analysis.robustness.outcome import Outcome

#: Names of the checks, in the order in which they are made.
CHECKS = (
    "train_mode", "random_model", "probabilities", "zero_gradients", "saturated_softmax", "success_falls",
    "never_breaks", "black_box_wins", "more_steps_help",
)  # fmt: skip


@dataclass(frozen=True)
class Flag:
    """One reason for doubt.

    Attributes:
        name: which check, one of CHECKS.
        attack: attack it speaks of, "" for the model as a whole.
        value: what was measured.
        threshold: the value above which the flag is raised.
        message: what it means for the reader.
    """

    name: str
    attack: str
    value: float
    threshold: float
    message: str


@dataclass(frozen=True)
class TrustSettings:
    """Thresholds and effort of the checks; all shares are of the images looked at.

    Attributes:
        images: correctly classified images that the checks with further model calls look at; 0 leaves those checks out.
        output_change: largest difference between two passes over the same images, relative to the largest logit.
        zero_gradient_share: share of images whose cross-entropy gradient is exactly zero.
        saturated_share: share of images whose top class has probability exactly 1 in the outputs' precision.
        fall_share: share by which success may fall from one budget to a larger one.
        unbroken_share: share that may survive a gradient attack at a budget large enough for a constant gray image.
        black_box_share: share that a black-box attack alone may break at some budget.
        more_steps_share: share that a longer attack may break beside those already broken.
        queries: length of the black-box search made when no such attack was asked for.
        steps: length of the longer attack.
    """

    images: int = 32
    output_change: float = 1e-4
    zero_gradient_share: float = 0.05
    saturated_share: float = 0.05
    fall_share: float = 0.02
    unbroken_share: float = 0.05
    black_box_share: float = 0.02
    more_steps_share: float = 0.1
    queries: int = 100
    steps: int = 100

    def __post_init__(self) -> None:
        check_count("images", self.images, minimum=0)
        check_count("queries", self.queries, minimum=2)
        check_count("steps", self.steps)
        for name in ("output_change", "zero_gradient_share", "saturated_share", "fall_share", "unbroken_share"):
            check_in_range(name, getattr(self, name), 0.0, 1.0)
        for name in ("black_box_share", "more_steps_share"):
            check_in_range(name, getattr(self, name), 0.0, 1.0)


@dataclass(frozen=True)
class _Evidence:
    """What the checks look at: the whole outcome, and a few correctly classified images for further model calls."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    rows: Tensor
    attacks: Sequence["Attack"]
    outcome: "Outcome"
    settings: TrustSettings

    @property
    def white_box(self) -> list[int]:
        return [i for i, attack in enumerate(self.attacks) if not attack.is_black_box]

    @property
    def black_box(self) -> list[int]:
        return [i for i, attack in enumerate(self.attacks) if attack.is_black_box]

    def middle_budget(self) -> int | None:
        """Index of the budget at which the white-box attacks together break nearest to half of the correct images."""
        if not self.white_box or not len(self.rows):
            return None
        correct = self.outcome.success[self.white_box][:, :, self.outcome.is_correct]
        distance = (correct.any(0).double().mean(1) - 0.5).abs()
        usable = [k for k, epsilon in enumerate(self.outcome.epsilons) if epsilon > 0]
        return min(usable, key=lambda k: float(distance[k])) if usable else None


def check_trust(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attacks: Sequence["Attack"],
    outcome: "Outcome",
    correct: Tensor,
    *,
    was_training: bool = False,
    settings: TrustSettings | None = None,
) -> tuple[Flag, ...]:
    """Reasons to doubt an evaluation, none if all checks pass.

    Args:
        model: in the state in which it was attacked.
        images, labels: all images and labels of the evaluation.
        attacks: the attacks, in the outcome's order.
        outcome: what they found.
        correct: indices of the correctly classified images; the first few are looked at again.
        was_training: the model was handed over in train mode.
        settings: None for the defaults.

    Source: the pitfalls of Carlini et al. 2019 (arXiv 1902.06705), section 5, and Athalye et al. 2018 (arXiv 1802.00420),
    section 3.1.
    """
    settings = settings or TrustSettings()
    # a model that is never right still has outputs and gradients to look at
    rows = (correct if len(correct) else torch.arange(len(images)))[: settings.images]
    where = rows.to(images.device)
    evidence = _Evidence(model, images[where], labels[where], rows, attacks, outcome, settings)
    flags = [*_train_mode(model, was_training), *_success_falls(evidence), *_never_breaks(evidence)]
    flags += _black_box_wins(evidence)
    if len(rows):
        flags += [*_outputs(evidence), *_gradients(evidence)]
    if len(rows) and len(correct):
        flags += _longer_attacks(evidence)
    return tuple(sorted(flags, key=lambda flag: CHECKS.index(flag.name)))


def _train_mode(model: nn.Module, was_training: bool) -> Iterator[Flag]:
    still = sum(module.training for module in model.modules())
    if still:
        yield Flag("train_mode", "", still, 0, f"{still} modules stay in train mode after model.eval()")
    elif was_training:
        yield Flag("train_mode", "", 1, 0, "the model came in train mode; it was attacked in eval mode")


def _outputs(evidence: _Evidence) -> Iterator[Flag]:
    settings = evidence.settings
    with torch.no_grad():
        logits, again = (evidence.model(evidence.images).double() for _ in range(2))
    change = float((logits - again).abs().max() / logits.abs().max().clamp(min=1e-300))
    if not change <= settings.output_change:
        message = "two passes over the same images differ: success must be scored several times"
        yield Flag("random_model", "", change, settings.output_change, message)
    off_one = float((logits.sum(1) - 1).abs().max())
    if bool((logits >= 0).all()) and off_one < 1e-3:
        message = "outputs are probabilities: gradients through a softmax vanish; give logits"
        yield Flag("probabilities", "", 1.0, 0.0, message)


def _gradients(evidence: _Evidence) -> Iterator[Flag]:
    settings = evidence.settings
    points = evidence.images.detach().requires_grad_()
    with torch.enable_grad():
        logits = evidence.model(points)
        loss = functional.cross_entropy(logits, evidence.labels, reduction="sum")
    gradient = torch.autograd.grad(loss, points, allow_unused=True)[0] if loss.requires_grad else None
    zero = 1.0 if gradient is None else float((gradient.flatten(1) == 0).all(1).double().mean())
    if zero > settings.zero_gradient_share:
        message = "cross-entropy gradients are exactly zero: gradient attacks on this loss are blind"
        yield Flag("zero_gradients", "", zero, settings.zero_gradient_share, message)
    saturated = float((logits.detach().softmax(1).amax(1) == 1).double().mean())
    if saturated > settings.saturated_share:
        message = "softmax saturates at exactly 1: trust the margin loss (apgd_dlr), not cross-entropy"
        yield Flag("saturated_softmax", "", saturated, settings.saturated_share, message)


def _success_falls(evidence: _Evidence) -> Iterator[Flag]:
    """In independent mode from the whole matrix; in a cascade the largest budget is attacked again on broken images."""
    settings, outcome = evidence.settings, evidence.outcome
    order = sorted(range(len(outcome.epsilons)), key=lambda k: outcome.epsilons[k])
    for i, attack in enumerate(evidence.attacks):
        if outcome.mode == "independent":
            rate = outcome.success[i][order].double().mean(1)
            fall = float((rate.cummax(0).values - rate).max())
        else:
            fall = _fall_at_largest(evidence, i, order)
        if fall > settings.fall_share:
            message = "success falls as the budget grows: the attack loses images that a smaller budget breaks"
            yield Flag("success_falls", attack.name, fall, settings.fall_share, message)


def _fall_at_largest(evidence: _Evidence, i: int, order: list[int]) -> float:
    outcome, attack = evidence.outcome, evidence.attacks[i]
    epsilon = outcome.epsilons[order[-1]]
    if len(order) < 2 or epsilon == 0 or not len(evidence.rows) or not bool(outcome.is_correct.any()):
        return 0.0
    before = outcome.success[i, order[-2], evidence.rows].nonzero().squeeze(1)
    if not len(before):
        return 0.0
    images, labels = (
        evidence.images[before.to(evidence.images.device)],
        evidence.labels[before.to(evidence.labels.device)],
    )
    key = derive_key(outcome.seed, "success_falls", attack.name)
    found = attack.run(evidence.model, images, labels, None if attack.is_minimum_norm else epsilon, key)
    clipped = clip_to_budget(images, found, epsilon=epsilon, norm=attack.norm)
    held = int((~is_misclassified(evidence.model, clipped, labels)).sum())
    return held / len(evidence.rows)


def _never_breaks(evidence: _Evidence) -> Iterator[Flag]:
    """A gradient attack that breaks nothing at all, or not nearly everything when any gray image is within reach."""
    settings, outcome = evidence.settings, evidence.outcome
    k = max(range(len(outcome.epsilons)), key=lambda k: outcome.epsilons[k])
    correct = outcome.is_correct
    if not bool(correct.any()) or outcome.epsilons[k] == 0:
        return
    dimensions = evidence.images[0].numel() if len(evidence.images) else math.inf
    gray = 0.5 if outcome.norm == "linf" else 0.5 * math.sqrt(dimensions)
    for i in evidence.white_box:
        survived = 1 - float(outcome.success[i, k, correct].double().mean())
        allowed = settings.unbroken_share if outcome.epsilons[k] >= gray else math.nextafter(1, 0)
        if survived > allowed:
            message = f"the attack leaves {survived:.0%} standing at the largest budget, {outcome.epsilons[k]:g}"
            yield Flag("never_breaks", evidence.attacks[i].name, survived, allowed, message)


def _black_box_wins(evidence: _Evidence) -> Iterator[Flag]:
    """Images that only a black-box attack breaks, at the budget where it is ahead most."""
    settings, outcome = evidence.settings, evidence.outcome
    if not evidence.white_box:
        return
    white = outcome.success[evidence.white_box].any(0)
    for i in evidence.black_box:
        ahead = float((outcome.success[i] & ~white).double().mean(1).max())
        if ahead > settings.black_box_share:
            message = "a black-box attack breaks images that no gradient attack does: gradients may be masked"
            yield Flag("black_box_wins", evidence.attacks[i].name, ahead, settings.black_box_share, message)


def _longer_attacks(evidence: _Evidence) -> Iterator[Flag]:
    """A short Square search and a longer APGD, on a few images, at a budget where about half survive."""
    k = evidence.middle_budget()
    if k is None:
        return
    survivors = ~evidence.outcome.success[evidence.white_box][:, k, evidence.rows].any(0)
    left = survivors.nonzero().squeeze(1).to(evidence.images.device)
    if not len(left):
        return
    yield from _short_square(evidence, k, left)
    yield from _more_steps(evidence, k, left)


def _short_square(evidence: _Evidence, k: int, left: Tensor) -> Iterator[Flag]:
    settings, outcome = evidence.settings, evidence.outcome
    if outcome.norm != "linf" or "square" in outcome.attacks:
        return
    epsilon, key = outcome.epsilons[k], derive_key(outcome.seed, "black_box_wins")
    images, labels = evidence.images[left], evidence.labels[left]
    search = SquareSettings(queries=settings.queries)
    found = square_attack(evidence.model, images, labels, epsilon=epsilon, key=key, settings=search)
    share = int(is_misclassified(evidence.model, found, labels).sum()) / len(evidence.rows)
    if share > settings.black_box_share:
        message = (
            f"a short Square search breaks images at {epsilon:g} that no gradient attack does: gradients may be masked"
        )
        yield Flag("black_box_wins", "square", share, settings.black_box_share, message)


def _more_steps(evidence: _Evidence, k: int, left: Tensor) -> Iterator[Flag]:
    settings, outcome = evidence.settings, evidence.outcome
    epsilon, key = outcome.epsilons[k], derive_key(outcome.seed, "more_steps_help")
    images, labels = evidence.images[left], evidence.labels[left]
    with torch.no_grad():
        n_classes = evidence.model(images[:1]).shape[1]
    longer = ApgdSettings(loss="dlr" if n_classes >= 3 else "ce", steps=settings.steps)
    norm = evidence.attacks[0].norm
    found = apgd(evidence.model, images, labels, epsilon=epsilon, key=key, norm=norm, settings=longer)
    share = int(is_misclassified(evidence.model, found, labels).sum()) / len(evidence.rows)
    if share > settings.more_steps_share:
        message = f"{settings.steps} more APGD steps break many further images at {epsilon:g}: the attacks are too weak"
        yield Flag("more_steps_help", "apgd", share, settings.more_steps_share, message)
