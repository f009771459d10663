"""Evaluate a classifier under attacks: one pass, every number from the same images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from msda_analysis.checks import check_choice, check_count, check_image_batch, check_labels, check_unit_range
from msda_analysis.rng import derive_key
from msda_analysis.robustness.catalog import Attack, create_attack
from msda_analysis.robustness.outcome import Outcome
from msda_analysis.robustness.perturbation import (
    NORMS,
    Norm,
    clip_to_budget,
    held_still,
    is_misclassified,
    perturbation_norms,
)

#: Budgets of the released experiment, L-infinity, in [0, 1] pixel units.
PAPER_EPSILONS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.1, 0.3, 0.5, 1.0)


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attacks: Sequence[str | Attack],
    epsilons: Sequence[float] = PAPER_EPSILONS,
    norm: Norm = "linf",
    seed: int = 0,
    batch_size: int = 500,
    progress: bool = False,
) -> Outcome:
    """Which image is broken by which attack at which budget.

    Images that the model gets wrong without any attack count as broken at every budget and are not attacked. The model is
    put in eval mode for the run and left as it was; global random state is left alone.

    Args:
        model: maps images in [0, 1] to logits [n, classes]; normalization happens inside.
        images: [n, channel, *size] float in [0, 1], on the model's device.
        labels: [n] int64.
        attacks: names from ATTACKS, or Attack objects.
        epsilons: budgets >= 0 in [0, 1] pixel units.
        norm: "linf" or "l2".
        seed: every attack, budget and batch draws from its own stream of this seed.
        batch_size: images attacked at once; it moves the draws of random attacks.
        progress: show a bar (never when the output is not a terminal).

    Returns:
        Outcome.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """
    prepared = _check_arguments(images, labels, attacks, epsilons, norm, batch_size)
    success = torch.zeros(len(prepared), len(epsilons), len(images), dtype=torch.bool)
    norms = torch.full((len(prepared), len(images)), torch.inf)
    with held_still(model):
        wrong = _find_wrong(model, images, labels, batch_size)
        success[:, :, wrong] = True
        norms[:, wrong] = 0.0
        correct = (~wrong).nonzero().squeeze(1)
        batches = [(a, rows) for a in range(len(prepared)) for rows in correct.split(batch_size) if len(rows)]
        for i, rows in tqdm(batches, desc="attacks", disable=None if progress else True):
            key = derive_key(seed, prepared[i].name, int(rows[0]))
            where = rows.to(images.device)
            found = _attack_batch(prepared[i], model, images[where], labels[where], epsilons=epsilons, key=key)
            success[i, :, rows], norms[i, rows] = found
    return Outcome(
        success, norms, ~wrong, tuple(attack.name for attack in prepared), tuple(map(float, epsilons)), norm, seed
    )


def _check_arguments(images, labels, attacks, epsilons, norm, batch_size) -> list[Attack]:
    check_image_batch(images)
    check_unit_range("images", images)
    check_labels(labels, len(images))
    if labels.ndim != 1:
        raise TypeError(f"labels: expected int64 [n], got soft labels of shape {tuple(labels.shape)}; use labels.argmax(1)")
    check_choice("norm", norm, NORMS)
    check_count("batch_size", batch_size)
    if not len(epsilons) or not all(epsilon >= 0 for epsilon in epsilons):
        raise ValueError(f"epsilons: expected at least one number, each >= 0, got {tuple(epsilons)!r}")
    if isinstance(attacks, str) or not len(attacks):
        raise ValueError(f"attacks: expected a list of at least one name or Attack, got {attacks!r}")
    prepared = [create_attack(attack, norm) if isinstance(attack, str) else attack for attack in attacks]
    for attack in prepared:
        check_choice(f"norm of attack {attack.name!r}", attack.norm, [norm])
    return prepared


def _find_wrong(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    parts = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    return torch.cat([is_misclassified(model, part, label) for part, label in parts]).cpu()


def _attack_batch(
    attack: Attack, model: nn.Module, images: Tensor, labels: Tensor, *, epsilons: Sequence[float], key: int
) -> tuple[Tensor, Tensor]:
    """Success [epsilon, n] and smallest norm found [n] on correctly classified images, on the CPU."""
    success = torch.zeros(len(epsilons), len(images), dtype=torch.bool)
    norms = torch.full((len(images),), torch.inf, device=images.device)
    if attack.is_minimum_norm:
        perturbed = attack.run(model, images, labels, None, key).clamp(0.0, 1.0)
        lengths = perturbation_norms(perturbed - images, attack.norm)
        norms = torch.where(is_misclassified(model, perturbed, labels), lengths, norms)
    for k, epsilon in enumerate(epsilons):
        if epsilon == 0:
            continue  # exactly the clean error: these images are all classified correctly
        if not attack.is_minimum_norm:
            perturbed = attack.run(model, images, labels, float(epsilon), derive_key(key, k))
        clipped = clip_to_budget(images, perturbed, epsilon=float(epsilon), norm=attack.norm)
        broken = is_misclassified(model, clipped, labels)
        lengths = perturbation_norms(clipped - images, attack.norm)
        norms = torch.where(broken, torch.minimum(norms, lengths), norms)
        success[k] = broken.cpu()
    return success, norms.cpu()
