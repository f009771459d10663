"""Collect what an implementation does over many batches: its masks, pairs and label weights."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from msda_analysis.audit.probe import UNKNOWN, Observation, observe
from msda_analysis.audit.subject import Trial
from msda_analysis.audit.texture import Textured, looks_at_images, observe_texture
from msda_analysis.mixing.seeds import global_seeds

_N_TEXTURED = 16  # batches of textured images
_SAME = 1e-3  # mask values this close count as equal


@dataclass(frozen=True)
class Evidence:
    """Decoded batches of one implementation.

    Attributes:
        batches: what was observed, in order.
        size: lengths of the probe images.
        alpha: lambda is meant to follow Beta(alpha, alpha), or None if nobody said so.
        textured: batches of textured images, decoded; empty where nobody looked.
        looks_at_images: whether masks depend on what images show; False where that cannot be told.
    """

    batches: tuple[Observation, ...]
    size: tuple[int, ...]
    alpha: float | None = None
    textured: tuple[Textured, ...] = ()
    looks_at_images: bool = False

    @property
    def label_form(self) -> str:
        """Form of the label information: "soft", "pair" or "number" (see probe.LabelInfo)."""
        return self.batches[0].labels.form

    @cached_property
    def sharing(self) -> str:
        """Which images of a batch share a mask: "sample" (none), "pair" (the two of a pair) or "batch" (all)."""
        mixed = [batch for batch in self.batches if (batch.partner >= 0).sum() > 1]
        if mixed and all(_all_equal(batch.masks[batch.partner >= 0]) for batch in mixed):
            return "batch"
        return "pair" if mixed and all(_pairs_share(batch) for batch in mixed) else "sample"

    @cached_property
    def independent(self) -> list[tuple[int, int]]:
        """(batch, row) of the rows that carry independent masks.

        Rows that cannot be told from self-paired ones are left out, unless the pairing has no fixed points.
        """
        rows = []
        for k, batch in enumerate(self.batches):
            usable = (batch.partner >= 0) | (batch.labels.partner >= 0)
            if self.n_self_paired == 0 and not usable.any():
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
        picked = [self.batches[k].masks[i] for k, i in self.independent]
        return torch.stack(picked) if picked else torch.empty(0, *self.size, dtype=torch.float64)

    @cached_property
    def kept(self) -> Tensor:
        """[k] mean of each independent mask."""
        return self.masks.flatten(1).mean(1)

    @cached_property
    def weights(self) -> Tensor:
        """[k] label weight of the first image for each independent mask."""
        return torch.tensor([float(self.batches[k].labels.weight[i]) for k, i in self.independent], dtype=torch.float64)

    @cached_property
    def all_kept(self) -> Tensor:
        """[batch, n] mean of every mask, those that are shared or unknown too."""
        return torch.stack([batch.masks.flatten(1).mean(1) for batch in self.batches])

    @cached_property
    def all_weights(self) -> Tensor:
        """[batch, n] label weight of the first image in every row."""
        return torch.stack([batch.labels.weight for batch in self.batches])

    @cached_property
    def partners(self) -> Tensor:
        """[batch, n] partner of every image, of its label where the image does not tell, UNKNOWN where neither does."""
        return torch.stack([torch.where(b.partner >= 0, b.partner, b.labels.partner) for b in self.batches])

    @cached_property
    def pairing_rule(self) -> str:
        """The fixed rule that all pairs follow, in words, or ""."""
        n = self.partners.shape[1]
        own = torch.arange(n)
        rules = {f"roll by {k}": (own - k) % n for k in (1, n - 1)} | {"flip (i with n - 1 - i)": n - 1 - own}
        return next((name for name, rule in rules.items() if _follows(self.partners, rule)), "")

    @cached_property
    def n_self_paired(self) -> int:
        """How many images were mixed with themselves, as far as their labels tell; unchanged images count."""
        return sum(
            int(((b.partner < 0) & (b.labels.partner < 0)).sum()) for b in self.batches if (b.partner >= 0).any()
        )

    @cached_property
    def kind(self) -> str:
        """Kind of mask: "constant", "box" (zero inside a box), "field" (zeros and ones), "soft", "several" or "unknown"."""
        telling = [mask for mask in self.masks if not _is_hard_constant(mask)]
        if not telling:
            return "unknown"
        kinds = {_kind_of(mask) for mask in telling}
        if kinds == {"box", "field"}:
            return "field"  # an irregular mask can look like a box by chance, a box never like anything else
        return kinds.pop() if len(kinds) == 1 else "several"


def collect(trial: Trial, *, texture: bool = False) -> Evidence:
    """Observe batches until there are about as many independent masks as the trial asks for.

    The number of batches follows from how many independent masks the first ones hold.

    Args:
        texture: then look at some batches of textured images, too.

    Raises:
        Undecodable: the results cannot be read. Errors of the implementation pass through.
    """
    mixer, n, size = trial.make(), trial.num_classes, trial.size
    with global_seeds(trial.seed):
        batches = [observe(mixer, n, size, n) for _ in range(8)]
        per_batch = max(1, len(Evidence(tuple(batches), size).independent) // len(batches))
        n_batches = -(-trial.n_masks // per_batch)
        batches += [observe(mixer, n, size, n) for _ in range(n_batches - len(batches))]
        textured = [observe_texture(mixer, n, size, k) for k in range(_N_TEXTURED if texture else 0)]
    looks = texture and looks_at_images(trial)
    return Evidence(tuple(batches), size, trial.subject.alpha, tuple(textured), looks)


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
    return spans if math.prod(length for _, length in spans) == int(cut.sum()) else None


def _kind_of(mask: Tensor) -> str:
    if float(mask.max() - mask.min()) < _SAME:
        return "constant"
    if float(torch.minimum(mask.abs(), (1 - mask).abs()).max()) > _SAME:
        return "soft"
    return "field" if box_of(mask) is None else "box"


def _is_hard_constant(mask: Tensor) -> bool:
    """All ones or all zeros: any kind of mask can be that."""
    return float((mask - mask.mean()).abs().max()) < _SAME and float(min(mask.mean(), 1 - mask.mean())) < _SAME


def _all_equal(masks: Tensor) -> bool:
    return float((masks - masks[:1]).abs().max()) < _SAME


def _pairs_share(batch: Observation) -> bool:
    rows = (batch.partner >= 0).nonzero().flatten()
    partners = batch.partner[rows]
    if not torch.equal(batch.partner[partners], rows) or bool((partners == UNKNOWN).any()):
        return False
    return float((batch.masks[rows] - batch.masks[partners]).abs().max()) < _SAME


def _follows(partners: Tensor, rule: Tensor) -> bool:
    known = partners >= 0
    return bool(known.any()) and bool((partners[known] == rule.expand_as(partners)[known]).all())
