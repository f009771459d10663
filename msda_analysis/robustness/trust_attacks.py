"""Trust checks that attack again: a few images, a few steps, at a budget where that tells something."""

from collections.abc import Iterator

import torch
from torch import Tensor

from msda_analysis.attacks.apgd import ApgdSettings, apgd
from msda_analysis.attacks.perturbation import clip_to_budget, is_misclassified
from msda_analysis.attacks.square import SquareSettings, square_attack
from msda_analysis.rng import derive_key
from msda_analysis.robustness.evidence import Evidence
from msda_analysis.robustness.guard import CALL, check_perturbed
from msda_analysis.robustness.outcome import Flag


def success_falls(evidence: Evidence) -> Iterator[Flag]:
    """An attack that loses images as the budget grows; blind ones search nothing and are left out.

    In independent mode from the whole matrix; in a cascade the largest budget is attacked again on broken images.
    """
    settings, outcome = evidence.settings, evidence.outcome
    order = sorted(range(len(outcome.epsilons)), key=lambda k: outcome.epsilons[k])
    for i, attack in enumerate(evidence.attacks):
        if attack.is_blind:
            continue
        if outcome.mode == "independent":
            broken, n = outcome.success[i][order].sum(1), outcome.success.shape[2]
            lost = int((broken.cummax(0).values - broken).max())
        else:
            lost, n = _lost_at_largest(evidence, i, order), len(evidence.rows)
        if n and evidence.is_above(lost, n, settings.fall_share):
            message = "success falls as the budget grows: the attack loses images that a smaller budget breaks"
            yield Flag("success_falls", attack.name, lost / n, settings.fall_share, message)


def short_square(evidence: Evidence) -> Iterator[Flag]:
    """A short Square search on what the gradient attacks left, where no such search was among the attacks."""
    settings, outcome, k = evidence.settings, evidence.outcome, evidence.middle_budget()
    left = _survivors(evidence, k)
    if k is None or not len(left) or outcome.norm != "linf" or "square" in outcome.attacks:
        return
    epsilon, key = outcome.epsilons[k], derive_key(outcome.seed, "black_box_wins")
    images, labels = evidence.images[left], evidence.labels[left]
    queries = evidence.afford(settings.queries, len(left) + CALL)
    if not queries:
        return
    search = SquareSettings(queries=queries)
    found = square_attack(evidence.model, images, labels, epsilon=epsilon, key=key, settings=search)
    broken, n = int(is_misclassified(evidence.model, found, labels).sum()), len(evidence.rows)
    if evidence.is_above(broken, n, settings.black_box_share):
        message = (
            f"a short Square search breaks images at {epsilon:g} that no gradient attack does: gradients may be masked"
        )
        yield Flag("black_box_wins", "square", broken / n, settings.black_box_share, message)


def longer_attack(evidence: Evidence) -> Iterator[Flag]:
    """APGD on what the gradient attacks left."""
    settings, outcome, k = evidence.settings, evidence.outcome, evidence.middle_budget()
    left = _survivors(evidence, k)
    if k is None or not len(left):
        return
    epsilon, key = outcome.epsilons[k], derive_key(outcome.seed, "more_steps_help")
    images, labels = evidence.images[left], evidence.labels[left]
    steps = evidence.afford(settings.steps, 2 * (len(left) + CALL))
    if not steps:
        return
    with torch.no_grad():
        n_classes = evidence.model(images[:1]).shape[1]
    longer = ApgdSettings(loss="dlr" if n_classes >= 3 else "ce", steps=steps)
    norm = evidence.attacks[0].norm
    found = apgd(evidence.model, images, labels, epsilon=epsilon, key=key, norm=norm, settings=longer)
    broken, n = int(is_misclassified(evidence.model, found, labels).sum()), len(evidence.rows)
    if evidence.is_above(broken, n, settings.more_steps_share):
        message = f"{steps} more APGD steps break many further images at {epsilon:g}: the attacks are too weak"
        yield Flag("more_steps_help", "apgd", broken / n, settings.more_steps_share, message)


def _lost_at_largest(evidence: Evidence, i: int, order: list[int]) -> int:
    """Images broken within the second largest budget that the attack leaves standing at the largest."""
    outcome, attack = evidence.outcome, evidence.attacks[i]
    epsilon = outcome.epsilons[order[-1]]
    if len(order) < 2 or epsilon == 0 or not bool(outcome.is_correct.any()):
        return 0
    before = outcome.success[i, order[-2], evidence.rows].nonzero().squeeze(1).to(evidence.images.device)
    if not len(before):
        return 0
    images, labels = evidence.images[before], evidence.labels[before]
    key = derive_key(outcome.seed, "success_falls", attack.name)
    found = attack.run(evidence.model, images, labels, None if attack.is_minimum_norm else epsilon, key)
    clipped = clip_to_budget(images, check_perturbed(found), epsilon=epsilon, norm=attack.norm)
    return int((~is_misclassified(evidence.model, clipped, labels)).sum())


def _survivors(evidence: Evidence, k: int | None) -> Tensor:
    """Places among the evidence's images that no gradient attack broke at budget k."""
    if k is None or not bool(evidence.outcome.is_correct.any()):
        return torch.empty(0, dtype=torch.int64)
    broken = evidence.outcome.success[evidence.white_box][:, k, evidence.rows].any(0)
    return (~broken).nonzero().squeeze(1).to(evidence.images.device)
