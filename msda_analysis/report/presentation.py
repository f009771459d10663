"""What an author asks of one figure: width, order, colors, fonts. A report's page asks nothing and gets the paper style."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Presentation:
    """How figures are drawn while it is active.

    Attributes:
        width: of the figure, in inches; None leaves each figure its own.
        order: augmentations that come first, in this order.
        colors: augmentation -> color, in place of the usual ones.
        scale: of all sizes of text.
        rc: matplotlib's settings, over those of the paper style.
    """

    width: float | None = None
    order: tuple[str, ...] = ()
    colors: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0
    rc: Mapping[str, Any] = field(default_factory=dict)


_ACTIVE: ContextVar[Presentation] = ContextVar("presentation", default=Presentation())  # noqa: B039 - it is frozen


def active() -> Presentation:
    """The one that figures are drawn under now."""
    return _ACTIVE.get()


@contextmanager
def presented(presentation: Presentation) -> Iterator[None]:
    """Draw under this presentation within the block."""
    token = _ACTIVE.set(presentation)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def page_width(own: float) -> float:
    """Width of a figure in inches: what the author asks for, else its own."""
    return active().width or own


def points(size: float) -> float:
    """A size of text in points, as the author scales them."""
    return active().scale * size


def scale_sizes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings of matplotlib with all sizes of text scaled, and the author's own over them."""
    sizes = {
        name: points(value) for name, value in settings.items() if name.endswith(("size",)) and "marker" not in name
    }
    return {**settings, **sizes, **active().rc}
