"""Things by text: name, name(setting=value), or one of your own as module:name(setting=value). Nothing is evaluated."""

import ast
import importlib
import io
import os
import re
import sys
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import reduce
from inspect import Parameter, signature
from typing import Any

_FORM = re.compile(r"(?:(?P<module>[\w.]+):)?(?P<name>[\w.]+)\s*(?P<call>\(.*\))?", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """What a text says.

    Attributes:
        module: where the name is looked for; "" for a name of the package's own.
        name: of a class, a function or an entry of a table.
        settings: keywords in parentheses, plain values.
    """

    module: str
    name: str
    settings: dict[str, Any]


def parse_call(text: str, whole: str | None = None, *, what: str) -> Call | None:
    """The parts of "name", "name(setting=value)" or "module:name(setting=value)"; None for another form.

    Args:
        text: to be read.
        whole: what the user wrote, if `text` is only a part of it; for the error.
        what: the argument, for the error.

    Raises:
        ValueError: settings that are not keywords with literals as values.
    """
    match = _FORM.fullmatch(text)
    if match is None or (not match["module"] and "." in match["name"]):
        return None
    settings = _settings(match["call"] or "()", text if whole is None else whole, what)
    return Call(match["module"] or "", match["name"], settings)


def find_own(call: Call, whole: str, *, what: str) -> Any:
    """What module:name stands for: the module importable, or in the current directory.

    Raises:
        ValueError: it cannot be found, or its module cannot be imported.
    """
    try:
        return reduce(getattr, call.name.split("."), import_module(call.module))
    except (ImportError, SyntaxError, AttributeError) as error:
        raise ValueError(
            f"{what}: cannot find {call.module}:{call.name} of {whole!r} ({error}); check the names, and run from the folder "
            f"of {call.module.partition('.')[0]}.py or install it"
        ) from error


def import_module(module: str) -> Any:
    """A module, looked for in the current directory last, which stays on the path: worker processes need it there too."""
    importlib.invalidate_caches()  # its file may be new
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] or os.getcwd() in sys.path:
            raise
    sys.path.append(os.getcwd())
    return importlib.import_module(module)


def check_settings(
    settings: Iterable[str], make: Any, part: str, *, what: str, given: int = 0, without: str = ""
) -> None:
    """Raise ValueError unless `make` takes these settings by name.

    Args:
        make: a function, a class, or an instance of a dataclass that is to be changed.
        part: the text that asks for them.
        given: how many first arguments are not settings.
        without: the name of another one that is not.
    """
    if is_dataclass(make):
        known = [field.name for field in fields(make) if field.init]
    else:
        parameters = list(signature(make).parameters.values())[given:]
        if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
            return
        known = [p.name for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
        known = [name for name in known if name != without]
    for name in settings:
        if name not in known:
            raise ValueError(f"{what}: {part!r} has no setting {name!r}, only {', '.join(known) or 'none'}")


def call_text(settings: dict[str, Any]) -> str:
    """Settings as "(name=value, ...)"; empty if there are none.

    Raises:
        ValueError: a value that no literal stands for.
    """
    for name, value in settings.items():
        if not _is_literal(value):
            raise ValueError(
                f"{name}: expected a number, a name, or a tuple of such, to write it as text; got {value!r}"
            )
    return f"({', '.join(f'{name}={value!r}' for name, value in settings.items())})" if settings else ""


def _settings(call: str, text: str, what: str) -> dict[str, Any]:
    try:
        tree = ast.parse(f"_{call}", mode="eval").body
        if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.args:
            raise ValueError(f"{call} is no list of settings")
        settings = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in tree.keywords}
        if len(settings) < len(tree.keywords) or any(keyword.arg is None for keyword in tree.keywords):
            raise ValueError(f"{call} does not name each setting once")
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{what}: expected settings such as (decay_power=1.5, spectrum='released') in {text!r}, each named once "
            f"and with a plain number, word in quotes or tuple as value; got {call}"
        ) from error
    return settings


def _is_literal(value: object) -> bool:
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False


def split_alternation(text: str) -> list[str]:
    """The parts of "a+b" between such + as stand outside of parentheses and quotes.

    Raises:
        ValueError: parentheses or quotes that do not end, or several lines.
    """
    parts, depth, start = [], 0, 0
    if "\n" in text:
        raise ValueError(f"expected one line, got {text!r}")
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.OP:
                continue
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == "+" and depth == 0:
                parts.append(text[start : token.start[1]])
                start = token.end[1]
    except (tokenize.TokenError, SyntaxError) as error:
        raise ValueError(f"cannot be read: {text!r} ({error})") from error
    return [part.strip() for part in (*parts, text[start:])]
