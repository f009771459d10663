"""Mixing: one function for every family, m * x_a + (1 - m) * x_b, and the loss and labels that go with it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from msda_analysis.checks import (
    check_choice,
    check_count,
    check_finite,
    check_image_batch,
    check_in_range,
    check_labels,
)
from msda_analysis.masks.blocks import empty_on_cpu, run_on_threads
from msda_analysis.masks.draws import has_triton
from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.registry import Alternate, check_family
from msda_analysis.masks.sampling import sample_masks
from msda_analysis.rng import batch_number, derive_key, generator_from_key, process_rank, take_key

_LARGE_IMAGE = 1 << 15  # values from which reading a partner where it lies beats a copy of it in the cache
_BLOCK_VALUES = (
    1 << 20
)  # values mixed at once: a block of partners stays in the cache, and starting a thread for it pays


@dataclass(frozen=True)
class Mixed:
    """A mixed batch.

    Attributes:
        images: [n, channel, *size] mixed images.
        labels_a, labels_b: labels of the first and second image of each pair, int64 [n] or float [n, classes].
        lam: [n] float32, label weight of the first image.
        permutation: [n] int64; image i is mixed with image permutation[i].
    """

    images: Tensor
    labels_a: Tensor
    labels_b: Tensor
    lam: Tensor
    permutation: Tensor

    def loss(self, logits: Tensor) -> Tensor:
        """lam * CE(a) + (1 - lam) * CE(b), mean over the batch, in nats.

        Args:
            logits: [n, classes].
        """
        loss_a = functional.cross_entropy(logits, self.labels_a, reduction="none")
        loss_b = functional.cross_entropy(logits, self.labels_b, reduction="none")
        return (self.lam * loss_a + (1 - self.lam) * loss_b).mean()

    def soft_labels(self, num_classes: int) -> Tensor:
        """[n, num_classes] float32 label weights, summing to one for integer labels."""
        label_a, label_b = _as_soft(self.labels_a, num_classes), _as_soft(self.labels_b, num_classes)
        return self.lam[:, None] * label_a + (1 - self.lam[:, None]) * label_b


def mix(
    images: Tensor,
    labels: Tensor,
    family: MaskFamily | Alternate,
    *,
    generator: torch.Generator,
    step: int | None = None,
    spatial: int | None = None,
    validate: bool | None = None,
    out: Tensor | None = None,
) -> Mixed:
    """Mix a batch with a permutation of itself.

    Args:
        images: [n, channel, *size] float, n >= 2, one to three spatial axes; left as they are. The mixed images have
            their memory format, channels_last too.
        labels: int64 [n] or float [n, classes].
        family: MixUp(), CutMix(), FMix(), any other MaskFamily, or Alternate(...).
        generator: source of lambda, masks and pairs; advanced by a fixed amount.
        step: position in the run, which decides whose turn it is in an Alternate.
        spatial: how many last axes a mask spans; None for all but the first two. Video [n, time, channel, height,
            width] with spatial=2 gets one mask per video, the same over all its frames and channels.
        validate: look for NaN and infinite values; None does so on a CPU only, because a GPU would have to wait.
        out: buffer for the mixed images, see blend().

    Returns:
        Mixed, on the images' device.

    Raises:
        TypeError: images or labels of the wrong type or dtype.
        ValueError: wrong rank, fewer than two images, as many labels as images expected, non-finite values, a bad
            `out`, or five axes of which the third has 1, 3 or 4 entries, as colors of a video would, without `spatial`.

    Source: Zhang et al. 2018 (arXiv 1710.09412); Yun et al. 2019 (arXiv 1905.04899); Harris et al. 2020 (2002.12047).
    """
    check_family(family)
    check_image_batch(images, minimum=2)
    check_labels(labels, images.shape[0])
    size = _spatial_size(images, spatial)
    if validate is None:
        validate = images.device.type == "cpu"
    n = images.shape[0]
    pairs = generator_from_key(derive_key(take_key(generator), "pairs"))
    permutation = torch.randperm(n, generator=pairs).to(images.device, non_blocking=True)
    batch = sample_masks(family, n, size, generator=generator, device=images.device, step=step)
    mixed, is_finite = _blend(images, permutation, batch.masks, out, look=validate)
    if not is_finite:  # every image is in the mix, so a bad value cannot hide; large finite ones may have overflowed
        check_finite("images", images)
    return Mixed(mixed, labels, labels[permutation], batch.lam, permutation)


def _spatial_size(images: Tensor, spatial: int | None) -> tuple[int, ...]:
    """Lengths of the axes that a mask spans."""
    if spatial is not None:
        check_count("spatial", spatial)
        check_choice("spatial", spatial, range(1, images.ndim - 1))
        return tuple(images.shape[-spatial:])
    if images.ndim == 5 and images.shape[2] in (1, 3, 4):
        raise ValueError(
            f"images: shape {tuple(images.shape)} may be videos [n, time, channel, height, width] or volumes "
            "[n, channel, depth, height, width]; give spatial=2 for one mask over height and width for each video, or "
            "spatial=3 for masks over depth, height and width"
        )
    return tuple(images.shape[2:])


def blend(images: Tensor, permutation: Tensor, masks: Tensor, *, out: Tensor | None = None) -> Tensor:
    """m * x + (1 - m) * x[permutation].

    On a CPU and without gradients it works in blocks that fit the cache. Large images are read twice and written once.
    Small ones are gathered first, then blended in place, two operations: one for each would cost more in calls. One
    pass takes a compiler: torch.compile of torch.lerp(images[permutation], images, masks).

    Args:
        images: [n, channel, *size]; the result has their memory format.
        permutation: [n] int64.
        masks: [n, 1, *size] in [0, 1]; where images have more axes, those before `size` share a mask.
        out: where to write, like the images but other memory. Using one buffer again saves the system's work of
            handing out fresh memory, which for large batches costs as much as mixing.

    Raises:
        ValueError: `out` differs from the images in shape, dtype, device or memory format, or is the images.
    """
    return _blend(images, permutation, masks, out, look=False)[0]


def _blend(
    images: Tensor, permutation: Tensor, masks: Tensor, out: Tensor | None, *, look: bool
) -> tuple[Tensor, bool]:
    """The mixed batch, and whether it is finite (where asked to look)."""
    layout = _memory_format(images)
    if out is not None:
        _check_out(out, images, layout)
    if layout != torch.contiguous_format:
        mixed, is_finite = _blend(images.contiguous(), permutation, masks, None, look=look)
        return (mixed.contiguous(memory_format=layout) if out is None else out.copy_(mixed)), is_finite
    if masks.ndim < images.ndim:
        last = images.ndim - masks.ndim + 1  # of the axes that share a mask
        flat = None if out is None else out.flatten(1, last)
        mixed, is_finite = _blend(images.flatten(1, last), permutation, masks, flat, look=look)
        return (mixed.view(images.shape) if out is None else out), is_finite
    masks = masks.to(images.dtype)
    if images.device.type == "cpu" and not images.requires_grad:
        mixed = empty_on_cpu(*images.shape, dtype=images.dtype) if out is None else out
        return mixed, _blend_in_blocks(images.contiguous(), permutation, masks, mixed, look)
    if images.device.type == "cuda" and not images.requires_grad and has_triton():
        from msda_analysis.masks import blend_triton  # only where it is used: importing Triton takes a second

        mixed = blend_triton.blend(images.contiguous(), permutation, masks, out)
    else:
        mixed = torch.lerp(images[permutation], images, masks, out=out)
    return mixed, not look or math.isfinite(float(mixed.detach().sum()))


def _memory_format(images: Tensor) -> torch.memory_format:
    """channels_last or channels_last_3d where the images lie so and not otherwise too."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if (
        images.ndim in formats
        and not images.is_contiguous()
        and images.is_contiguous(memory_format=formats[images.ndim])
    ):
        return formats[images.ndim]
    return torch.contiguous_format


