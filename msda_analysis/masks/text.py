"""Families as text: fmix, fmix(decay_power=1.5), fmix+mixup, my_masks:Stripes(period=8)."""

import io
import tokenize
from dataclasses import MISSING, Field, fields, replace
from typing import Any

from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.registry import FAMILIES, Alternate, check_family
from msda_analysis.texts import Call, call_text, check_settings, find_own, parse_call

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
    parts = _split(text)
    if parts == [BASELINE]:
        return None
    families = [_family_from_part(part, text) for part in parts]
    if per_batch is not None:
        families = [replace(family, per_batch=per_batch) for family in families]
    return families[0] if len(families) == 1 else Alternate(*families)


def family_to_text(family: MaskFamily | Alternate | None) -> str:
    """The shortest text that family_from_text makes this family of.

    Raises:
        TypeError: not a family.
        ValueError: a class that no module has by its name, or settings that no literal stands for.
    """
    if family is None:
        return BASELINE
    if isinstance(family, Alternate):
        return "+".join(map(family_to_text, family.families))
    check_family(family)
    kind = type(family)
    named = {name: known for name, known in FAMILIES.items() if type(known) is kind}
    if named:
        return min((name + _call(family, vars(known)) for name, known in named.items()), key=len)
    if "<" in kind.__qualname__:  # made inside a function
        raise ValueError(
            f"family: no text can name {kind.__qualname__}, a class inside a function; move it to the top of its module"
        )
    defaults = {field.name: _default(field) for field in fields(family)}
    return f"{kind.__module__}:{kind.__qualname__}{_call(family, defaults)}"


def _call(family: MaskFamily, defaults: dict[str, Any]) -> str:
    """The settings that differ from defaults, as "(name=value, ...)"; empty if none does."""
    settings = {field.name: getattr(family, field.name) for field in fields(family) if field.init}
    return call_text({name: value for name, value in settings.items() if value != defaults[name]})


def _default(field: Field) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _split(text: str) -> list[str]:
    """The parts of "a+b" between such + as stand outside of parentheses and quotes."""
    parts, depth, start = [], 0, 0
    if "\n" in text:
        raise ValueError(_expected(text))
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.OP:
                continue
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == "+" and depth == 0:
                parts.append(text[start : token.start[1]])
                start = token.end[1]
    except (tokenize.TokenError, SyntaxError) as error:
        raise ValueError(_expected(text)) from error
    return [part.strip() for part in (*parts, text[start:])]


def _family_from_part(part: str, text: str) -> MaskFamily:
    call = parse_call(part, text, what="augmentation")
    if call is None or (not call.module and call.name not in FAMILIES):
        raise ValueError(_expected(text))
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


def _expected(text: str) -> str:
    return (
        f"augmentation: expected one of {BASELINE}, {', '.join(FAMILIES)}, one with settings such as "
        "fmix(decay_power=1.5), two or more joined by + (fmix+mixup alternates every batch), or a class of yours such as "
        f"my_masks:Stripes(period=8); got {text!r}"
    )
