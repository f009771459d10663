"""Families as text: fmix, fmix(decay_power=1.5), fmix+mixup, my_masks:Stripes(period=8)."""

from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from typing import Any

from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.registry import FAMILIES, Alternate, check_family
from msda_analysis.texts import Call, call_text, check_settings, find_own, parse_call, split_alternation

#: What stands for no mixing at all.
BASELINE = "baseline"


def family_from_text(text: str, *, per_batch: bool | None = None) -> MaskFamily | Alternate | None:
    """The family behind a text; "a+b" alternates between two or more; "baseline" is None, no mixing.

    Args:
        text: a name of FAMILIES, or a class of your own as "module:Class", the module importable or in the current
            directory; either with settings in parentheses. These are literals: nothing in them is evaluated.
        per_batch: one lambda and one mask for the whole batch, whatever the text says; None leaves that to the text.

    Raises:
        ValueError: something else; the message says what was expected.
    """
    return parts_from_text(text, family_from_part, per_batch=per_batch)


def parts_from_text(text: str, read: Callable[[str, str], Any], *, per_batch: bool | None = None) -> Any:
    """What `read` makes of (part, text) for each part of "a+b", as an Alternate if there are several; None of "baseline"."""
    try:
        parts = split_alternation(text)
    except ValueError as error:
        raise ValueError(expected(text)) from error
    if parts == [BASELINE]:
        return None
    found = [read(part, text) for part in parts]
    if per_batch is not None:
        found = [replace(each, per_batch=per_batch) if isinstance(each, MaskFamily) else each for each in found]
    return found[0] if len(found) == 1 else Alternate(*found)


def family_to_text(family: MaskFamily | Alternate | None) -> str:
    """The shortest text that family_from_text makes this family of.

    Raises:
        TypeError: not a family.
        ValueError: a class that no module has by its name, or settings that no literal stands for.
    """
    if family is None:
        return BASELINE
    if isinstance(family, Alternate):
        return "+".join(family_to_text(part) for part in family.families)  # type: ignore[arg-type]
    check_family(family)
    kind = type(family)
    named = {name: known for name, known in FAMILIES.items() if type(known) is kind}
    if named:
        return min((name + settings_text(family, vars(known)) for name, known in named.items()), key=len)
    return path_of(kind) + settings_text(family, defaults_of(kind))


def path_of(thing: Any) -> str:
    """ "module:name" of a class or a function.

    Raises:
        ValueError: it is inside a function, where no text finds it.
    """
    if "<" in thing.__qualname__:
        kind = "class" if isinstance(thing, type) else "function"
        raise ValueError(
            f"family: no text can name {thing.__qualname__}, a {kind} inside a function; move it to the top of its module"
        )
    return f"{thing.__module__}:{thing.__qualname__}"


def settings_text(family: Any, defaults: dict[str, Any]) -> str:
    """The settings of a dataclass that differ from defaults, as "(name=value, ...)"; empty if none does."""
    settings = {field.name: getattr(family, field.name) for field in fields(family) if field.init}
    return call_text({name: value for name, value in settings.items() if value != defaults[name]})


def defaults_of(kind: type) -> dict[str, Any]:
    """The defaults of a dataclass by name; MISSING for what has none."""
    listed = fields(kind)  # type: ignore[arg-type]
    return {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in listed}


def family_from_part(part: str, text: str) -> MaskFamily:
    """The family of one part of a text, without +."""
    call = parse_call(part, text, what="augmentation")
    if call is None or (not call.module and call.name not in FAMILIES):
        raise ValueError(expected(text))
    make = _find_class(call, text) if call.module else FAMILIES[call.name]
    check_settings(call.settings, make, part, what="augmentation")
    try:
        return make(**call.settings) if isinstance(make, type) else replace(make, **call.settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}; in augmentation {text!r}") from error


def _find_class(call: Call, text: str) -> type[MaskFamily]:
    found = find_own(call, text, what="augmentation")
    if not (isinstance(found, type) and issubclass(found, MaskFamily)):
        raise ValueError(
            f"augmentation: expected {call.module}:{call.name} to be a subclass of MaskFamily, got {found!r}"
        )
    return found


def expected(text: str) -> str:
    """The words for a text that is none."""
    return (
        f"augmentation: expected one of {BASELINE}, {', '.join(FAMILIES)}, one with settings such as "
        "fmix(decay_power=1.5), two or more joined by + (fmix+mixup alternates every batch), or a class of yours such as "
        f"my_masks:Stripes(period=8); got {text!r}"
    )
