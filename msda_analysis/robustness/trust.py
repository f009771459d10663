"""Checks that say when a robustness number must not be trusted; every evaluation runs them."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis.data.datasets import balanced_indices
from msda_analysis.rng import derive_key
from msda_analysis.robustness.evidence import Evidence, TrustSettings
from msda_analysis.robustness.guard import NotFinite
from msda_analysis.robustness.outcome import Flag, Outcome
from msda_analysis.robustness.trust_attacks import longer_attack, short_square, success_falls

if TYPE_CHECKING:
    from msda_analysis.attacks import Attack

#: Names of the checks, in the order in which they are made.
CHECKS = (
    "train_mode", "not_finite", "random_model", "probabilities", "zero_gradients", "saturated_softmax", "success_falls",
    "never_breaks", "black_box_wins", "more_steps_help",
)  # fmt: skip
# below this share of the pixel range (8 of 255) a sound attack may break nothing, and of so few images by chance
_TELLING_BUDGET, _TELLING_IMAGES = 8 / 255, 15


def trust_flags(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attacks: Sequence["Attack"],
    outcome: "Outcome",
    *,
    was_training: bool = False,
    settings: TrustSettings | None = None,
    passes: int,
) -> tuple[Flag, ...]:
    """Reasons to doubt an evaluation, none if all checks pass.

    Args:
        model: in the state in which it was attacked.
        images, labels: all images and labels of the evaluation.
        attacks: the attacks, in the outcome's order.
        outcome: what they found; a few of the images it calls correct, a balanced random part, are looked at again.
        was_training: the model was handed over in train mode.
        settings: None for the defaults.
        passes: what the attacks took, see guard.Work; the checks that attack again are kept to a part of it.

    Source: the pitfalls of Carlini et al. 2019 (arXiv 1902.06705), section 5, and Athalye et al. 2018 (arXiv 1802.00420),
    section 3.1.
    """
    settings = settings or TrustSettings()
    rows = _draw_rows(labels.cpu(), outcome, settings.images)
    where = rows.to(images.device)
    evidence = Evidence(model, images[where], labels[where], rows, attacks, outcome, settings, passes)
    flags = [*_train_mode(model, was_training)]
    for check in (_outputs, _gradients, success_falls, _never_breaks, _black_box_wins, short_square, longer_attack):
        flags += _made(check, evidence)
    return tuple(sorted(dict.fromkeys(flags), key=lambda flag: CHECKS.index(flag.name)))


def _draw_rows(labels: Tensor, outcome: "Outcome", count: int) -> Tensor:
    """Places of the images to look at; a model that is never right still has outputs and gradients to look at."""
    correct = outcome.is_correct.nonzero().squeeze(1)
    pool = correct if len(correct) else torch.arange(len(labels))
    seed = derive_key(outcome.seed, "trust images")
    return pool[balanced_indices(labels[pool], min(count, len(pool)), int(labels.max()) + 1, seed)]


def _made(check: Callable[[Evidence], Iterator[Flag]], evidence: Evidence) -> list[Flag]:
    try:
        return list(check(evidence))
    except NotFinite as error:
        return [Flag("not_finite", "", 1.0, 0.0, f"a trust check could not be made: {error}")]


def _train_mode(model: nn.Module, was_training: bool) -> Iterator[Flag]:
    still = sum(module.training for module in model.modules())
    if still:
        yield Flag("train_mode", "", still, 0, f"{still} modules stay in train mode after model.eval()")
    elif was_training:
        yield Flag("train_mode", "", 1, 0, "the model came in train mode; it was attacked in eval mode")


def _outputs(evidence: Evidence) -> Iterator[Flag]:
    settings = evidence.settings
    if not len(evidence.rows):
        return
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


def _gradients(evidence: Evidence) -> Iterator[Flag]:
    settings, n = evidence.settings, len(evidence.rows)
    if not n:
        return
    points = evidence.images.detach().requires_grad_()
    with torch.enable_grad():
        logits = evidence.model(points)
        loss = functional.cross_entropy(logits, evidence.labels, reduction="sum")
    gradient = torch.autograd.grad(loss, points, allow_unused=True)[0] if loss.requires_grad else None
    zero = n if gradient is None else int((gradient.flatten(1) == 0).all(1).sum())
    if evidence.is_above(zero, n, settings.zero_gradient_share):
        message = "cross-entropy gradients are exactly zero: gradient attacks on this loss are blind"
        yield Flag("zero_gradients", "", zero / n, settings.zero_gradient_share, message)
    saturated = int((logits.detach().softmax(1).amax(1) == 1).sum())
    if evidence.is_above(saturated, n, settings.saturated_share):
        message = "softmax saturates at exactly 1: trust the margin loss (apgd_dlr), not cross-entropy"
        yield Flag("saturated_softmax", "", saturated / n, settings.saturated_share, message)


def _never_breaks(evidence: Evidence) -> Iterator[Flag]:
    """A gradient attack that breaks nothing within a telling budget, or not nearly everything where gray is within reach."""
    settings, outcome = evidence.settings, evidence.outcome
    k = max(range(len(outcome.epsilons)), key=lambda k: outcome.epsilons[k])
    # the Euclidean length of a change by 1 in every value
    unit = 1.0 if outcome.norm == "linf" else math.sqrt(evidence.images[0].numel()) if len(evidence.rows) else math.inf
    n, budget = int(outcome.is_correct.sum()), outcome.epsilons[k]
    for i in evidence.white_box:
        survived = n - int(outcome.success[i, k, outcome.is_correct].sum())
        allowed = settings.unbroken_share if budget >= 0.5 * unit else math.nextafter(1, 0)
        is_none = survived == n >= _TELLING_IMAGES and budget >= _TELLING_BUDGET * unit
        if is_none or (n and budget >= 0.5 * unit and evidence.is_above(survived, n, allowed)):
            message = f"the attack leaves {survived / n:.0%} standing at the largest budget, {budget:g}"
            yield Flag("never_breaks", evidence.attacks[i].name, survived / n, allowed, message)


def _black_box_wins(evidence: Evidence) -> Iterator[Flag]:
    """Images that only a black-box attack breaks, at the budget where it is ahead most."""
    settings, outcome = evidence.settings, evidence.outcome
    if not evidence.white_box:
        return
    white, n = outcome.success[evidence.white_box].any(0), outcome.success.shape[2]
    for i in evidence.black_box:
        ahead = int((outcome.success[i] & ~white).sum(1).max())
        if evidence.is_above(ahead, n, settings.black_box_share):
            message = "a black-box attack breaks images that no gradient attack does: gradients may be masked"
            yield Flag("black_box_wins", evidence.attacks[i].name, ahead / n, settings.black_box_share, message)
