"""Settings objects: checked when they are made, and made again from what to_settings wrote. Imports nothing heavy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

_is_unchecked: ContextVar[bool] = ContextVar("is_unchecked", default=False)
_Settings = TypeVar("_Settings")


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
        field.name: make_again(getattr(settings, field.name)) for field in fields(settings) if field.init
    }
    return replace(settings, **values)  # type: ignore[type-var]


def from_settings(values: Any, kinds: Mapping[str, type]) -> Any:
    """What results.to_settings made plain: an object of the class that "kind" names, tuples for lists.

    Args:
        values: plain JSON values.
        kinds: classes by name. What a class does not know is left out, what it has besides keeps its default.

    Raises:
        ValueError: a kind that is not among them, or values that its class refuses.
    """
    if isinstance(values, list):
        return tuple(from_settings(value, kinds) for value in values)
    if not isinstance(values, dict) or "kind" not in values:
        return values
    if values["kind"] not in kinds:
        raise ValueError(f"kind: expected one of {', '.join(kinds)}; got {values['kind']!r}")
    kind = kinds[values["kind"]]
    known = {field.name: field.type for field in fields(kind) if field.init}
    made = {name: from_settings(value, kinds) for name, value in values.items() if name in known}
    paths = {name: Path(value) for name, value in made.items() if isinstance(value, str) and "Path" in str(known[name])}
    return kind(**made | paths)
