"""Evaluate a classifier under attacks: one pass, every number from the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from msda_analysis.attacks import Attack
from msda_analysis.attacks.perturbation import (
    NORMS,
    Norm,
    clip_to_budget,
    is_misclassified,
    perturbation_norms,
)
from msda_analysis.checks import check_choice
from msda_analysis.models.frozen import frozen
from msda_analysis.rng import derive_key
from msda_analysis.robustness.arguments import (
    check_classes,
    check_images,
    check_model,
    check_run,
    prepare_attacks,
    to_epsilons,
)
from msda_analysis.robustness.evidence import TrustSettings
from msda_analysis.robustness.guard import Work, check_perturbed, guarded, named
from msda_analysis.robustness.outcome import Outcome
from msda_analysis.robustness.resume import BatchStore, fingerprint
from msda_analysis.robustness.trust import trust_flags

Mode = Literal["cascade", "independent"]

#: How success at one budget bears on the larger ones; see evaluate().
MODES: tuple[Mode, ...] = ("cascade", "independent")

#: Budgets of the released experiment, L-infinity, in [0, 1] pixel units.
PAPER_EPSILONS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.1, 0.3, 0.5, 1.0)


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attacks: Sequence[str | Attack],
    epsilons: Sequence[float | str] = PAPER_EPSILONS,
    norm: Norm = "linf",
    seed: int = 0,
    batch_size: int = 500,
    progress: bool = False,
    *,
    mode: Mode = "cascade",
    folder: Path | str | None = None,
    trust: TrustSettings | None = None,
) -> Outcome:
    """Which image is broken by which attack at which budget, and whether the answer can be trusted.

    Images that the model gets wrong without any attack count as broken at every budget and are not attacked. The model is
    put in eval mode for the run and left as it was; global random state is left alone. Memory does not grow with the
    number of budgets. NaN in logits, gradients or perturbed images ends the run: it never becomes an accuracy.

    Args:
        model: maps images in [0, 1] to logits [n, classes]; normalization happens inside.
        images: [n, channel, *size] float in [0, 1], on the model's device.
        labels: [n] int64, indices of the model's logits.
        attacks: names from ATTACKS, or Attack objects.
        epsilons: budgets >= 0 in [0, 1] pixel units; "8/255" is read as such.
        norm: "linf" or "l2".
        seed: every attack, budget and batch draws from its own stream of this seed.
        batch_size: images attacked at once; it moves the draws of random attacks.
        progress: show a bar (never when the output is not a terminal).
        mode: "cascade": an image broken at a budget is broken at every larger one, the definition of robust accuracy, and
            is not attacked again. "independent": every budget is attacked for itself, as in the released curves, which
            may therefore rise. Blind attacks (noise, MixUp directions) search nothing, so each budget stands for itself in
            both modes: a draw at one budget says nothing of another, and the number does not depend on the other budgets.
        folder: keep finished batches there and take up those that are there already.
        trust: thresholds of the trust checks; None for the defaults.

    Returns:
        Outcome, with the flags of the trust checks.

    Raises:
        TypeError: an argument of a wrong type, or images of another dtype than the model's weights.
        ValueError: an argument out of its range, outputs that are not [n, classes], labels beyond them, or a file in
            `folder` from another evaluation.
        NotFinite: (a ValueError) NaN or infinity, naming the attack and the images.
    """
    check_model(model)
    check_images(images, labels)
    check_choice("norm", norm, NORMS)
    check_choice("mode", mode, MODES)
    check_run(seed, batch_size, progress)
    budgets, prepared = to_epsilons(epsilons), prepare_attacks(attacks, norm)
    was_training = model.training
    with frozen(model), guarded(model) as work:
        wrong = find_wrong(model, images, labels, batch_size)
        check_classes(model, images, labels)
        settings = {"epsilons": budgets, "norm": norm, "seed": seed, "batch_size": batch_size, "mode": mode}
        run = _Run(model, images, labels, budgets, mode, seed, wrong, work)
        success, norms, passes = run.attack_all(prepared, batch_size, settings, folder, progress)
        names = tuple(attack.name for attack in prepared)
        outcome = Outcome(success, norms, ~wrong, names, budgets, norm, seed, mode)
        flags = trust_flags(
            model, images, labels, prepared, outcome,
            was_training=was_training, settings=trust or TrustSettings(), passes=passes,
        )  # fmt: skip
    return outcome.with_flags(flags)


@dataclass(frozen=True)
class _Run:
    """What all batches of one evaluation share."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    epsilons: tuple[float, ...]
    mode: Mode
    seed: int
    wrong: Tensor
    work: Work

    def attack_all(
        self, attacks: list[Attack], batch_size: int, settings: dict, folder: Path | str | None, progress: bool
    ) -> tuple[Tensor, Tensor, int]:
        """Success [attack, epsilon, image], norms [attack, image], and the passes they took, batch by batch."""
        passes = len(self.images)  # at least, for the clean ones
        success = torch.zeros(len(attacks), len(self.epsilons), len(self.images), dtype=torch.bool)
        norms = torch.full((len(attacks), len(self.images)), torch.inf)
        success[:, :, self.wrong], norms[:, self.wrong] = True, 0.0
        correct = (~self.wrong).nonzero().squeeze(1)
        parts = correct.split(batch_size) if len(correct) else ()
        stores = [self._open(attack, settings, folder) for attack in attacks]
        batches = [(i, rows) for i in range(len(attacks)) for rows in parts]
        for i, rows in tqdm(batches, desc="attacks", disable=None if progress else True):
            name = f"{attacks[i].name}-{int(rows[0]):07d}"
            found = stores[i].load(name)
            if found is None:
                found = self._attack(attacks[i], rows)
                stores[i].save(name, *found)
            success[i, :, rows], norms[i, rows] = found[:2]
            passes += found[2]
        return success, norms, passes

    def _open(self, attack: Attack, settings: dict, folder: Path | str | None) -> BatchStore:
        if folder is None:
            return BatchStore(None, "")
        tensors = {"images": self.images, "labels": self.labels, "wrong": self.wrong}
        settings = {**settings, "attack": attack.name, "attack settings": dict(attack.settings)}
        return BatchStore(Path(folder), fingerprint(self.model, tensors, settings))

    def _attack(self, attack: Attack, rows: Tensor) -> tuple[Tensor, Tensor, int]:
        before, where = self.work.passes, rows.to(self.images.device)
        key = derive_key(self.seed, attack.name, int(rows[0]))
        with named(f"attack {attack.name!r} on images {int(rows[0])} to {int(rows[-1])}"):
            success, norms = attack_batch(
                attack, self.model, self.images[where], self.labels[where],
                epsilons=self.epsilons, key=key, mode=self.mode,
            )  # fmt: skip
        return success, norms, self.work.passes - before


