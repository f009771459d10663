"""Mask families and the sampling core that everything draws from."""

from msda_analysis.masks.cutmix import CutMix
from msda_analysis.masks.family import MaskBatch, MaskFamily
from msda_analysis.masks.fmix import FMix
from msda_analysis.masks.gridmix import GridMix
from msda_analysis.masks.mixup import MixUp
from msda_analysis.masks.registry import FAMILIES, Alternate, check_family, family_at, family_settings, is_mixer
from msda_analysis.masks.sampling import masks_at, sample_masks
from msda_analysis.masks.text import family_from_text, family_to_text

__all__ = [
    "FAMILIES", "Alternate", "CutMix", "FMix", "GridMix", "MaskBatch", "MaskFamily", "MixUp", "check_family", "family_at",
    "family_from_text", "family_settings", "family_to_text", "is_mixer", "masks_at", "sample_masks",
]  # fmt: skip
