"""Arrays of many kinds as the tensors of a dataset."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from msda_analysis.checks import check_image_batch, check_pixels, check_unit_range


def to_images(images: Any) -> Tensor:
    """A copy as uint8, or float32 in [0, 1], [n, channel, *size]; see Dataset.from_arrays.

    Raises:
        TypeError: no array or tensor, or of another dtype.
        ValueError: another shape, or floats outside [0, 1].
    """
    if not isinstance(images, (Tensor, np.ndarray)):
        raise TypeError(f"images: expected a NumPy array or a tensor, got {type(images).__name__}")
    tensor = images.detach().cpu().clone() if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    tensor = tensor.as_subclass(Tensor).contiguous()
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise TypeError(
            f"images: expected uint8, or floats in [0, 1], got {tensor.dtype}; convert 0..255 with "
            "images.astype(np.uint8) or images.to(torch.uint8)"
        )
    check_pixels(tensor) if tensor.dtype == torch.uint8 else check_image_batch(tensor)
    _check_layout(tuple(tensor.shape))
    if tensor.dtype == torch.uint8:
        return tensor
    check_unit_range("images", tensor)
    return _as_pixels_if_exact(tensor.to(torch.float32))


def to_labels(labels: Any, classes: Sequence[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    """int64 [n] and class names, of integers or of names; see Dataset.from_arrays.

    Raises:
        TypeError: labels of another dtype.
        ValueError: another shape, no labels, or names that are not among the classes.
    """
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1 or not len(array):
        raise ValueError(f"labels: expected one label per image, [n] or [n, 1], got shape {array.shape}")
    if array.dtype.kind in "US":
        return _index_names(array.astype(str), classes)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"labels: expected integers or names, got {array.dtype}; use labels.astype(int) for whole numbers"
        )
    indices = torch.from_numpy(array.astype(np.int64))
    names = map(str, range(int(indices.max()) + 1)) if classes is None else map(str, classes)
    return indices, tuple(names)


def read_items(dataset: Any, progress: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of all items of a torch dataset; see Dataset.from_torch."""
    total = len(dataset) if hasattr(dataset, "__len__") else None
    items: Iterable[Any] = dataset if total is None else (dataset[i] for i in range(total))
    images, labels = [], []
    for i, item in enumerate(tqdm(items, "reading images", total, delay=2, disable=None if progress else True)):
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise TypeError(f"dataset: expected items (image, label), got {type(item).__name__} as item {i}")
        image, label = _item_image(item[0], i), item[1]
        if images and (image.shape, image.dtype) != (images[0].shape, images[0].dtype):
            raise ValueError(
                f"dataset: expected all images to be {images[0].dtype} {images[0].shape} like the first, got {image.dtype} "
                f"{image.shape} as item {i}; resize them in the dataset's transform"
            )
        images.append(image)
        labels.append(label.item() if isinstance(label, (Tensor, np.generic)) else label)
    if not images:
        raise ValueError("dataset: expected at least one item, got none")
    return np.stack(images), np.asarray(labels)


def _item_image(image: Any, i: int) -> np.ndarray:
    """[channel, *size]; PIL pictures have their channels last, or none."""
    if isinstance(image, Tensor):
        return image.detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        return image
    if not hasattr(image, "convert"):
        raise TypeError(
            f"dataset: expected a PIL picture, an array or a tensor as image, got {type(image).__name__} in item {i}"
        )
    array = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _check_layout(shape: tuple[int, ...]) -> None:
    """Raise ValueError for what is almost surely pictures without channels, or with channels last."""
    if len(shape) == 4 and shape[3] in (1, 3, 4) and shape[1] > 4:
        raise ValueError(
            f"images: expected [n, channel, height, width], got {shape}, which looks like [n, height, width, channel]; "
            "use np.moveaxis(images, -1, 1)"
        )
    if len(shape) == 3 and shape[1] == shape[2] > 4:
        raise ValueError(
            f"images: expected [n, channel, *size], got {shape}, which looks like square pictures without a channel; use "
            "images[:, None]. Signals with as many channels as steps can be made with Dataset(...) itself"
        )


def _as_pixels_if_exact(images: Tensor) -> Tensor:
    pixels = (images * 255).round().to(torch.uint8)
    return pixels if torch.equal(pixels / 255, images) else images


def _index_names(labels: np.ndarray, classes: Sequence[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    names = tuple(sorted(set(labels.tolist())) if classes is None else map(str, classes))
    place = {name: i for i, name in enumerate(names)}
    unknown = sorted(set(labels.tolist()) - set(place))
    if unknown:
        raise ValueError(f"labels: expected names among classes ({', '.join(names)}), got also {', '.join(unknown)}")
    return torch.tensor([place[label] for label in labels.tolist()]), names
