"""Families and mixers as text: what masks.text reads, and resizemix, my_mixers:function(strength=2), torchvision:CutMix."""

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from importlib import import_module
from typing import Any

from msda_analysis.masks import text as masks_text
from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.registry import FAMILIES, Alternate, is_mixer
from msda_analysis.mixing.adapters import PACKAGES, PackageMixer
from msda_analysis.mixing.mixer import NETWORK, Augmentation, OwnMixer, takes_generator
from msda_analysis.texts import Call, call_text, check_settings, find_own, parse_call

#: The files of this folder that hold mixers. To add one, write its file, with a table MIXERS: name -> mixer, a frozen
#: dataclass, and its line here.
FILES = (
    "resizemix",
    "saliencymix",
    "sage",
)
#: Mixers by name.
MIXERS: dict[str, Callable[..., Any]] = {}
for _file in FILES:
    MIXERS |= import_module(f"{__package__}.{_file}").MIXERS


def augmentation_from_text(text: str, *, per_batch: bool | None = None) -> Augmentation | None:
    """The family or mixer behind a text; "a+b" alternates between two or more; "baseline" is None, no mixing.

    Args:
        text: see masks.family_from_text; or a name of MIXERS, a function or mixer class of your own as "module:name", or
            "torchvision:CutMix", "timm:Mixup", "kornia:RandomMixUpV2" (see adapters), each perhaps with settings.
        per_batch: of mask families; see masks.family_from_text.

    Raises:
        ValueError: something else; the message says what was expected.
    """
    return masks_text.parts_from_text(text, _from_part, per_batch=per_batch)


def augmentation_to_text(augmentation: Augmentation | None) -> str:
    """The shortest text that augmentation_from_text makes this of.

    Raises:
        TypeError: neither family nor mixer.
        ValueError: what no module has by its name, or settings that no literal stands for.
    """
    if isinstance(augmentation, Alternate):
        return "+".join(map(augmentation_to_text, augmentation.families))
    if not is_mixer(augmentation):
        return masks_text.family_to_text(augmentation)  # type: ignore[arg-type]
    if isinstance(augmentation, PackageMixer):
        return f"{augmentation.package}:{augmentation.kind}{call_text(dict(augmentation.settings))}"
    if isinstance(augmentation, OwnMixer):
        return masks_text.path_of(augmentation.function) + call_text(dict(augmentation.settings))
    for name, known in MIXERS.items():
        if type(known) is type(augmentation):
            return name + masks_text.settings_text(augmentation, vars(known))
    if is_dataclass(augmentation):
        kind = type(augmentation)
        return masks_text.path_of(kind) + masks_text.settings_text(augmentation, masks_text.defaults_of(kind))
    return masks_text.path_of(augmentation)  # type: ignore[arg-type]


def _from_part(part: str, text: str) -> Augmentation:
    call = parse_call(part, text, what="augmentation")
    if call is None or (not call.module and call.name not in {**FAMILIES, **MIXERS}):
        more = (
            f" {', '.join(MIXERS)}, or a mixer of yours such as my_mixers:function, or torchvision:CutMix are known too"
        )
        raise ValueError(masks_text.expected(text) + ";" + more)
    if not call.module and call.name in FAMILIES:
        return masks_text.family_from_part(part, text)
    try:
        return _mixer(call, part, text)
    except (TypeError, ImportError) as error:
        raise ValueError(f"{error}; in augmentation {text!r}") from error


def _mixer(call: Call, part: str, text: str) -> Augmentation:
    if not call.module:
        check_settings(call.settings, MIXERS[call.name], part, what="augmentation")
        return replace(MIXERS[call.name], **call.settings)  # type: ignore[type-var]
    if call.module in PACKAGES:
        return PackageMixer(call.module, call.name, tuple(call.settings.items()))
    found = find_own(call, text, what="augmentation")
    if isinstance(found, type) and issubclass(found, MaskFamily):
        return masks_text.family_from_part(part, text)
    if isinstance(found, type) and any("__call__" in vars(base) for base in found.__mro__):
        check_settings(call.settings, found, part, what="augmentation")
        return found(**call.settings)
    if not is_mixer(found):
        raise ValueError(
            f"augmentation: expected {call.module}:{call.name} to be a subclass of MaskFamily or a function "
            f"(images, labels, generator) -> Mixed, got {found!r}"
        )
    given = 3 if takes_generator(found) else 2
    check_settings(call.settings, found, part, what="augmentation", given=given, without=NETWORK)
    return OwnMixer(found, tuple(call.settings.items()))
