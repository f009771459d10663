"""Mutual information in nats: the paper's figures, bounds for Gaussian encoders, estimators from samples."""

from msda_analysis.information.between import between_encoders
from msda_analysis.information.encoder_bounds import encoder_bounds, find_active_units, rate_per_dimension
from msda_analysis.information.estimators import METHODS, estimate
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.layers import layer_information
from msda_analysis.information.vae import encode_images, encode_reconstructions, rate_per_image, vae_information

__all__ = [
    "METHODS",
    "CriticFit",
    "between_encoders",
    "encode_images",
    "encode_reconstructions",
    "encoder_bounds",
    "estimate",
    "find_active_units",
    "layer_information",
    "rate_per_dimension",
    "rate_per_image",
    "vae_information",
]
