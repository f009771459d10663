"""A classifier that is watched while it is attacked: what is no number, or no logits, stops the attack."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn


class NotFinite(ValueError):
    """Logits, gradients or perturbed images are no numbers, so that no accuracy can be made from them."""


#: What a call costs beside its images, in images: small batches fill a processor less.
CALL = 8


@dataclass
class Work:
    """What a model was made to do.

    Attributes:
        passes: images passed forward plus images passed backward, and CALL more for each call.
    """

    passes: int = 0


@contextmanager
def guarded(model: nn.Module) -> Iterator[Work]:
    """Look at `model`'s outputs and input gradients in every call inside, and count them; its numbers are not changed.

    NaN compares as false and has the largest index, so that it looks like robustness or like a class wherever it gets
    through. Logits of minus infinity (a class ruled out) are let through.

    Args:
        model: maps images [n, channel, *size] to logits [n, classes].

    Raises (when the model is called):
        NotFinite: NaN among the logits; in the backward pass, NaN or infinity in the gradient at the images.
        TypeError: the output is no floating tensor.
        ValueError: the output is not [n, classes].
    """
    work = Work()

    def look_back(gradient: Tensor) -> None:
        work.passes += len(gradient) + CALL
        check_gradient(gradient)

    def before(module: nn.Module, inputs: tuple) -> tuple:
        images, *others = inputs
        if not isinstance(images, Tensor) or not images.requires_grad:
            return inputs
        images = images.view_as(images)  # a node of this pass alone to watch
        images.register_hook(look_back)
        return (images, *others)

    def after(module: nn.Module, inputs: tuple, logits: object) -> None:
        work.passes += len(inputs[0]) + CALL
        check_logits(logits, len(inputs[0]))

    handles = [model.register_forward_pre_hook(before), model.register_forward_hook(after)]
    try:
        yield work
    finally:
        for handle in handles:
            handle.remove()


def check_logits(logits: object, n: int) -> None:
    """Raise unless a model's output is float [n, classes] without NaN."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"model: expected to return one tensor of float logits [n, classes], got {kind}")
    if logits.ndim != 2 or len(logits) != n:
        shape = tuple(logits.shape)
        raise ValueError(f"model: expected logits [{n}, classes] for {n} images, got shape {shape}")
    _raise_if(logits.isnan(), "logits")


def check_gradient(gradient: Tensor) -> None:
    """Raise NotFinite where the gradient at an image holds NaN or infinity."""
    _raise_if(~gradient.isfinite(), "gradients")


def check_perturbed(images: Tensor) -> Tensor:
    """`images`, perturbed by an attack; raise NotFinite where they hold NaN or infinity."""
    _raise_if(~images.isfinite(), "perturbed images")
    return images


@contextmanager
def named(where: str) -> Iterator[None]:
    """Say in a NotFinite error from the block where it happened: which attack, which images."""
    try:
        yield
    except NotFinite as error:
        raise NotFinite(f"{where}: {error}") from error


def _raise_if(bad: Tensor, what: str) -> None:
    if bool(bad.any()):
        count = int(bad.flatten(1).any(1).sum())
        raise NotFinite(
            f"{what} of {count} of {len(bad)} images are NaN or infinite, from which no accuracy follows; "
            "look for a root, a logarithm or a quotient at 0 in the model, and for NaN among its weights"
        )
