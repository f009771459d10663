"""Mixers: what is not a mask times two images. Any callable that mixes a batch, of this package, of another or your own."""

import inspect
from collections.abc import Callable
from contextlib import nullcontext
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
from msda_analysis.models.frozen import frozen
from msda_analysis.rng import derive_key, generator_from_key, take_key
from msda_analysis.source import own_identity

#: The argument by which a mixer takes the network that is trained.
NETWORK = "network"
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

    A mixer with an argument `network` is given the classifier that is trained, on normalized images, by that name. It is held
    still in the call: in evaluation mode, without gradients of its parameters, and put back after. Where no classifier is
    trained, as for VAEs and pictures, a default such as None is what the mixer gets; without a default that is an error.
    """

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator, /) -> Mixed:
        """Mix images [n, channel, *size] and labels, int64 [n] or float [n, classes]."""
        ...


#: What mixes images: wherever a family is accepted, a mixer is too, unless masks are asked for.
Augmentation = MaskFamily | Alternate | Callable[..., Any]


@dataclass(frozen=True)
class OwnMixer:
    """A function of your own with settings: function(images, labels[, generator][, network], **settings)."""

    function: Callable[..., Any]
    settings: tuple[tuple[str, Any], ...] = ()

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator, **network: nn.Module) -> Any:
        """What the function returns."""
        given = (images, labels, generator) if takes_generator(self.function) else (images, labels)
        return self.function(*given, **network, **dict(self.settings))

    def settings_json(self) -> dict[str, Any]:
        """Name, code and settings of the function."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return {"kind": name, **dict(self.settings), "function": own_identity(self.function)}


def run_mixer(
    mixer: Callable[..., Any],
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    network: nn.Module | None = None,
    validate: bool = True,
) -> Mixed:
    """Call a mixer on copies, with the global generators seeded around it, and look at what comes back.

    Args:
        generator: one key is taken from it.
        network: the classifier that is trained, for a mixer that takes one; see Mixer.
        validate: look at values too.

    Raises:
        TypeError: a result of another form.
        ValueError: images, labels or label weights that do not fit, values that are not finite, or no network for a mixer that
            cannot do without. What the mixer raises passes through.
    """
    key = take_key(generator)
    own = generator_from_key(derive_key(key, "mixer"))
    given = (as_plain(images).clone(), labels.clone())
    more = networks_for(mixer, network)
    held = frozen(*more.values()) if more else nullcontext()
    with global_seeds(key, device=images.device), held:
        result = mixer(*given, *([own] if takes_generator(mixer) else []), **more)
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
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name != NETWORK]
    return len(positional) > 2 and (positional[2].default is positional[2].empty or positional[2].name == "generator")


def networks_for(mixer: Callable[..., Any], network: nn.Module | None) -> dict[str, nn.Module]:
    """The network by the name of the argument by which a mixer takes it; nothing for one that takes none.

    Raises:
        ValueError: there is none, and the mixer has no default for it.
    """
    if network_argument(mixer) is None:
        return {}
    if network is not None:
        return {NETWORK: network}
    if not mixes_without(mixer):
        raise ValueError(
            f"{name_of(mixer)}: needs a classifier that is trained, and here is none; leave out what trains no classifier "
            "(--no-vae), give mix() a network, or give the mixer a default, network=None, and have it do without"
        )
    return {}


def mixes_without(mixer: Callable[..., Any]) -> bool:
    """Whether a mixer can do without a network that is trained."""
    wanted = network_argument(mixer)
    return wanted is None or wanted.default is not wanted.empty


def network_argument(mixer: Callable[..., Any]) -> inspect.Parameter | None:
    """The argument by which a mixer takes the network that is trained, if it does."""
    called = mixer.function if isinstance(mixer, OwnMixer) else mixer
    called = called.forward if isinstance(called, nn.Module) else called
    try:
        return inspect.signature(called).parameters.get(NETWORK)
    except (TypeError, ValueError):
        return None


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
