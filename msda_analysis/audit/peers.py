"""The implementations that the audit knows: ours, torchvision's, and timm's and kornia's where installed."""

import importlib.util
import warnings
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from torch import Tensor

from msda_analysis.audit.subject import Mixer, Subject
from msda_analysis.masks import CutMix, FMix, MaskFamily, MixUp
from msda_analysis.mixing import MixTransform


class _Wrapped:
    """A mixer around a third-party object, kept reachable so that its signature can be read."""

    def __init__(self, wrapped: Any, call: Mixer):
        self.wrapped, self.call = wrapped, call

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Any]:
        return self.call(images, labels)


def known_subjects() -> list[Subject]:
    """All subjects that can be built here: ours, torchvision's, timm's and kornia's."""
    return [*own_subjects(), *torchvision_subjects(), *timm_subjects(), *kornia_subjects()]


def own_subjects() -> list[Subject]:
    """This package's families, among them the settings that repeat published runs."""
    families: dict[str, MaskFamily] = {
        "MixUp": MixUp(),
        "CutMix": CutMix(),
        "CutMix inside": CutMix(geometry="inside"),
        "CutMix nominal": CutMix(lam_policy="nominal"),
        "FMix": FMix(),
        "FMix released (as published)": FMix(spectrum="released", lam_policy="nominal", per_batch=True),
    }
    return [_own(f"msda_analysis {name}", family) for name, family in families.items()]


def torchvision_subjects() -> list[Subject]:
    """torchvision.transforms.v2 MixUp and CutMix."""
    from torchvision.transforms import v2

    release = _release("torchvision")
    return [
        Subject(f"torchvision {release} {kind.__name__}", lambda k, kind=kind: kind(num_classes=k))
        for kind in (v2.MixUp, v2.CutMix)
    ]


def timm_subjects() -> list[Subject]:
    """timm.data.Mixup in its three modes, and with its uncorrected label weights; without smoothing. Empty if not installed."""
    if not _is_installed("timm"):
        return []
    subjects = []
    for kind, settings in (("MixUp", {"mixup_alpha": 1.0}), ("CutMix", {"mixup_alpha": 0.0, "cutmix_alpha": 1.0})):
        for mode in ("batch", "elem", "pair"):
            make = partial(_timm, mode=mode, **settings)
            half = partial(_timm, mode=mode, prob=0.5, **settings)
            subjects.append(Subject(f"timm {_release('timm')} {kind} {mode}", make, make_half=half))
    nominal = partial(_timm, mode="elem", mixup_alpha=0.0, cutmix_alpha=1.0, correct_lam=False)
    return [*subjects, Subject(f"timm {_release('timm')} CutMix elem correct_lam=False", nominal)]


def kornia_subjects() -> list[Subject]:
    """kornia's RandomMixUpV2 and RandomCutMixV2, the latter also with its corrected coefficient. Empty if not installed."""
    if not _is_installed("kornia"):
        return []
    release = _release("kornia")
    kinds = {
        "MixUp": ("RandomMixUpV2", {}),
        "CutMix": ("RandomCutMixV2", {}),
        "CutMix use_correct_lambda": ("RandomCutMixV2", {"use_correct_lambda": True}),
    }
    return [
        Subject(
            f"kornia {release} {name}",
            partial(_kornia, kind=kind, p=1.0, **settings),
            make_half=partial(_kornia, kind=kind, p=0.5, **settings),
        )
        for name, (kind, settings) in kinds.items()
    ]


def _own(name: str, family: MaskFamily) -> Subject:
    def make(num_classes: int, p: float = 1.0) -> Mixer:
        return MixTransform(family, num_classes, p=p)

    return Subject(name, make, family.alpha, partial(make, p=0.5))


def _timm(num_classes: int, **settings: Any) -> Mixer:
    from timm.data.mixup import Mixup

    return Mixup(label_smoothing=0.0, num_classes=num_classes, **settings)


def _kornia(num_classes: int, *, kind: str, **settings: Any) -> Mixer:
    import kornia.augmentation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the coefficient's convention, which the audit finds by itself
        mixer = getattr(kornia.augmentation, kind)(data_keys=["input", "class"], **settings)
    return _Wrapped(mixer, lambda images, labels: tuple(mixer(images, labels)))


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _release(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return "(unknown version)"
