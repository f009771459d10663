"""What is audited: any callable that mixes a batch, and the probe batches that it is given."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from msda_analysis.checks import check_count

#: What an audited implementation is: (images [n, 3, *size], labels) -> (mixed images, label information).
Mixer = Callable[[Tensor, Tensor], tuple[Tensor, Any]]


@dataclass(frozen=True)
class Subject:
    """An implementation to audit.

    Attributes:
        name: what to call it, with the version for a package.
        make: builds a fresh mixer for a number of classes.
        alpha: lambda is meant to follow Beta(alpha, alpha); None leaves such checks out.
        make_half: builds one with apply probability 1/2, if there is such a setting.
    """

    name: str
    make: Callable[[int], Mixer]
    alpha: float | None = 1.0
    make_half: Callable[[int], Mixer] | None = None


@dataclass(frozen=True)
class Trial:
    """One subject and the probe batches that it is given.

    Attributes:
        subject: the implementation.
        num_classes: classes it is built for, and images per batch: even, at least 4.
        size: lengths of the probe images.
        n_masks: independent masks to look at, at least 50.
        seed: of the global generators while masks are collected.
    """

    subject: Subject
    num_classes: int = 8
    size: tuple[int, ...] = (32, 32)
    n_masks: int = 800
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes, 4)
        check_count("n_masks", self.n_masks, 50)
        if self.num_classes % 2:
            raise ValueError(
                f"num_classes: expected an even number, it is also the batch size of the probes; got {self.num_classes}"
            )

    def make(self) -> Mixer:
        """A fresh mixer."""
        return self.subject.make(self.num_classes)


def as_subject(subject: Mixer | Subject | str, alpha: float | None = None) -> Subject:
    """A Subject as it is, a callable under its own name, or what a path "package.module:function" names.

    Args:
        subject: what to audit.
        alpha: lambda is meant to follow Beta(alpha, alpha); None takes the Subject's.

    Raises:
        ValueError: none of these, or an unknown path.
    """
    if isinstance(subject, str):
        subject = subject_from_path(subject)
    if isinstance(subject, Subject):
        return subject if alpha is None else Subject(subject.name, subject.make, alpha, subject.make_half)
    if not callable(subject):
        raise ValueError(f"subject: expected a callable, a Subject or a path, got {type(subject).__name__}")
    return Subject(getattr(subject, "__name__", type(subject).__name__), lambda num_classes: subject, alpha)


def subject_from_path(path: str) -> Subject:
    """A subject by dotted path, "package.module:function"; the function is (images, labels) -> (mixed, labels).

    Raises:
        ValueError: not of this form, or no such module or function.
    """
    module, colon, attribute = path.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"subject: expected a path such as package.module:function, got {path!r}")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"subject: cannot find {path!r} ({error}); check the path, and that it is importable"
        ) from error
    if not callable(found):
        raise ValueError(f"subject: expected {path!r} to be callable, got {type(found).__name__}")
    mixer = cast(Mixer, found)
    return Subject(path, lambda num_classes: mixer, None)
