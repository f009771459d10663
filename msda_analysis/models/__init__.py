"""Models by name or text, normalization as a module, and weights from files that cannot execute code."""

from msda_analysis.models.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from msda_analysis.models.given import load_classifier, load_vae, named_files, weights_by_name
from msda_analysis.models.normalized import Normalized
from msda_analysis.models.own_vae import OwnVae, to_code
from msda_analysis.models.state import load_state
from msda_analysis.models.vae import VAE, GaussianCode
from msda_analysis.models.views import VIEWS, logits_over_views
from msda_analysis.models.zoo import (
    NAMES,
    Origin,
    check_classes,
    check_network,
    create,
    name_of,
    network_name,
    network_settings,
    origin_of,
)

__all__ = [
    "NAMES",
    "VAE",
    "VIEWS",
    "GaussianCode",
    "Normalized",
    "Origin",
    "OwnVae",
    "check_classes",
    "check_network",
    "create",
    "load_checkpoint",
    "load_classifier",
    "load_state",
    "load_vae",
    "logits_over_views",
    "name_of",
    "named_files",
    "network_name",
    "network_settings",
    "origin_of",
    "read_metadata",
    "save_checkpoint",
    "to_code",
    "weights_by_name",
]
