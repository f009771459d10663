"""The mask families: frozen settings, validated when made. MixUp, CutMix and FMix are laws over masks in [0, 1]."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from msda_analysis.checks import check_choice, check_in_range, check_positive
from msda_analysis.rng import batch_number

LAM_POLICIES = ("mask_mean", "nominal")
GEOMETRIES = ("clipped", "inside")
SPECTRA = ("isotropic", "released")


@dataclass(frozen=True, kw_only=True)
class _Family:
    """Settings that all families share.

    Attributes:
        per_batch: one lambda for the whole batch, as the paper's runs did, and one mask; for CutMix, as in the
            released code, one size of box with a place for each image.
        reformulate: use only the first label (label weight 1), with the same loss in expectation. For MixUp and FMix,
            whose masks have complements of the same law, lambda comes from Beta(alpha + 1, alpha). A CutMix mask turns
            into its complement with the probability that the second label would weigh.
        lam_policy: label weight of the first image: "mask_mean", what the mask really keeps, or "nominal", the drawn
            lambda, as the released code.
    """

    per_batch: bool = False
    reformulate: bool = False
    lam_policy: Literal["mask_mean", "nominal"] = "mask_mean"

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)  # type: ignore[attr-defined]
        check_choice("lam_policy", self.lam_policy, LAM_POLICIES)


@dataclass(frozen=True)
class MixUp(_Family):
    """Constant masks: every pixel keeps the share lambda of the first image.

    Attributes:
        alpha: lambda ~ Beta(alpha, alpha).

    Source: Zhang et al. 2018 (arXiv 1710.09412).
    """

    alpha: float = 1.0


@dataclass(frozen=True)
class CutMix(_Family):
    """Box masks: a box of about the share 1 - lambda of the image comes from the second image.

    Attributes:
        alpha: lambda ~ Beta(alpha, alpha).
        geometry: "clipped", box centre uniform in the image and box cut at the border, as Yun et al.: at alpha = 1 it
            keeps 0.68 of the first image on average; or "inside", box uniform among those that fit: keeps 0.5.

    Source: Yun et al. 2019 (arXiv 1905.04899).
    """

    alpha: float = 1.0
    geometry: Literal["clipped", "inside"] = "clipped"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("geometry", self.geometry, GEOMETRIES)


@dataclass(frozen=True)
class FMix(_Family):
    """Thresholded low-frequency Fourier images.

    Attributes:
        alpha: lambda ~ Beta(alpha, alpha).
        decay_power: delta of the 1 / f^delta amplitude decay; any finite number above 0.
        max_soft: half-width of the soft edge, as a share of the pixels, in [0, 0.5]; 0 gives masks of zeros and ones.
        spectrum: "isotropic", Re(IFFT(f^-delta Z)) as the paper describes; or "released", what the released code
            samples: only the bins 0 and +-1 along the last axis.

    Source: Harris et al. 2020 (arXiv 2002.12047).
    """

    alpha: float = 1.0
    decay_power: float = 3.0
    max_soft: float = 0.0
    spectrum: Literal["isotropic", "released"] = "isotropic"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("decay_power", self.decay_power)
        check_in_range("max_soft", self.max_soft, 0.0, 0.5)
        check_choice("spectrum", self.spectrum, SPECTRA)


Family = MixUp | CutMix | FMix


class Alternate:
    """Switches between families every batch, the first listed first.

    With a step number (training loops) it is a pure function of it; without one it counts its own uses, and in the
    workers of a torch DataLoader the batches of all of them. Workers start at 0 each epoch. With persistent_workers
    they go on, and turns of later epochs may be uneven unless the number of workers divides that of the batches.

    Args:
        families: two or more mask families.

    Raises:
        TypeError: something else than a mask family.
        ValueError: fewer than two.

    Source: Harris et al. 2020 (arXiv 2002.12047), combination of an interpolating and a masking augmentation.
    """

    def __init__(self, *families: Family):
        for family in families:
            check_family(family, alternate=False)
        if len(families) < 2:
            raise ValueError(f"families: expected at least two to alternate between, got {len(families)}")
        self.families = families
        self._uses = 0

    def at(self, step: int | None = None) -> Family:
        """The family of this step; without a step, the next one in turn."""
        if step is None:
            step, self._uses = batch_number(self._uses), self._uses + 1
        return self.families[step % len(self.families)]

    def __repr__(self) -> str:
        return f"Alternate({', '.join(map(repr, self.families))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alternate) and self.families == other.families

    def __hash__(self) -> int:
        return hash(self.families)


def check_family(family: object, *, alternate: bool = True) -> None:
    """Raise TypeError unless `family` is a mask family (or an Alternate, where that makes sense)."""
    allowed = (MixUp, CutMix, FMix, Alternate) if alternate else (MixUp, CutMix, FMix)
    if not isinstance(family, allowed):
        names = ", ".join(kind.__name__ for kind in allowed)
        raise TypeError(f"family: expected an instance of {names}; got {family!r}")


def family_at(family: "Family | Alternate", step: int | None = None) -> Family:
    """The plain family in use at a step."""
    check_family(family)
    return family.at(step) if isinstance(family, Alternate) else family


def family_settings(family: "Family | Alternate | None") -> dict[str, Any] | None:
    """The class and all settings of a family as plain JSON values, by which numbers are known; None is no mixing."""
    if family is None:
        return None
    if isinstance(family, Alternate):
        return {"kind": "Alternate", "families": [family_settings(part) for part in family.families]}
    check_family(family)
    return {"kind": type(family).__name__} | asdict(family)


_NAMED: dict[str, Callable[[], Family | None]] = {
    "baseline": lambda: None,
    "mixup": MixUp,
    "cutmix": CutMix,
    "cutmix_inside": lambda: CutMix(geometry="inside"),
    "cutmix_nominal": lambda: CutMix(lam_policy="nominal"),
    "fmix": FMix,
    "fmix_released": lambda: FMix(spectrum="released"),
}
AUGMENTATIONS = tuple(_NAMED)


def family_from_name(name: str, *, per_batch: bool = False) -> "Family | Alternate | None":
    """The family behind a name of the command line; "a+b" alternates between two; "baseline" is None (no mixing).

    Args:
        name: one of AUGMENTATIONS, or several joined by "+".
        per_batch: one lambda and one mask for the whole batch.

    Raises:
        ValueError: unknown name; the message lists the valid ones.
    """
    parts = name.split("+")
    for part in parts:
        if part not in _NAMED or (part == "baseline" and len(parts) > 1):
            raise ValueError(
                f"augmentation: expected one of {', '.join(AUGMENTATIONS)}, or two or more joined by + "
                f"(fmix+mixup alternates every batch); got {name!r}"
            )
    families = [family and replace(family, per_batch=per_batch) for family in (_NAMED[part]() for part in parts)]
    return families[0] if len(families) == 1 else Alternate(*families)  # type: ignore[arg-type]
