"""Families as text: fmix, fmix(decay_power=1.5), fmix+mixup, my_masks:Stripes(period=8)."""

import ast
import importlib
import io
import os
import re
import sys
import tokenize
from dataclasses import MISSING, Field, fields, replace
from functools import reduce
from typing import Any

from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.registry import FAMILIES, Alternate, check_family

#: What stands for no mixing at all.
BASELINE = "baseline"
_PART = re.compile(
    r"(?P<name>\w+)\s*(?P<call>\(.*\))?|(?P<module>[\w.]+):(?P<kind>[\w.]+)\s*(?P<make>\(.*\))?", re.DOTALL
)


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
    changed = {name: value for name, value in settings.items() if value != defaults[name]}
    for name, value in changed.items():
        if not _is_literal(value):
            raise ValueError(
                f"{name}: expected a number, a name, or a tuple of such, to write it as text; got {value!r}"
            )
    return f"({', '.join(f'{name}={value!r}' for name, value in changed.items())})" if changed else ""


def _default(field: Field) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _is_literal(value: object) -> bool:
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False


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
    match = _PART.fullmatch(part)
    if match is None or (match["name"] and match["name"] not in FAMILIES):
        raise ValueError(_expected(text))
    make = FAMILIES[match["name"]] if match["name"] else _find_class(match["module"], match["kind"], text)
    settings = _settings(match["call"] or match["make"] or "()", text)
    known = [field.name for field in fields(make) if field.init]  # of an instance or of a class
    for name in settings:
        if name not in known:
            raise ValueError(f"augmentation: {part!r} has no setting {name!r}, only {', '.join(known)}")
    try:
        return make(**settings) if isinstance(make, type) else replace(make, **settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}; in augmentation {text!r}") from error


def _settings(call: str, text: str) -> dict[str, Any]:
    """The settings of "(name=value, ...)", literals only."""
    try:
        tree = ast.parse(f"_{call}", mode="eval").body
        if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.args:
            raise ValueError(f"{call} is no list of settings")
        settings = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in tree.keywords}
        if len(settings) < len(tree.keywords) or any(keyword.arg is None for keyword in tree.keywords):
            raise ValueError(f"{call} does not name each setting once")
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"augmentation: expected settings such as (decay_power=1.5, spectrum='released') in {text!r}, each named once "
            f"and with a plain number, word in quotes or tuple as value; got {call}"
        ) from error
    return settings


def _find_class(module: str, name: str, text: str) -> type[MaskFamily]:
    try:
        found = reduce(getattr, name.split("."), _import(module))
    except (ImportError, SyntaxError, AttributeError) as error:
        raise ValueError(
            f"augmentation: cannot find {module}:{name} of {text!r} ({error}); check the names, and run from the folder of "
            f"{module.partition('.')[0]}.py or install it"
        ) from error
    if not (isinstance(found, type) and issubclass(found, MaskFamily)):
        raise ValueError(f"augmentation: expected {module}:{name} to be a subclass of MaskFamily, got {found!r}")
    return found


def _import(module: str) -> Any:
    """A module, looked for in the current directory last, which stays on the path: worker processes need it there too."""
    importlib.invalidate_caches()  # its file may be new
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] or os.getcwd() in sys.path:
            raise
    sys.path.append(os.getcwd())
    return importlib.import_module(module)


def _expected(text: str) -> str:
    return (
        f"augmentation: expected one of {BASELINE}, {', '.join(FAMILIES)}, one with settings such as "
        "fmix(decay_power=1.5), two or more joined by + (fmix+mixup alternates every batch), or a class of yours such as "
        f"my_masks:Stripes(period=8); got {text!r}"
    )
