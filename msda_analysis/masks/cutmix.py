"""CutMix: box masks."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from msda_analysis.checks import check_choice
from msda_analysis.masks.boxes import GEOMETRIES, box_masks, draw_boxes, kept_shares
from msda_analysis.masks.family import Keys, MaskFamily
from msda_analysis.rng import Key


@dataclass(frozen=True)
class CutMix(MaskFamily):
    """Box masks: a box of about the share 1 - lambda of the image comes from the second image.

    With per_batch, as in the released code, one size of box with a place for each image.

    Attributes:
        alpha: lambda ~ Beta(alpha, alpha).
        geometry: "clipped", box centre uniform in the image and box cut at the border, as Yun et al.: at alpha = 1 it
            keeps 0.68 of the first image on average; or "inside", box uniform among those that fit: keeps 0.5.

    Source: Yun et al. 2019 (arXiv 1905.04899).
    """

    alpha: float = 1.0
    geometry: Literal["clipped", "inside"] = "clipped"
    shares_mask: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("geometry", self.geometry, GEOMETRIES)

    def sample(self, lam: Tensor, size: tuple[int, ...], *, key: Key, device: torch.device) -> Tensor:
        """Boxes whose places are drawn from the key."""
        del device
        return box_masks(*draw_boxes(lam, size, self.geometry, key), size)

    def masks_and_kept(
        self, lam: Tensor, size: tuple[int, ...], *, keys: Keys, device: torch.device, backend: str
    ) -> tuple[Tensor, Tensor]:
        """What is kept follows from the boxes' edges: no mask is read."""
        del device, backend
        starts, lengths = draw_boxes(lam, size, self.geometry, keys["boxes"])
        return box_masks(starts, lengths, size), kept_shares(starts, lengths, size)