def attack_batch(
    attack: Attack,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilons: Sequence[float],
    key: int,
    mode: Mode = "cascade",
) -> tuple[Tensor, Tensor]:
    """Success [epsilon, n] and smallest norm found [n] on correctly classified images, on the CPU."""
    n, is_cascade = len(images), mode == "cascade" and not attack.is_blind
    success = torch.zeros(len(epsilons), n, dtype=torch.bool, device=images.device)
    norms = torch.full((n,), torch.inf, device=images.device)
    perturbed = None
    if attack.is_minimum_norm:
        perturbed = check_perturbed(attack.run(model, images, labels, None, key)).clamp(0.0, 1.0)
        norms = _norms_if_broken(model, images, labels, perturbed, attack.norm)
    broken_before = torch.zeros(n, dtype=torch.bool, device=images.device)
    for k in sorted(range(len(epsilons)), key=lambda k: epsilons[k]):
        if epsilons[k] == 0:
            continue  # exactly the clean error: these images are all classified correctly
        left = (~broken_before).nonzero().squeeze(1) if is_cascade else torch.arange(n, device=images.device)
        if len(left):
            images_left, labels_left = images[left], labels[left]
            if perturbed is None:
                key_here = derive_key(key, repr(float(epsilons[k])))  # not its place among the budgets
                found = check_perturbed(attack.run(model, images_left, labels_left, epsilons[k], key_here))
            else:
                found = perturbed[left]
            clipped = clip_to_budget(images_left, found, epsilon=epsilons[k], norm=attack.norm)
            lengths = _norms_if_broken(model, images_left, labels_left, clipped, attack.norm)
            success[k, left] = lengths.isfinite()
            # what the clip lets through is within the budget: rounding must not put its length above
            lengths = torch.where(success[k, left], lengths.clamp(max=epsilons[k]), lengths)
            norms[left] = torch.minimum(norms[left], lengths)
        if is_cascade:
            success[k] |= broken_before
            broken_before = success[k]
    return success.cpu(), norms.cpu()


def _norms_if_broken(model: nn.Module, images: Tensor, labels: Tensor, perturbed: Tensor, norm: Norm) -> Tensor:
    """[n] length of the perturbation where it fools the model, infinity elsewhere."""
    lengths = perturbation_norms(perturbed - images, norm).float()
    return torch.where(is_misclassified(model, perturbed, labels), lengths, torch.inf)


def find_wrong(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    """bool [n], on the CPU: images that the model gets wrong without any attack."""
    parts = []
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        with named(f"clean images {start} to {min(start + batch_size, len(images)) - 1}"):
            parts.append(_is_wrong(model, images[part], labels[part]))
    return torch.cat(parts)


def _is_wrong(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    try:
        return is_misclassified(model, images, labels).cpu()
    except RuntimeError as error:  # torch names the two types, not the argument
        wanted = next((each.dtype for each in model.parameters() if each.is_floating_point()), images.dtype)
        if images.dtype == wanted or "type" not in str(error):
            raise
        raise TypeError(
            f"images: expected {wanted}, as the model's weights, got {images.dtype}; use images.to({wanted})"
        ) from error
