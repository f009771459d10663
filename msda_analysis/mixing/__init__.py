"""Mixing: batches with themselves, by the masks of a family or by a mixer of any kind.

mixed       the result: images, labels, loss
mix         mix(): the one function for families and mixers
blend       the arithmetic of masks
mixer       what a mixer is, and how one is called
adapters    transforms of torchvision, timm and kornia as mixers
pairs       given pairs of images, for pictures
transform   MixTransform, for existing training loops
text        families and mixers as text
resizemix, saliencymix, sage   mixers of this package
"""

from msda_analysis.masks.registry import family_settings as augmentation_settings
from msda_analysis.mixing.adapters import PackageMixer
from msda_analysis.mixing.blend import blend
from msda_analysis.mixing.mix import mix
from msda_analysis.mixing.mixed import Mixed
from msda_analysis.mixing.mixer import Augmentation, Mixer, OwnMixer
from msda_analysis.mixing.pairs import mix_pairs
from msda_analysis.mixing.resizemix import ResizeMix
from msda_analysis.mixing.sage import SAGE
from msda_analysis.mixing.saliencymix import SaliencyMix
from msda_analysis.mixing.text import MIXERS, augmentation_from_text, augmentation_to_text
from msda_analysis.mixing.transform import MixTransform

__all__ = [
    "MIXERS", "SAGE", "Augmentation", "MixTransform", "Mixed", "Mixer", "OwnMixer", "PackageMixer", "ResizeMix", "SaliencyMix",
    "augmentation_from_text", "augmentation_settings", "augmentation_to_text", "blend", "mix", "mix_pairs",
]  # fmt: skip
