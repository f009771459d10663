"""Analyse mixed-sample data augmentation: masks, mutual information, robustness.

The public names below are imported when first used, so that `import msda_analysis` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Alternate": "masks",
    "CutMix": "masks",
    "FMix": "masks",
    "MaskFamily": "masks",
    "MixUp": "masks",
    "sample_masks": "masks",
    "MixTransform": "mixing",
    "mix": "mixing",
    "Mixed": "mixing",
    "Dataset": "data",
    "load_dataset": "data",
    "ClassifierFit": "training",
    "VaeFit": "training",
    "fit_classifier": "training",
    "fit_vae": "training",
    "Estimate": "estimate",
    "paper_figure": "report.export",
}

__all__ = [
    "Alternate", "ClassifierFit", "CutMix", "Dataset", "Estimate", "FMix", "MaskFamily", "MixTransform", "MixUp", "Mixed",
    "VaeFit",
    "fit_classifier", "fit_vae", "load_dataset", "mix", "paper_figure", "sample_masks",
]  # fmt: skip

if TYPE_CHECKING:
    from msda_analysis.data import Dataset, load_dataset
    from msda_analysis.estimate import Estimate
    from msda_analysis.masks import Alternate, CutMix, FMix, MaskFamily, MixUp, sample_masks
    from msda_analysis.mixing import Mixed, MixTransform, mix
    from msda_analysis.report.export import paper_figure
    from msda_analysis.training import ClassifierFit, VaeFit, fit_classifier, fit_vae


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"msda_analysis.{_HOMES[name]}"), name)
    if name == "__version__":
        return import_module("msda_analysis.environment").package_version()
    try:
        return import_module(f"msda_analysis.{name}")  # msda_analysis.robustness without an import line of its own
    except ModuleNotFoundError as error:
        if error.name != f"msda_analysis.{name}":
            raise
        raise AttributeError(f"module 'msda_analysis' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted(__all__)
