"""What is audited: any callable that mixes a batch, and the probe batches that it is given."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

from torch import Tensor, nn

from msda_analysis.checks import check_count
from msda_analysis.masks import FAMILIES, Alternate, MaskFamily
from msda_analysis.mixing import MIXERS, Augmentation, MixTransform, augmentation_from_text
from msda_analysis.mixing.adapters import PACKAGES
from msda_analysis.mixing.mixer import name_of, networks_for, read_result, takes_generator
from msda_analysis.rng import stream
from msda_analysis.texts import find_own, parse_call

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


class MixerCall:
    """A mixer (images, labels, generator) as what an audit calls: a stream of its own, labels and weight apart.

    One that takes the network that is trained is given a fixed one of random weights, see fixed_network.
    """

    def __init__(self, mixer: Callable[..., Any], num_classes: int = 8):
        self.wrapped, self.num_classes, self.calls = mixer, num_classes, 0

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Any]:
        generator, self.calls = stream(0, "audited mixer", step=self.calls), self.calls + 1
        more = networks_for(self.wrapped, fixed_network(self.num_classes, images.shape[1], tuple(images.shape[2:])))
        mixed = read_result(self.wrapped(images, labels, generator, **more), name_of(self.wrapped))
        if mixed.labels_a is mixed.labels_b:
            return mixed.images, mixed.labels_a
        return mixed.images, (mixed.labels_a, mixed.labels_b, mixed.lam)


@cache
def fixed_network(num_classes: int, in_channels: int, size: tuple[int, ...]) -> nn.Module:
    """A small classifier of random weights, always the same: images [n, in_channels, *size] -> logits [n, num_classes]."""
    n_hidden = 4
    convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(size) - 1]
    network = nn.Sequential(
        nn.utils.skip_init(convolution, in_channels, n_hidden, 3, padding=1),
        nn.Tanh(), nn.Flatten(),
        nn.utils.skip_init(nn.Linear, n_hidden * math.prod(size), num_classes),
    )  # fmt: skip
    generator = stream(0, "audit network")
    for weights in network.parameters():
        nn.init.normal_(weights, std=0.1, generator=generator)
    return network.eval().requires_grad_(False)


def as_subject(subject: Augmentation | Subject | str, alpha: float | None = None) -> Subject:
    """A Subject as it is, a family, a mixer or a callable under its own name, or what a text names.

    Args:
        subject: what to audit.
        alpha: lambda is meant to follow Beta(alpha, alpha); None takes the Subject's, a family's or a mixer's own.

    Raises:
        ValueError: none of these, or an unknown text.
    """
    if isinstance(subject, str):
        subject = subject_from_path(subject)
    elif not isinstance(subject, Subject):
        subject = _subject_of(subject)
    return subject if alpha is None else Subject(subject.name, subject.make, alpha, subject.make_half)


def subject_from_path(path: str) -> Subject:
    """A subject by text: a callable "package.module:function", (images, labels) -> (mixed, labels); or a family or mixer.

    Raises:
        ValueError: not of this form, or no such module or function.
    """
    call = parse_call(path, what="subject")
    if call is not None and not call.module and call.name in {**FAMILIES, **MIXERS}:
        return _renamed(_subject_of(augmentation_from_text(path)), path)
    if call is None or not call.module:
        raise ValueError(f"subject: expected a path such as package.module:function, got {path!r}")
    if call.module in PACKAGES:
        return _renamed(_subject_of(augmentation_from_text(path)), path)
    found = find_own(call, path, what="subject")
    if call.settings or isinstance(found, type):
        found = augmentation_from_text(path)
    return _renamed(_subject_of(found, path), path)


def _renamed(subject: Subject, name: str) -> Subject:
    return Subject(name, subject.make, subject.alpha, subject.make_half)


def _subject_of(thing: Any, path: str = "") -> Subject:
    if isinstance(thing, (MaskFamily, Alternate)):
        return Subject(
            repr(thing),
            partial(MixTransform, thing),
            getattr(thing, "alpha", None),
            partial(MixTransform, thing, p=0.5),
        )
    if not callable(thing):
        wanted = f"{path!r} to be callable" if path else "a callable, a Subject or a path"
        raise ValueError(f"subject: expected {wanted}, got {type(thing).__name__}")
    if takes_generator(thing):
        return Subject(name_of(thing), lambda num_classes: MixerCall(thing, num_classes), getattr(thing, "alpha", None))
    mixer = cast(Mixer, thing)
    return Subject(name_of(thing), lambda num_classes: mixer, None)
