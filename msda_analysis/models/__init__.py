"""Models by name, normalization as a module, and checkpoints that cannot execute code."""

from msda_analysis.models.checkpoint import load_checkpoint, load_state, save_checkpoint
from msda_analysis.models.normalized import Normalized
from msda_analysis.models.vae import VAE, GaussianCode
from msda_analysis.models.zoo import NAMES, check_classes, create

__all__ = [
    "NAMES",
    "VAE",
    "GaussianCode",
    "Normalized",
    "check_classes",
    "create",
    "load_checkpoint",
    "load_state",
    "save_checkpoint",
]
