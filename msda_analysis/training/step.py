"""One step of a training: mix a batch, run the model on this process's part of it, step."""

import torch
from torch import Tensor, nn

from msda_analysis.data import Batch
from msda_analysis.mixing import Augmentation, Mixed, mix
from msda_analysis.models.dimensions import memory_format
from msda_analysis.rng import stream
from msda_analysis.training.settings import LoopSettings
from msda_analysis.training.together import Compute, Together, share_of


def mix_batch(
    batch: Batch,
    family: Augmentation | None,
    *,
    seed: int,
    rank: int,
    epoch: int,
    n_steps: int,
    guide: nn.Module | None,
) -> tuple[Tensor, Mixed | None]:
    """Images in the layout that is quickest, and how they were mixed, a function of (seed, epoch, step, rank)."""
    mixed = None
    if family is not None:
        generator = stream(seed, "mix", epoch=epoch, step=batch.step, rank=rank)
        # the count of all steps so far decides whose turn it is in an Alternate
        mixed = mix(
            batch.images, batch.labels, family, generator=generator, step=epoch * n_steps + batch.step, validate=False,
            spatial=batch.images.ndim - 2, network=guide,
        )  # fmt: skip
    images = batch.images if mixed is None else mixed.images
    return images.contiguous(memory_format=memory_format(batch.images.ndim - 2)), mixed


def take_step(
    compute: Compute,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    batch: Batch,
    mixed: Mixed | None,
    noise: torch.Generator,
    settings: LoopSettings,
    together: Together,
) -> dict[str, Tensor]:
    """One optimizer step; the parts of the loss over the whole batch, detached, without waiting for a GPU."""
    n = len(images)
    places = share_of(n, together.rank, together.count, settings.accumulate)
    sums: dict[str, Tensor] = {}
    optimizer.zero_grad(set_to_none=True)
    for place in places[:-1]:
        with together.holding_back(compute):
            _add(sums, _backward(compute, images, batch, mixed, noise, place, settings, together), n, place)
    _add(sums, _backward(compute, images, batch, mixed, noise, places[-1], settings, together), n, places[-1])
    optimizer.step()
    return together.sums(sums)


def _backward(compute, images, batch, mixed, noise, place, settings, together) -> dict[str, Tensor]:
    """Add the gradient of some images to that of the step."""
    n, device = len(images), images.device
    part = Batch(batch.images[place], batch.labels[place], batch.step)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        loss, parts = compute(images[place], part, None if mixed is None else mixed.part(place), noise)
    # the mean over processes that follows, and the mean over this part's images, become that over the batch
    (loss * (together.count * (place.stop - place.start) / n)).backward()
    return {"loss": loss.detach(), **{name: value.detach() for name, value in parts.items()}}


def _add(sums: dict[str, Tensor], means: dict[str, Tensor], n: int, place: slice) -> None:
    for name, value in means.items():
        share = value * ((place.stop - place.start) / n)
        sums[name] = sums[name] + share if name in sums else share
