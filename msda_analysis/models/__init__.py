"""Models by name, normalization as a module, and checkpoints that cannot execute code."""

from msda_analysis.models.normalized import Normalized
from msda_analysis.models.vae import VAE, GaussianCode
from msda_analysis.models.zoo import NAMES, create

__all__ = ["NAMES", "VAE", "GaussianCode", "Normalized", "create"]
