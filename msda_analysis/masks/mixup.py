"""MixUp: constant masks."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msda_analysis.masks.family import Keys, MaskFamily
from msda_analysis.rng import Key


@dataclass(frozen=True)
class MixUp(MaskFamily):
    """Constant masks: every pixel keeps the share lambda of the first image.

    Attributes:
        alpha: lambda ~ Beta(alpha, alpha).

    Source: Zhang et al. 2018 (arXiv 1710.09412).
    """

    alpha: float = 1.0
    is_symmetric: ClassVar[bool] = True

    def sample(self, lam: Tensor, size: tuple[int, ...], *, key: Key, device: torch.device) -> Tensor:
        """Nothing is drawn: lambda is the mask."""
        del key, device
        return lam.to(torch.float32).view(len(lam), *[1] * (1 + len(size))).expand(len(lam), 1, *size)

    def masks_and_kept(
        self, lam: Tensor, size: tuple[int, ...], *, keys: Keys, device: torch.device, backend: str
    ) -> tuple[Tensor, Tensor]:
        """What is kept is lambda itself: no mask is read."""
        del backend
        return self.sample(lam, size, key=keys["masks"], device=device), lam.to(torch.float32)
