"""Mask families and the sampling core that everything draws from."""

from msda_analysis.masks.families import (
    AUGMENTATIONS,
    Alternate,
    CutMix,
    Family,
    FMix,
    MixUp,
    check_family,
    family_at,
    family_from_name,
    family_settings,
)
from msda_analysis.masks.sampling import MaskBatch, sample_masks

__all__ = [
    "AUGMENTATIONS", "Alternate", "CutMix", "FMix", "Family", "MaskBatch", "MixUp",
    "check_family", "family_at", "family_from_name", "family_settings", "sample_masks",
]  # fmt: skip
