"""The families by name, alternation between families, and the settings by which their numbers are known."""

import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

from msda_analysis.masks.cutmix import CutMix
from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.fmix import FMix
from msda_analysis.masks.gridmix import GridMix
from msda_analysis.masks.mixup import MixUp
from msda_analysis.rng import batch_number
from msda_analysis.source import is_own, own_identity

FAMILIES: dict[str, MaskFamily] = {
    "mixup": MixUp(),
    "cutmix": CutMix(),
    "cutmix_inside": CutMix(geometry="inside"),
    "cutmix_nominal": CutMix(lam_policy="nominal"),
    "fmix": FMix(),
    "fmix_released": FMix(spectrum="released"),
    "gridmix": GridMix(),
}


class Alternate:
    """Switches between families every batch, the first listed first.

    With a step number (training loops) it is a pure function of it; without one it counts its own uses, and in the
    workers of a torch DataLoader the batches of all of them. Workers start at 0 each epoch. With persistent_workers
    they go on, and turns of later epochs may be uneven unless the number of workers divides that of the batches.

    Args:
        families: two or more mask families, or mixers (see mixing.Mixer).

    Raises:
        TypeError: something else.
        ValueError: fewer than two.

    Source: Harris et al. 2020 (arXiv 2002.12047), combination of an interpolating and a masking augmentation.
    """

    def __init__(self, *families: MaskFamily | Callable[..., Any]):
        for family in families:
            check_family(family, alternate=False, mixer=True)
        if len(families) < 2:
            raise ValueError(f"families: expected at least two to alternate between, got {len(families)}")
        self.families = families
        self._uses = 0

    def at(self, step: int | None = None) -> MaskFamily | Callable[..., Any]:
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


def check_family(family: object, *, alternate: bool = True, mixer: bool = False) -> None:
    """Raise TypeError unless `family` is a mask family (or an Alternate or a mixer, where that makes sense)."""
    if isinstance(family, (MaskFamily, Alternate) if alternate else MaskFamily) or (mixer and is_mixer(family)):
        return
    others = [", a mixer (images, labels, generator) -> Mixed"] * mixer + [", or Alternate(...)"] * alternate
    hint = "; it draws no masks" if is_mixer(family) else ""
    raise TypeError(
        f"family: expected one of MixUp(), CutMix(), FMix(), a MaskFamily of yours{''.join(others)}; got {family!r}{hint}"
    )


def is_mixer(thing: object) -> bool:
    """Whether something may mix images by itself, without masks of a family: anything that can be called but classes."""
    return callable(thing) and not isinstance(thing, (type, MaskFamily, Alternate))


def family_at(family: MaskFamily | Alternate, step: int | None = None) -> MaskFamily:
    """The plain family in use at a step."""
    check_family(family)
    plain = family.at(step) if isinstance(family, Alternate) else family
    check_family(plain, alternate=False)
    assert isinstance(plain, MaskFamily)
    return plain


def family_settings(family: MaskFamily | Alternate | Callable[..., Any] | None) -> dict[str, Any] | None:
    """The class and all settings of a family or a mixer as plain JSON values, by which numbers are known; None is no mixing.

    What comes from outside this package is also known by its module and its code, see source.own_identity.

    Raises:
        TypeError: neither, settings that are no plain values, or a mixer that is no function and no dataclass, so that
            nothing says what its settings are.
        ValueError: the code cannot be read.
    """
    if family is None:
        return None
    if isinstance(family, Alternate):
        return {"kind": "Alternate", "families": [family_settings(part) for part in family.families]}
    check_family(family, mixer=True)
    if hasattr(family, "settings_json"):  # a mixer that stands for another thing says itself what tells it from others
        return family.settings_json()  # type: ignore[union-attr]
    if inspect.isfunction(family):
        return {"kind": family.__name__, "function": own_identity(family)}
    if not is_dataclass(family):
        raise TypeError(
            f"family: expected a function or a frozen dataclass, whose settings can be told, since results are known by them; got "
            f"{family!r}; wrap it in a function of yours: def my_mixer(images, labels): ..."
        )
    kind = type(family)
    settings = {"kind": kind.__name__} | asdict(family)  # type: ignore[arg-type]
    if not is_own(kind):
        return settings
    settings |= {"class": own_identity(kind)}
    try:
        return json.loads(json.dumps(settings))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{kind.__name__}: expected numbers, names, or tuples of them as settings, since results are known by them; "
            f"got {family!r} ({error})"
        ) from error
