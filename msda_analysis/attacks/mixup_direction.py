"""Steps along MixUp directions: a blind attack that needs a bank of images, and so has no name in ATTACKS."""

import hashlib

import torch
from torch import Tensor, nn

from msda_analysis.attacks.attack import Attack
from msda_analysis.attacks.perturbation import NORMS, Norm, expand_like, perturbation_norms
from msda_analysis.checks import check_choice, check_image_batch
from msda_analysis.rng import derive_key, generator_from_key


def mixup_direction_attack(bank: Tensor, norm: Norm = "linf") -> Attack:
    """A blind attack for evaluate(): each image moves by epsilon towards a random image of a bank.

    Args:
        bank: [m, channel, *size] float in [0, 1]; a step's direction is x_b - x_a, its length in `norm` is the budget.
        norm: "linf" or "l2".

    Raises:
        ValueError: unknown norm.
    """
    check_image_batch(bank, name="bank")
    check_choice("norm", norm, NORMS)

    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        assert epsilon is not None
        chosen = torch.randint(len(bank), (len(images),), generator=generator_from_key(derive_key(key, "partners")))
        direction = bank[chosen.to(bank.device)].to(images) - images
        lengths = perturbation_norms(direction, norm).clamp(min=1e-12)
        return images + epsilon * direction / expand_like(lengths, direction)

    described = {"bank": hashlib.blake2b(bank.detach().cpu().contiguous().numpy().tobytes(), digest_size=8).hexdigest()}
    return Attack("mixup_direction", norm, run, is_black_box=True, is_blind=True, settings=described)
