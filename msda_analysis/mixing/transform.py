"""MixTransform: a batch transform for existing training loops."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.checks import check_count, check_image_batch, check_in_range, check_labels
from msda_analysis.masks.registry import check_family
from msda_analysis.mixing.mix import mix
from msda_analysis.mixing.mixed import as_soft, smooth
from msda_analysis.mixing.mixer import Augmentation
from msda_analysis.rng import batch_number, derive_key, generator_from_key, process_rank

_LABEL_KEYS = ("labels", "label", "targets", "target", "y")


class MixTransform(nn.Module):
    """A batch transform for existing training loops, called like torchvision.transforms.v2.CutMix.

        transform = MixTransform(FMix(), num_classes=10)
        images, soft_labels = transform(images, labels)
        batch = transform(batch)  # a tuple or list (images, labels, ...), or a dictionary

    Works in the training loop or in a collate function, in training and in evaluation mode alike. It owns its random
    stream: the k-th call gives the same result whatever else ran, and in DataLoader workers the worker's own seed joins
    in, so no two workers and no two epochs repeat each other. Processes of different rank draw differently from one seed.
    The mixed images have the images' class (torchvision's tv_tensors.Image, for example).

    Args:
        family: MixUp(), CutMix(), FMix(), any other MaskFamily, a mixer (see mixing.Mixer), or Alternate(...), whose turns
            count over the workers of a DataLoader.
        num_classes: number of classes.
        seed: seed of the stream.
        p: probability of mixing a batch, in [0, 1]; other batches only get soft labels.
        rank: of this process; None takes torch.distributed's, 0 where that is not initialized. DataLoader workers
            have the rank of the process that they serve.
        spatial: see mix(): 2 for video [n, time, channel, height, width], one mask per video.
        labels_getter: finds the labels of a batch that is one argument: a key or an index, a function of the batch, or None
            for the second of a sequence, or the dictionary's "labels", "label", "targets", "target" or "y". The images are
            the one other tensor of floats with three axes or more; all else stays as it is.
        label_smoothing: share of every label that is spread evenly over all classes, in [0, 1].
        network: the classifier that is trained, for mixers that look at it; see mixing.Mixer.

    Raises:
        TypeError, ValueError: as mix(); integer labels out of range; num_classes below 1; p or label_smoothing outside
            [0, 1]; a batch in which labels or images are not found.
    """

    def __init__(
        self,
        family: Augmentation,
        num_classes: int,
        *,
        seed: int = 0,
        p: float = 1.0,
        rank: int | None = None,
        spatial: int | None = None,
        labels_getter: str | int | Callable[[Any], Tensor] | None = None,
        label_smoothing: float = 0.0,
        network: nn.Module | None = None,
    ):
        super().__init__()
        check_family(family, mixer=True)
        check_count("num_classes", num_classes)
        check_in_range("p", p, 0.0, 1.0)
        check_in_range("label_smoothing", label_smoothing, 0.0, 1.0)
        if rank is not None:
            check_count("rank", rank, minimum=0)
        self.family, self.num_classes, self.seed, self.p = family, num_classes, seed, p
        self.rank, self.spatial = rank, spatial
        self.labels_getter, self.label_smoothing = labels_getter, label_smoothing
        self.networks = (network,)  # in a tuple it is no part of this module
        self.calls = 0

    def forward(self, *batch: Any) -> Any:
        """Mixed images [n, channel, *size] and soft labels [n, num_classes], in the form in which the batch came."""
        if len(batch) == 2:
            return self._mix(*batch)
        if len(batch) != 1:
            raise TypeError(
                f"batch: expected (images, labels) or one batch that holds them, got {len(batch)} arguments"
            )
        labels = _find_labels(batch[0], self.labels_getter)
        images = _find_images(batch[0], labels)
        mixed, soft = self._mix(images, labels)
        return _replace(batch[0], {id(images): mixed, id(labels): soft})

    def _mix(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        check_image_batch(images, minimum=2)
        check_labels(labels, images.shape[0], num_classes=self.num_classes if images.device.type == "cpu" else None)
        worker = torch.utils.data.get_worker_info()
        place = (0, 0) if worker is None else (worker.id + 1, worker.seed)
        rank = process_rank() if self.rank is None else self.rank
        if rank:
            place = (*place, "rank", rank)
        generator = generator_from_key(derive_key(self.seed, "transform", *place, self.calls))
        step, self.calls = batch_number(self.calls), self.calls + 1
        if self.p < 1 and float(torch.rand((), generator=generator)) >= self.p:
            return images, smooth(as_soft(labels, self.num_classes), self.label_smoothing)
        (network,) = self.networks
        mixed = mix(images, labels, self.family, generator=generator, step=step, spatial=self.spatial, network=network)
        return mixed.images, mixed.soft_labels(self.num_classes, label_smoothing=self.label_smoothing)

    def __getstate__(self) -> dict[str, object]:
        """Gives the rank to workers that are spawned, where torch.distributed is not initialized."""
        return {**self.__dict__, "rank": process_rank() or None if self.rank is None else self.rank}

    def __repr__(self) -> str:
        return f"MixTransform({self.family!r}, num_classes={self.num_classes}, seed={self.seed}, p={self.p})"


def _items(batch: Any) -> dict[Any, Any]:
    """What a batch holds, by key or by index."""
    if isinstance(batch, Mapping):
        return dict(batch)
    if isinstance(batch, Sequence) and not isinstance(batch, (str, bytes)):
        return dict(enumerate(batch))
    raise TypeError(
        f"batch: expected (images, labels), or a tuple, list or dictionary with both, got {type(batch).__name__}"
    )


def _find_labels(batch: Any, getter: str | int | Callable[[Any], Tensor] | None) -> Tensor:
    if callable(getter):
        labels = getter(batch)
        if not any(labels is item for item in _items(batch).values()):
            raise ValueError(
                "labels_getter: expected it to return a tensor of the batch itself, so that it can be replaced"
            )
        return labels
    items = _items(batch)
    known = (getter,) if getter is not None else (_LABEL_KEYS if isinstance(batch, Mapping) else (1,))
    found = [items[key] for key in known if key in items]
    if not found:
        raise ValueError(
            f"batch: expected labels under {', '.join(map(repr, known))}, got {', '.join(map(repr, items))}; give labels_getter"
        )
    return found[0]


def _find_images(batch: Any, labels: Tensor) -> Tensor:
    found = {
        key: item
        for key, item in _items(batch).items()
        if item is not labels and isinstance(item, Tensor) and item.is_floating_point() and item.ndim >= 3
    }
    if len(found) != 1:
        raise ValueError(
            f"batch: expected one tensor of floats [n, channel, *size] beside the labels, got "
            f"{', '.join(map(repr, found)) or 'none'}; call transform(images, labels) instead"
        )
    return next(iter(found.values()))


def _replace(batch: Any, changed: dict[int, Tensor]) -> Any:
    """The same kind of batch with other tensors."""
    items = {key: changed.get(id(item), item) for key, item in _items(batch).items()}
    if isinstance(batch, Mapping):
        return items
    if hasattr(batch, "_fields"):  # a named tuple
        return type(batch)(*items.values())
    return tuple(items.values()) if isinstance(batch, tuple) else list(items.values())
