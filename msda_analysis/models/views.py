"""A classifier's logits averaged over views of each image, and how that is to be called beside its plain accuracy."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from msda_analysis.checks import check_choice


def _mirrors(images: Sequence[Tensor]) -> list[Tensor]:
    return [view for each in images for view in (each, each.flip(-1))]


def _shifts(images: Tensor) -> list[Tensor]:
    """Shifted by one pixel to two opposite corners, with reflection."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="reflect")
    return [padded[..., :-2, :-2], padded[..., 2:, 2:]]


#: By name: images [n, channel, height, width] -> views of them, each with its weight.
_VIEWS: dict[str, Callable[[Tensor], list[tuple[float, Tensor]]]] = {
    "none": lambda images: [(1.0, images)],
    "mirror": lambda images: [(1 / 2, view) for view in _mirrors([images])],
    "mirror_shift": lambda images: [
        *((1 / 4, view) for view in _mirrors([images])), *((1 / 8, view) for view in _mirrors(_shifts(images)))
    ],
}  # fmt: skip
VIEWS = tuple(_VIEWS)


def logits_over_views(model: Callable[[Tensor], Tensor], images: Tensor, views: str) -> Tensor:
    """Mean logits [n, class] over views of images [n, channel, height, width].

    Args:
        views: "none"; "mirror", the image and its mirror; "mirror_shift", these, and both shifted by one pixel to two corners,
            which weigh as much together.

    Raises:
        ValueError: unknown views, or images without height and width.

    Source: Jordan 2024 (arXiv 2404.00498) for "mirror_shift".
    """
    check_choice("views", views, VIEWS)
    if views != "none" and images.ndim != 4:
        raise ValueError(f"views: expected 'none' for images that are not [n, channel, height, width], got {views!r}")
    return sum(weight * model(view) for weight, view in _VIEWS[views](images))  # type: ignore[return-value]
