"""Training of VAEs and classifiers under every mask family.

Settings are there at once; the rest is imported when first used, so that the command line can show its help without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from msda_analysis.training.settings import (
    FAST_CLASSIFIER_FIT,
    PAPER_CLASSIFIER_FIT,
    PAPER_VAE_FIT,
    ClassifierFit,
    VaeFit,
)

_HOMES = {
    "History": "loop", "TrainingDivergedError": "loop", "fit_classifier": "classifier", "fit_vae": "vae",
    "negative_elbo": "vae", "score": "scoring", "score_logits": "scoring", "training_together": "together",
}  # fmt: skip

__all__ = [
    "FAST_CLASSIFIER_FIT", "PAPER_CLASSIFIER_FIT", "PAPER_VAE_FIT", "ClassifierFit", "History", "TrainingDivergedError", "VaeFit",
    "fit_classifier", "fit_vae", "negative_elbo", "score", "score_logits", "training_together",
]  # fmt: skip

if TYPE_CHECKING:
    from msda_analysis.training.classifier import fit_classifier
    from msda_analysis.training.loop import History, TrainingDivergedError
    from msda_analysis.training.scoring import score, score_logits
    from msda_analysis.training.together import training_together
    from msda_analysis.training.vae import fit_vae, negative_elbo


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