def _check_out(out: Tensor, images: Tensor, layout: torch.memory_format) -> None:
    same = (out.shape, out.dtype, out.device) == (images.shape, images.dtype, images.device)
    if not same or not out.is_contiguous(memory_format=layout):
        name = {torch.contiguous_format: "contiguous"}.get(layout, "channels-last")
        raise ValueError(
            f"out: expected a {name} {images.dtype} tensor of shape {tuple(images.shape)} on {images.device}, got "
            f"{out.dtype} of shape {tuple(out.shape)} on {out.device}; make one with torch.empty_like(images)"
        )
    if out.untyped_storage().data_ptr() == images.untyped_storage().data_ptr():
        raise ValueError("out: expected other memory than the images', which are read while it is written")


def _blend_in_blocks(images: Tensor, permutation: Tensor, masks: Tensor, mixed: Tensor, look: bool) -> bool:
    """Write into `mixed`; whether all is finite (where asked to look)."""
    per_image = max(1, images.numel() // len(images))
    rows = 1 if per_image >= _LARGE_IMAGE else max(1, _BLOCK_VALUES // per_image)
    blocks = list(_parts(rows, images, permutation, masks, mixed))
    are_finite: list[bool] = []

    def mix_block(block: int) -> None:
        some, partners, their_masks, place = blocks[block]
        if rows == 1:  # large images: no copy of the partner is needed
            torch.lerp(images[int(partners)], some, their_masks, out=place)
        else:  # gather the partners into place, then blend there while they are in the cache
            torch.index_select(images, 0, partners, out=place).lerp_(some, their_masks)
        if look:
            are_finite.append(math.isfinite(float(place.sum())))

    run_on_threads(mix_block, len(blocks), tasks_per_thread=max(1, _BLOCK_VALUES // (rows * per_image)))
    return all(are_finite)


def _parts(rows: int, *tensors: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """The tensors, some rows at a time. Short ones stay whole: views of a small batch would cost a tenth of its mixing."""
    if len(tensors[0]) <= rows:
        return [tensors]
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)


class MixTransform:
    """A batch transform for existing training loops, called like torchvision.transforms.v2.CutMix.

    Works in the training loop or in a collate function. It owns its random stream: the k-th call gives the same
    result whatever else ran, and in DataLoader workers the worker's own seed joins in, so no two workers and no two
    epochs repeat each other. Processes of different rank draw differently from one seed.

    Args:
        family: MixUp(), CutMix(), FMix(), any other MaskFamily, or Alternate(...), whose turns count over the workers
            of a DataLoader.
        num_classes: number of classes.
        seed: seed of the stream.
        p: probability of mixing a batch, in [0, 1]; other batches only get soft labels.
        rank: of this process; None takes torch.distributed's, 0 where that is not initialized. DataLoader workers
            have the rank of the process that they serve.
        spatial: see mix(): 2 for video [n, time, channel, height, width], one mask per video.

    Raises:
        TypeError, ValueError: as mix(); integer labels out of range; num_classes below 1; p outside [0, 1].
    """

    def __init__(
        self,
        family: MaskFamily | Alternate,
        num_classes: int,
        *,
        seed: int = 0,
        p: float = 1.0,
        rank: int | None = None,
        spatial: int | None = None,
    ):
        check_family(family)
        check_count("num_classes", num_classes)
        check_in_range("p", p, 0.0, 1.0)
        if rank is not None:
            check_count("rank", rank, minimum=0)
        self.family, self.num_classes, self.seed, self.p = family, num_classes, seed, p
        self.rank, self.spatial = rank, spatial
        self.calls = 0

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed images [n, channel, *size] and soft labels [n, num_classes]."""
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
            return images, _as_soft(labels, self.num_classes)
        mixed = mix(images, labels, self.family, generator=generator, step=step, spatial=self.spatial)
        return mixed.images, mixed.soft_labels(self.num_classes)

    def __getstate__(self) -> dict[str, object]:
        """Gives the rank to workers that are spawned, where torch.distributed is not initialized."""
        return {**self.__dict__, "rank": process_rank() or None if self.rank is None else self.rank}

    def __repr__(self) -> str:
        return f"MixTransform({self.family!r}, num_classes={self.num_classes}, seed={self.seed}, p={self.p})"


def _as_soft(labels: Tensor, num_classes: int) -> Tensor:
    if labels.ndim == 2:
        return labels
    return functional.one_hot(labels, num_classes).to(torch.float32)
