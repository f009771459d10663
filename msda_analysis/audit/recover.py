"""Masks of what only mixes: read back from probe images, to be described like those of a family."""

from typing import Any

import torch
from torch import Tensor

from msda_analysis.audit.evidence import collect
from msda_analysis.audit.subject import Trial, as_subject


def recover_masks(mixer: Any, n: int = 800, size: tuple[int, ...] = (32, 32), *, seed: int = 0) -> Tensor:
    """Masks of a mixer: what share of the first image each pixel keeps.

    Images that kept everything because they met themselves have no mask and are left out.

    Args:
        mixer: see audit().
        n: masks, at least 50.
        size: one, two or three lengths.
        seed: of the global generators.

    Returns:
        [n, 1, *size] float32 in [0, 1] up to rounding, for mask_stats.describe and others.

    Raises:
        ValueError: the mixer has no such masks: its results are no mixes of two images, its masks depend on what the images
            show, so that probe images tell nothing of others, or it mixes no image.
    """
    subject = as_subject(mixer)
    evidence = collect(Trial(subject, size=tuple(size), n_masks=n, seed=seed), texture=True)
    if not all(batch.is_mix for batch in evidence.batches):
        raise ValueError(
            f"{subject.name}: expected mixes m * a + (1 - m) * b of two images, to read masks from; got others"
        )
    if evidence.looks_at_images:
        raise ValueError(
            f"{subject.name}: its masks depend on what the images show, so that probe images tell nothing of others; it has no "
            "mask statistics"
        )
    if not (evidence.partners >= 0).any():
        raise ValueError(f"{subject.name}: expected mixed images, to read masks from; got all of them unchanged")
    return evidence.masks[:n, None].to(torch.float32)
