"""Training of VAEs and classifiers under every mask family."""

from msda_analysis.training.fit_classifier import PAPER_CLASSIFIER_FIT, ClassifierFit, fit_classifier
from msda_analysis.training.fit_vae import PAPER_VAE_FIT, VaeFit, fit_vae, negative_elbo
from msda_analysis.training.loop import History, TrainingDivergedError

__all__ = [
    "PAPER_CLASSIFIER_FIT", "PAPER_VAE_FIT", "ClassifierFit", "History", "TrainingDivergedError", "VaeFit",
    "fit_classifier", "fit_vae", "negative_elbo",
]  # fmt: skip
