"""Mixers: what is not a mask times two images. Any callable that mixes a batch, of this package, of another or your own."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from msda_analysis.checks import check_finite, check_image_batch, check_labels
from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.registry import Alternate
from msda_analysis.mixing.mixed import Mixed
from msda_analysis.mixing.seeds import global_seeds
from msda_analysis.mixing.subclasses import as_plain, like
from msda_analysis.rng import derive_key, generator_from_key, take_key
from msda_analysis.source import own_identity

_FORMS = "a Mixed, (images, soft labels [n, classes]), or (images, labels a, labels b, label weight of a)"


class Mixer(Protocol):
    """What mixes a batch by itself: a function, or a frozen dataclass with settings and a __call__.

        def swap_halves(images, labels, generator):  # in a file of yours; --augmentations my_mixers:swap_halves
            order = torch.randperm(len(images), generator=generator)
            mixed = images.clone()
            mixed[..., images.shape[-1] // 2 :] = images[order][..., images.shape[-1] // 2 :]
            return Mixed(mixed, labels, labels[order], torch.full((len(images),), 0.5), order)

    Every random draw should come from the generator, which lives on the CPU. A mixer may leave it out and take (images,
    labels) alone, as other libraries' transforms do; it may also return (mixed images, soft labels), or (mixed images,
    labels a, labels b, label weight of a). mix() and all that trains seed the global generators of torch, NumPy and Python
    around each call, and put them back.
    """

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator, /) -> Mixed:
        """Mix images [n, channel, *size] and labels, int64 [n] or float [n, classes]."""
        ...


#: What mixes images: wherever a family is accepted, a mixer is too, unless masks are asked for.
Augmentation = MaskFamily | Alternate | Callable[..., Any]


@dataclass(frozen=True)
class OwnMixer:
    """A function of your own with settings: function(images, labels[, generator], **settings)."""

    function: Callable[..., Any]
    settings: tuple[tuple[str, Any], ...] = ()

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Any:
        """What the function returns."""
        given = (images, labels, generator) if takes_generator(self.function) else (images, labels)
        return self.function(*given, **dict(self.settings))

    def settings_json(self) -> dict[str, Any]:
        """Name, code and settings of the function."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return {"kind": name, **dict(self.settings), "function": own_identity(self.function)}


def run_mixer(
    mixer: Callable[..., Any], images: Tensor, labels: Tensor, generator: torch.Generator, *, validate: bool = True
) -> Mixed:
    """Call a mixer on copies, with the global generators seeded around it, and look at what comes back.

    Args:
        generator: one key is taken from it.
        validate: look at values too.

    Raises:
        TypeError: a result of another form.
        ValueError: images, labels or label weights that do not fit, or values that are not finite. What the mixer raises
            passes through.
    """
    key = take_key(generator)
    own = generator_from_key(derive_key(key, "mixer"))
    given = (as_plain(images).clone(), labels.clone())
    with global_seeds(key, device=images.device):
        result = mixer(*given, own) if takes_generator(mixer) else mixer(*given)
    mixed = read_result(result, name_of(mixer))
    _check_mixed(mixed, images, name_of(mixer), validate)
    return Mixed(like(mixed.images, images), mixed.labels_a, mixed.labels_b, mixed.lam, mixed.permutation)


def read_result(result: Any, name: str) -> Mixed:
    """A mixer's result as Mixed.

    Raises:
        TypeError: another form; averaged class numbers among them.
    """
    if isinstance(result, Mixed):
        return result
    parts = list(result) if isinstance(result, (tuple, list)) else []
    if len(parts) == 2 and isinstance(parts[1], (tuple, list)):
        parts = [parts[0], *parts[1]]
    if len(parts) == 2 and all(isinstance(part, Tensor) for part in parts):
        images, soft = parts
        if soft.ndim == 2 and soft.is_floating_point():
            return Mixed(images, soft, soft, torch.ones(len(soft), device=soft.device), None)
    if len(parts) == 4 and all(isinstance(part, Tensor) for part in parts[:3]):
        images, labels_a, labels_b, weight = parts
        lam = torch.as_tensor(weight, dtype=torch.float32, device=labels_a.device).expand(len(labels_a))
        return Mixed(images, labels_a, labels_b, lam, None)
    shown = ", ".join(_shown(part) for part in parts) if parts else type(result).__name__
    raise TypeError(f"{name}: expected {_FORMS}; got {shown}")


def takes_generator(mixer: Callable[..., Any]) -> bool:
    """Whether a mixer takes (images, labels, generator), or (images, labels) alone."""
    called = mixer.forward if isinstance(mixer, nn.Module) else mixer
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 2 and (positional[2].default is positional[2].empty or positional[2].name == "generator")


def name_of(mixer: Callable[..., Any]) -> str:
    """What errors call a mixer."""
    named = mixer.function if isinstance(mixer, OwnMixer) else mixer
    return getattr(named, "__name__", type(named).__name__)


def _check_mixed(mixed: Mixed, images: Tensor, name: str, validate: bool) -> None:
    n = len(images)
    check_image_batch(mixed.images, name=f"{name}: mixed images")
    if (mixed.images.shape, mixed.images.dtype, mixed.images.device) != (images.shape, images.dtype, images.device):
        raise ValueError(
            f"{name}: expected mixed images like the images, {images.dtype} {tuple(images.shape)} on {images.device}; got "
            f"{_shown(mixed.images)} on {mixed.images.device}"
        )
    for labels in (mixed.labels_a, mixed.labels_b):
        check_labels(labels, n, name=f"{name}: labels")
    if mixed.lam.shape != (n,):
        raise ValueError(f"{name}: expected one label weight per image, [{n}], got {_shown(mixed.lam)}")
    if not validate:
        return
    check_finite(f"{name}: mixed images", mixed.images)
    low, high = (float(value) for value in torch.aminmax(mixed.lam))
    if not -1e-6 <= low <= high <= 1 + 1e-6:  # NaN fails
        raise ValueError(f"{name}: expected label weights in [0, 1], got [{low:.4g}, {high:.4g}]")


def _shown(part: Any) -> str:
    return f"{part.dtype} {tuple(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
