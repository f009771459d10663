"""Transforms of torchvision, timm and kornia as mixers, by text such as "torchvision:CutMix(alpha=0.5)".

A transform is made for as many classes as the batch has images and given the labels 0, 1, ..., so that the weights that
come back name both images of each pair: any labels, integers or soft, are then mixed by the same weights.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from msda_analysis.checks import check_choice
from msda_analysis.mixing.mixed import Mixed

_FORBIDDEN = ("num_classes", "label_smoothing", "data_keys", "labels_getter")
_EXACT = 1e-4


@dataclass(frozen=True)
class PackageMixer:
    """A transform of another package; mix() seeds the global generators that it draws from.

    Attributes:
        package: "torchvision", "timm" or "kornia".
        kind: name of its class: "MixUp", "CutMix"; "Mixup"; "RandomMixUpV2", "RandomCutMixV2".
        settings: its own settings by name; those about labels are the adapter's.

    Raises:
        ValueError: another package or class, or a setting about labels.
        ImportError: the package is not installed.
    """

    package: str
    kind: str
    settings: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_choice("package", self.package, PACKAGES)
        kinds = PACKAGES[self.package]
        check_choice(f"{self.package} transform", self.kind, kinds)
        for name, _ in self.settings:
            if name in _FORBIDDEN:
                raise ValueError(
                    f"{name}: expected settings of the mixing itself, since labels are mixed here; leave it out"
                )
        self._build(2)  # a setting that it does not have is an error here

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Mixed:
        """Mix; the generator is left alone, since the transform draws from the global ones."""
        del generator
        n = len(images)
        mixed, weights = self._build(n)(images, torch.arange(n, device=images.device))
        return mixed_by_weights(mixed, labels, weights)

    def settings_json(self) -> dict[str, Any]:
        """Package, its version, class and settings."""
        return {"kind": self.kind, "package": self.package, "version": version(self.package), **dict(self.settings)}

    def _build(self, n: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        try:
            return PACKAGES[self.package][self.kind](n, dict(self.settings))
        except TypeError as error:
            raise ValueError(f"{self.package}:{self.kind}: {error}") from error


def mixed_by_weights(images: Tensor, labels: Tensor, weights: Tensor) -> Mixed:
    """Mixed from the weight of every image's label (columns) in every mixed image (rows).

    Raises:
        ValueError: a row that is no mix of its own image and at most one other.
    """
    n = len(images)
    own = weights.diagonal()
    share, partner = (weights - torch.diag(own)).max(1)
    if float((own + share - 1).abs().max()) > _EXACT:
        raise ValueError(
            "mixer: expected the label of each image and of at most one other, with weights that add up to 1"
        )
    permutation = torch.where(share > 0, partner, torch.arange(n, device=partner.device))
    lam = torch.where(share > 0, own, 1.0).to(torch.float32)
    return Mixed(images, labels, labels[permutation], lam, permutation)


def _torchvision(kind: str, n: int, settings: dict[str, Any]) -> Callable[..., Any]:
    from torchvision.transforms import v2

    return getattr(v2, kind)(num_classes=n, **settings)


def _timm(kind: str, n: int, settings: dict[str, Any]) -> Callable[..., Any]:
    from timm.data.mixup import Mixup

    del kind
    return Mixup(num_classes=n, label_smoothing=0.0, **settings)


def _kornia(kind: str, n: int, settings: dict[str, Any]) -> Callable[..., Any]:
    """Its rows (label, partner's label, coefficient) as weights; the coefficient weighs the second label, unless corrected."""
    import kornia.augmentation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of that convention
        transform = getattr(kornia.augmentation, kind)(data_keys=["input", "class"], **settings)
    weighs_first = bool(settings.get("use_correct_lambda", False))

    def call(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        mixed, rows = transform(images, labels.to(images.dtype))
        own, partner, coefficient = rows.reshape(n, 3).unbind(1)
        lam = coefficient if weighs_first else 1 - coefficient
        one_hot = torch.eye(n, device=images.device)
        return mixed, lam[:, None] * one_hot[own.round().long()] + (1 - lam[:, None]) * one_hot[partner.round().long()]

    return call


def _of(make: Callable[..., Any], *kinds: str) -> dict[str, Callable[[int, dict[str, Any]], Any]]:
    return {kind: (lambda n, settings, kind=kind: make(kind, n, settings)) for kind in kinds}


#: Classes of other packages by package and name: (images per batch, settings) -> (images, labels) -> (mixed, weights).
PACKAGES: dict[str, dict[str, Callable[[int, dict[str, Any]], Any]]] = {
    "torchvision": _of(_torchvision, "MixUp", "CutMix"),
    "timm": _of(_timm, "Mixup"),
    "kornia": _of(_kornia, "RandomMixUpV2", "RandomCutMixV2"),
}
