"""Mutual information in nats: the paper's figures, bounds for Gaussian encoders, estimators from samples."""

from msda_analysis.information.between import between_encoders
from msda_analysis.information.codes import VaeCodes, encode_images, encode_once
from msda_analysis.information.cross_fit import fit_marginals
from msda_analysis.information.encoder_bounds import encoder_bounds
from msda_analysis.information.estimators import METHODS, estimate
from msda_analysis.information.features import layer_features
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.layers import layer_information
from msda_analysis.information.measured import measured_all, measured_layers, measured_numbers
from msda_analysis.information.vae import rate_per_image, vae_information

__all__ = [
    "METHODS",
    "CriticFit",
    "VaeCodes",
    "between_encoders",
    "encode_images",
    "encode_once",
    "encoder_bounds",
    "estimate",
    "fit_marginals",
    "layer_features",
    "layer_information",
    "measured_all",
    "measured_layers",
    "measured_numbers",
    "rate_per_image",
    "vae_information",
]
