"""What evaluate() is given, checked before anything is attacked."""

from collections.abc import Iterable, Sequence
from numbers import Real

import torch
from torch import Tensor, nn

from msda_analysis.attacks import Attack, create_attack
from msda_analysis.attacks.perturbation import Norm
from msda_analysis.checks import check_choice, check_count, check_image_batch, check_labels, check_unit_range


def check_model(model: object) -> None:
    """Raise TypeError unless `model` is a module, which can be put in eval mode and put back."""
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise TypeError(f"model: expected a torch.nn.Module, got {kind}; call a function in the forward of one")


def check_images(images: Tensor, labels: Tensor) -> None:
    """Raise unless `images` is a float batch in [0, 1] and `labels` its int64 classes on the same device."""
    check_image_batch(images)
    if images.requires_grad:
        raise ValueError("images: expected a tensor without gradients, got one that requires them; use images.detach()")
    check_unit_range("images", images)
    check_labels(labels, len(images))
    if labels.ndim != 1:
        raise TypeError(
            f"labels: expected int64 [n], got soft labels of shape {tuple(labels.shape)}; use labels.argmax(1)"
        )
    if labels.device != images.device:
        raise ValueError(f"labels: expected on the images' device {images.device}, got {labels.device}")


@torch.no_grad()
def check_classes(model: nn.Module, images: Tensor, labels: Tensor, classes: int | None = None) -> None:
    """Raise ValueError unless the labels index the model's outputs, and these are as many as there are classes.

    Args:
        model: in eval mode; one image is passed through it.
        images: [n, channel, *size].
        labels: int64 [n].
        classes: how many classes the data have; None where that is not known.
    """
    outputs = model(images[:1]).shape[1]
    if outputs < 2:
        raise ValueError(f"model: expected at least 2 logits per image, got {outputs}")
    if classes is not None and outputs != classes:
        raise ValueError(f"model: expected {classes} logits per image, one per class of the data, got {outputs}")
    check_labels(labels, len(labels), num_classes=outputs)


def epsilon_from_text(text: str) -> float:
    """A budget in [0, 1] pixel units from "0.03" or "8/255".

    Raises:
        ValueError: neither a number nor a fraction of two.
    """
    parts = text.split("/")
    try:
        if len(parts) > 2:
            raise ValueError("more than one /")
        value, *below = map(float, parts)
        return value / below[0] if below else value
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"epsilons: expected a number such as 0.03, or a fraction such as 8/255, got {text!r}"
        ) from error


def to_epsilons(epsilons: Iterable[float | str]) -> tuple[float, ...]:
    """Budgets as floats, texts such as "8/255" read; raise unless they are at least one finite number, each >= 0."""
    if isinstance(epsilons, (str, bytes, Real)) or not isinstance(epsilons, Iterable):
        raise TypeError(f"epsilons: expected a sequence of numbers such as (0.01, 0.03), got {epsilons!r}")
    values = [epsilon_from_text(value) if isinstance(value, str) else value for value in epsilons]
    if not all(isinstance(value, (Real, Tensor)) for value in values):
        raise TypeError(f"epsilons: expected a sequence of numbers such as (0.01, 0.03), got {values!r}")
    budgets = tuple(map(float, values))
    if not budgets or not all(0 <= epsilon < float("inf") for epsilon in budgets):
        raise ValueError(f"epsilons: expected at least one finite number, each >= 0, got {budgets!r}")
    return budgets


def check_run(seed: int, batch_size: int, progress: bool) -> None:
    """Raise unless these are an integer, a count and a truth value: what a misplaced argument is not."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed: expected an integer, got {seed!r}")
    check_count("batch_size", batch_size)
    if not isinstance(progress, bool):
        raise TypeError(f"progress: expected True or False, got {progress!r}; a folder is given as folder=...")


def prepare_attacks(attacks: Sequence[str | Attack], norm: Norm) -> list[Attack]:
    """Attack objects of one norm with different names.

    Raises:
        TypeError: an entry is neither a name nor an Attack.
        ValueError: no attack, an unknown name, another norm, or a name twice.
    """
    if isinstance(attacks, (str, Attack)) or not isinstance(attacks, Sequence) or not len(attacks):
        raise ValueError(f"attacks: expected a list of at least one name or Attack, got {attacks!r}")
    for attack in attacks:
        if not isinstance(attack, (str, Attack)):
            raise TypeError(f"attacks: expected names or Attack objects, got {attack!r}")
    prepared = [create_attack(attack, norm) if isinstance(attack, str) else attack for attack in attacks]
    for attack in prepared:
        check_choice(f"norm of attack {attack.name!r}", attack.norm, [norm])
    names = [attack.name for attack in prepared]
    if len(set(names)) < len(names):
        raise ValueError(f"attacks: expected different names, got {', '.join(names)}; rename with dataclasses.replace")
    return prepared
