"""Collect what an implementation does over many batches: its masks, pairs and label weights."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from msda_analysis.audit.probe import UNKNOWN, Mixer, Observation, observe
from msda_analysis.audit.seeds import global_seeds

_EVEN = 1e-3  # masks within this of constant, or of zero and one, count as such


@dataclass(frozen=True)
class Evidence:
    """Decoded batches of one implementation.

    Attributes:
        batches: what was observed, in order.
        size: lengths of the probe images.
    """

    batches: tuple[Observation, ...]
    size: tuple[int, ...]

    @cached_property
    def sharing(self) -> str:
        """Which images of a batch share a mask: "sample" (none), "pair" (the two of a pair) or "batch" (all)."""
        mixed = [batch for batch in self.batches if (batch.partner >= 0).sum() > 1]
        if mixed and all(_all_equal(batch.masks[batch.partner >= 0]) for batch in mixed):
            return "batch"
        return "pair" if mixed and all(_pairs_share(batch) for batch in mixed) else "sample"

    @cached_property
    def chosen(self) -> list[tuple[int, int]]:
        """(batch, row) of the rows that carry independent masks.

        Rows that cannot be told from self-paired ones are left out, unless the pairing has no fixed points.
        """
        rows = []
        for k, batch in enumerate(self.batches):
            usable = (batch.partner >= 0) | (batch.labels.partner >= 0)
            if self.pairs_fixed_points == 0 and not usable.any():
                usable = torch.ones_like(usable)  # the mask of a whole batch may keep everything
            allowed = usable.nonzero().flatten().tolist()
            if self.sharing == "batch":
                allowed = allowed[:1]
            elif self.sharing == "pair":
                allowed = [i for i in allowed if i < max(int(batch.partner[i]), int(batch.labels.partner[i]))]
            rows += [(k, i) for i in allowed]
        return rows

    @cached_property
    def masks(self) -> Tensor:
        """[k, *size] independent masks."""
        picked = [self.batches[k].masks[i] for k, i in self.chosen]
        return torch.stack(picked) if picked else torch.empty(0, *self.size, dtype=torch.float64)

    @cached_property
    def kept(self) -> Tensor:
        """[k] mean of each independent mask."""
        return self.masks.flatten(1).mean(1)

    @cached_property
    def weights(self) -> Tensor:
        """[k] label weight of the first image for each independent mask."""
        return torch.tensor([float(self.batches[k].labels.weight[i]) for k, i in self.chosen], dtype=torch.float64)

    @cached_property
    def pairs_fixed_points(self) -> int:
        """How many images were mixed with themselves, as far as their labels tell; unchanged images count."""
        return sum(
            int(((b.partner < 0) & (b.labels.partner < 0)).sum()) for b in self.batches if (b.partner >= 0).any()
        )

    @cached_property
    def kind(self) -> str:
        """Kind of mask: "constant", "box" (zero inside a box), "field" (zeros and ones), "soft", or "several"."""
        telling = [mask for mask in self.masks if not _is_hard_constant(mask)]
        if not telling:
            return "unknown"
        kinds = {_kind_of(mask) for mask in telling}
        if kinds == {"box", "field"}:
            return "field"  # an irregular mask can look like a box by chance, a box never like anything else
        return kinds.pop() if len(kinds) == 1 else "several"


def collect(mixer: Mixer, *, n: int, size: tuple[int, ...], num_classes: int, n_masks: int, seed: int) -> Evidence:
    """Observe batches until there are about n_masks independent masks.

    Args:
        mixer: the implementation.
        n: images per batch.
        n_masks: masks wanted; the number of batches follows from how many masks a batch holds.
        seed: seeds all global generators, whose states are put back.

    Raises:
        Undecodable: the results cannot be read. Errors of the implementation pass through.
    """
    with global_seeds(seed, seed, seed):
        first = [observe(mixer, n, size, num_classes) for _ in range(8)]
        per_batch = max(1, len(Evidence(tuple(first), size).chosen) // len(first))
        rest = range(max(0, -(-n_masks // per_batch) - len(first)))
        return Evidence((*first, *(observe(mixer, n, size, num_classes) for _ in rest)), size)


def box_of(mask: Tensor) -> list[tuple[int, int]] | None:
    """Start and length on each axis of the box of zeros in a mask of ones, or None if the zeros are no box."""
    cut = mask < 0.5
    spans = []
    for axis in range(cut.ndim):
        others = tuple(i for i in range(cut.ndim) if i != axis)
        index = (cut.any(others) if others else cut).nonzero().flatten()
        if not len(index):
            return None
        spans.append((int(index[0]), int(index[-1] - index[0]) + 1))
    volume = 1
    for _, length in spans:
        volume *= length
    return spans if volume == int(cut.sum()) else None


def _kind_of(mask: Tensor) -> str:
    if float(mask.max() - mask.min()) < _EVEN:
        return "constant"
    if float(torch.minimum(mask.abs(), (1 - mask).abs()).max()) > _EVEN:
        return "soft"
    return "field" if box_of(mask) is None else "box"


def _is_hard_constant(mask: Tensor) -> bool:
    """All ones or all zeros: any kind of mask can be that."""
    return float((mask - mask.mean()).abs().max()) < _EVEN and float(min(mask.mean(), 1 - mask.mean())) < _EVEN


def _all_equal(masks: Tensor) -> bool:
    return float((masks - masks[:1]).abs().max()) < _EVEN


def _pairs_share(batch: Observation) -> bool:
    rows = (batch.partner >= 0).nonzero().flatten()
    partners = batch.partner[rows]
    if not torch.equal(batch.partner[partners], rows) or bool((partners == UNKNOWN).any()):
        return False
    return float((batch.masks[rows] - batch.masks[partners]).abs().max()) < _EVEN
