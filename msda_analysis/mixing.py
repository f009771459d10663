"""Mixing: one function for every family, m * x_a + (1 - m) * x_b, and the loss and labels that go with it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from msda_analysis.checks import check_finite, check_image_batch, check_in_range, check_labels
from msda_analysis.masks.blocks import BLOCK_VALUES, empty_on_cpu, run_on_threads
from msda_analysis.masks.families import Alternate, Family, check_family
from msda_analysis.masks.sampling import sample_masks
from msda_analysis.rng import derive_key, generator_from_key, take_key


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
    family: Family | Alternate,
    *,
    generator: torch.Generator,
    step: int | None = None,
    validate: bool | None = None,
) -> Mixed:
    """Mix a batch with a permutation of itself.

    Args:
        images: [n, channel, *size] float, n >= 2, one to three spatial axes; left as they are.
        labels: int64 [n] or float [n, classes].
        family: MixUp(), CutMix(), FMix() or Alternate(...).
        generator: source of lambda, masks and pairs; advanced by a fixed amount.
        step: position in the run, which decides whose turn it is in an Alternate.
        validate: look for NaN and infinite values; None does so on a CPU only, because a GPU would have to wait.

    Returns:
        Mixed, on the images' device.

    Raises:
        TypeError: images or labels of the wrong type or dtype.
        ValueError: wrong rank, fewer than two images, as many labels as images expected, or non-finite values.

    Source: Zhang et al. 2018 (arXiv 1710.09412); Yun et al. 2019 (arXiv 1905.04899); Harris et al. 2020 (2002.12047).
    """
    check_family(family)
    check_image_batch(images, minimum=2)
    check_labels(labels, images.shape[0])
    if validate is None:
        validate = images.device.type == "cpu"
    n, size = images.shape[0], tuple(images.shape[2:])
    pairs = generator_from_key(derive_key(take_key(generator), "pairs"))
    permutation = torch.randperm(n, generator=pairs).to(images.device, non_blocking=True)
    batch = sample_masks(family, n, size, generator=generator, device=images.device, step=step)
    mixed, is_finite = _blend(images, permutation, batch.masks, look=validate)
    if not is_finite:  # every image is in the mix, so a bad value cannot hide; large finite ones may have overflowed
        check_finite("images", images)
    return Mixed(mixed, labels, labels[permutation], batch.lam, permutation)


def blend(images: Tensor, permutation: Tensor, masks: Tensor) -> Tensor:
    """m * x + (1 - m) * x[permutation].

    On a CPU and without gradients it works in blocks that fit the cache: two reads and one write of the batch.

    Args:
        images: [n, channel, *size].
        permutation: [n] int64.
        masks: [n, 1, *size] in [0, 1].
    """
    return _blend(images, permutation, masks, look=False)[0]


def _blend(images: Tensor, permutation: Tensor, masks: Tensor, look: bool) -> tuple[Tensor, bool]:
    """The mixed batch, and whether it is finite (where asked to look)."""
    masks = masks.to(images.dtype)
    if images.device.type == "cpu" and not images.requires_grad:
        return _blend_in_blocks(images.contiguous(), permutation, masks, look)
    mixed = torch.lerp(images[permutation], images, masks)
    return mixed, not look or math.isfinite(float(mixed.detach().sum()))


def _blend_in_blocks(images: Tensor, permutation: Tensor, masks: Tensor, look: bool) -> tuple[Tensor, bool]:
    mixed = empty_on_cpu(*images.shape, dtype=images.dtype)
    partners = permutation.tolist()
    per_image = max(1, images[0].numel())
    n_images = max(1, BLOCK_VALUES // per_image)  # whole images in a block, or rows of one large image
    n_rows = max(1, images.shape[2] * BLOCK_VALUES // per_image)
    sums: list[float] = []

    def mix_images(block: int) -> None:
        part = slice(block * n_images, (block + 1) * n_images)
        out = mixed[part]
        torch.index_select(images, 0, permutation[part], out=out).lerp_(images[part], masks[part])
        if look:
            sums.append(float(out.sum()))

    def mix_rows(i: int) -> None:
        first, second, mask, out = images[i], images[partners[i]], masks[i], mixed[i]
        for top in range(0, out.shape[1], n_rows):
            rows = (slice(None), slice(top, top + n_rows))
            torch.lerp(second[rows], first[rows], mask[rows], out=out[rows])
            if look:
                sums.append(float(out[rows].sum()))

    if per_image <= BLOCK_VALUES:
        run_on_threads(mix_images, -(-len(images) // n_images))
    else:
        run_on_threads(mix_rows, len(images))
    return mixed, math.isfinite(sum(sums))


class MixTransform:
    """A batch transform for existing training loops, called like torchvision.transforms.v2.CutMix.

    Works in the training loop or in a collate function. It owns its random stream: the k-th call gives the same
    result whatever else ran, and in DataLoader workers the worker's own seed joins in, so no two workers and no two
    epochs repeat each other.

    Args:
        family: MixUp(), CutMix(), FMix() or Alternate(...).
        num_classes: number of classes.
        seed: seed of the stream.
        p: probability of mixing a batch, in [0, 1]; other batches only get soft labels.

    Raises:
        TypeError, ValueError: as mix(); integer labels out of range; p outside [0, 1].
    """

    def __init__(self, family: Family | Alternate, num_classes: int, *, seed: int = 0, p: float = 1.0):
        check_family(family)
        check_in_range("p", p, 0.0, 1.0)
        self.family, self.num_classes, self.seed, self.p = family, num_classes, seed, p
        self.calls = 0

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed images [n, channel, *size] and soft labels [n, num_classes]."""
        check_image_batch(images, minimum=2)
        check_labels(labels, images.shape[0], num_classes=self.num_classes if images.device.type == "cpu" else None)
        worker = torch.utils.data.get_worker_info()
        place = (0, 0) if worker is None else (worker.id + 1, worker.seed)
        generator = generator_from_key(derive_key(self.seed, "transform", *place, self.calls))
        step, self.calls = self.calls, self.calls + 1
        if self.p < 1 and float(torch.rand((), generator=generator)) >= self.p:
            return images, _as_soft(labels, self.num_classes)
        mixed = mix(images, labels, self.family, generator=generator, step=step)
        return mixed.images, mixed.soft_labels(self.num_classes)

    def __repr__(self) -> str:
        return f"MixTransform({self.family!r}, num_classes={self.num_classes}, seed={self.seed}, p={self.p})"


def _as_soft(labels: Tensor, num_classes: int) -> Tensor:
    if labels.ndim == 2:
        return labels
    return functional.one_hot(labels, num_classes).to(torch.float32)
