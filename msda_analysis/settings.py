"""Settings objects: checked when they are made, written as plain values, made again from these. Imports nothing heavy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

_is_unchecked: ContextVar[bool] = ContextVar("is_unchecked", default=False)
_Settings = TypeVar("_Settings")


def later(default: Any) -> Any:
    """A setting that its class got after finished work was named without it: to_settings leaves it out at its default."""
    return field(default=default, metadata={"later": True})


class Settings:
    """Base of frozen dataclasses of settings."""

    def __post_init__(self) -> None:
        if not _is_unchecked.get():
            self.check()

    def check(self) -> None:
        """Raise ValueError where a value cannot be; may also put values into one spelling."""


@contextmanager
def unchecked() -> Iterator[None]:
    """Make settings without checking them, which may need heavy imports: where a command line puts them together."""
    token = _is_unchecked.set(True)
    try:
        yield
    finally:
        _is_unchecked.reset(token)


def make_again(settings: _Settings) -> _Settings:
    """The same settings, and those inside them, checked.

    Raises:
        ValueError: a value cannot be.
    """
    if not is_dataclass(settings):
        return settings
    values: dict[str, Any] = {
        each.name: make_again(getattr(settings, each.name)) for each in fields(settings) if each.init
    }
    return replace(settings, **values)  # type: ignore[type-var]


def to_settings(settings: Any) -> Any:
    """A dataclass, or a mapping holding some, as plain JSON values with the class name under "kind"."""
    if is_dataclass(settings) and not isinstance(settings, type):
        return {"kind": type(settings).__name__} | _named(settings)
    if isinstance(settings, Mapping):
        return {key: to_settings(value) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [to_settings(value) for value in settings]
    return settings


def _named(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass; those inside it go without the names of their classes, by which finished work is known."""
    shown = [
        each for each in fields(settings)
        if not (each.metadata.get("later") and getattr(settings, each.name) == each.default)
    ]  # fmt: skip
    return {each.name: _inside(getattr(settings, each.name)) for each in shown}


def _inside(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _named(value)
    if isinstance(value, Mapping):
        return {key: _inside(each) for key, each in value.items()}
    return [_inside(each) for each in value] if isinstance(value, (list, tuple)) else value


def from_settings(values: Mapping[str, Any], kind: type[_Settings]) -> _Settings:
    """What to_settings made plain, as an object of its class again.

    Args:
        values: plain JSON values. What the class does not know is left out, what it has besides keeps its default.
        kind: a dataclass; those inside it are known by the types of its fields.

    Raises:
        ValueError: values that the class refuses.
    """
    known = [each for each in fields(kind) if each.init and each.name in values]  # type: ignore[arg-type]
    return kind(**{each.name: _revive(values[each.name], each.type) for each in known})


def _revive(value: Any, kind: Any) -> Any:
    kinds = (kind, *get_args(kind))
    if isinstance(value, Mapping):
        return from_settings(value, next(each for each in kinds if is_dataclass(each)))  # type: ignore[arg-type]
    if isinstance(value, list):
        inner = next((arg for each in kinds for arg in get_args(each)), None)
        return tuple(_revive(each, inner) for each in value)
    return Path(value) if isinstance(value, str) and Path in kinds else value
