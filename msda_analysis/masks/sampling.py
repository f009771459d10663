"""sample_masks: the one door to every mask. Draws are functions of one key taken from the generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

from msda_analysis.checks import check_count, check_size
from msda_analysis.masks import fourier_cpu
from msda_analysis.masks.boxes import box_masks, draw_boxes
from msda_analysis.masks.families import Alternate, CutMix, Family, FMix, MixUp, family_at
from msda_analysis.masks.lam import draw_lam
from msda_analysis.rng import derive_key, generator_from_key, take_key


@dataclass(frozen=True)
class MaskBatch:
    """Masks and the label weights that go with them.

    Attributes:
        masks: [n, 1, *size] float32 in [0, 1]; 1 keeps the first image. MixUp's share one value per mask in memory.
        lam: [n] float32, label weight of the first image (see lam_policy; 1 where reformulated).
        drawn_lam: [n] float32, the lambda that was drawn.
    """

    masks: Tensor
    lam: Tensor
    drawn_lam: Tensor


def sample_masks(
    family: Family | Alternate,
    n: int,
    size: tuple[int, ...],
    *,
    generator: torch.Generator,
    device: str | torch.device | None = None,
    step: int | None = None,
) -> MaskBatch:
    """Sample n masks of a family.

    One key is taken from the generator; the same generator state gives the same masks whatever ran before, and on one
    device the first k masks of n equal a batch of k.

    Args:
        family: MixUp(), CutMix(), FMix() or Alternate(...).
        n: number of masks, at least 1. With family.per_batch all n are the same mask.
        size: one, two or three lengths, for example (32, 32).
        generator: torch.Generator; its device need not be `device`.
        device: where the masks are made; the generator's device if None.
        step: position in the run, which decides whose turn it is in an Alternate.

    Returns:
        MaskBatch with masks [n, 1, *size] and lam [n].

    Raises:
        TypeError: not a mask family, or no torch.Generator.
        ValueError: bad n or size.

    Source: Harris et al. 2020 (arXiv 2002.12047), section 4; see the families for theirs.
    """
    check_count("n", n)
    check_size("size", size)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator: expected a torch.Generator (see msda_analysis.rng.stream), got {generator!r}")
    plain = family_at(family, step)
    device = torch.device(device if device is not None else generator.device)
    batch = masks_from_key(plain, 1 if plain.per_batch else n, tuple(size), take_key(generator), device)
    if not plain.per_batch:
        return batch
    return MaskBatch(batch.masks.expand(n, *batch.masks.shape[1:]), batch.lam.expand(n), batch.drawn_lam.expand(n))


def masks_from_key(family: Family, n: int, size: tuple[int, ...], key: int, device: torch.device) -> MaskBatch:
    """Masks as a pure function of a key (see sample_masks); per_batch is the caller's business."""
    drawn = draw_lam(family, n, derive_key(key, "lam"))
    if isinstance(family, MixUp):
        weights = drawn.to(torch.float32).to(device, non_blocking=True)
        masks = weights.view(n, *[1] * (1 + len(size))).expand(n, 1, *size)
        return MaskBatch(masks, _label_weights(family, weights, weights), weights)
    if isinstance(family, CutMix):
        starts, lengths = draw_boxes(drawn, size, family.geometry, derive_key(key, "boxes"))
        masks = box_masks(starts.to(device), lengths.to(device), size)
    else:
        masks = _fourier_masks(family, drawn, size, key, device)
    drawn_here = drawn.to(torch.float32).to(device, non_blocking=True)
    return MaskBatch(masks, _label_weights(family, masks.flatten(1).mean(1), drawn_here), drawn_here)


def _label_weights(family: Family, kept: Tensor, drawn: Tensor) -> Tensor:
    if family.reformulate:
        return torch.ones_like(drawn)
    return kept if family.lam_policy == "mask_mean" else drawn


def _fourier_masks(family: FMix, lam: Tensor, size: tuple[int, ...], key: int, device: torch.device) -> Tensor:
    """[n, 1, *size] on the device."""
    noise_key, round_up = derive_key(key, "noise"), _round_up(family, len(lam), key)
    return fourier_cpu.sample_masks(family, lam, size=size, key=noise_key, round_up=round_up)


def _round_up(family: FMix, n: int, key: int) -> Tensor | None:
    """The released code rounds lambda times the number of cells up or down by a coin; we round to the nearest."""
    if family.spectrum == "isotropic":
        return None
    coins = generator_from_key(derive_key(key, "rounding"))
    return torch.rand(n, generator=coins, dtype=torch.float64) < 0.5
