"""A mixed batch: images, both label sets, and the weight of the first; loss and soft labels follow."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Mixed:
    """A mixed batch.

    Attributes:
        images: [n, channel, *size] mixed images.
        labels_a, labels_b: labels of the first and second image of each pair, int64 [n] or float [n, classes].
        lam: [n] float32, label weight of the first image.
        permutation: [n] int64; image i is mixed with image permutation[i]. None where a mixer does not say.
    """

    images: Tensor
    labels_a: Tensor
    labels_b: Tensor
    lam: Tensor
    permutation: Tensor | None

    def part(self, places: slice) -> "Mixed":
        """Some images of the batch, with their labels and weights; the permutation still counts places of the whole."""
        permutation = None if self.permutation is None else self.permutation[places]
        return Mixed(self.images[places], self.labels_a[places], self.labels_b[places], self.lam[places], permutation)

    def loss(self, logits: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """lam * CE(a) + (1 - lam) * CE(b), mean over the batch, in nats.

        Args:
            logits: [n, classes].
            label_smoothing: share of every label that is spread evenly over all classes, in [0, 1].
        """
        loss_a, loss_b = (
            functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
            for labels in (self.labels_a, self.labels_b)
        )
        return (self.lam * loss_a + (1 - self.lam) * loss_b).mean()

    def soft_labels(self, num_classes: int, *, label_smoothing: float = 0.0) -> Tensor:
        """[n, num_classes] float32 label weights, summing to one for integer labels; smoothing as in loss()."""
        label_a, label_b = as_soft(self.labels_a, num_classes), as_soft(self.labels_b, num_classes)
        return smooth(self.lam[:, None] * label_a + (1 - self.lam[:, None]) * label_b, label_smoothing)


def as_soft(labels: Tensor, num_classes: int) -> Tensor:
    """[n, num_classes] float32: soft labels as they are, integers as ones and zeros."""
    if labels.ndim == 2:
        return labels
    return functional.one_hot(labels, num_classes).to(torch.float32)


def smooth(soft: Tensor, share: float) -> Tensor:
    """Soft labels of which this share is spread evenly over all classes."""
    return soft if share == 0 else (1 - share) * soft + share / soft.shape[1]
