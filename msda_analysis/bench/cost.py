"""What mixing adds to a training: whole steps under each way to mix, and the mixing alone as a share of a plain step."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from msda_analysis.bench.peers import OURS, peer_transforms
from msda_analysis.bench.steps import OurStep, noise_pictures, one_numpy_mask, per_image
from msda_analysis.bench.timing import make_row, time_together
from msda_analysis.checks import check_count
from msda_analysis.data import Batch
from msda_analysis.mixing import Mixed
from msda_analysis.models.dimensions import memory_format
from msda_analysis.training import ClassifierFit

Row = dict[str, Any]
#: (images, labels) -> what a step is taken on: Mixed, or images with soft labels.
Mixing = Callable[[Tensor, Tensor], Mixed | tuple[Tensor, Tensor]]
#: (family, whose and how).
Way = tuple[str, str]
_PLAIN: Way = ("baseline", "no mixing")
#: Images a batch and rounds, by network: on a CPU a step of the second takes seconds.
_ON_CPU = {"fast_cnn": (128, 20), "preact_resnet18": (32, 10)}
_ON_GPU = {"fast_cnn": (512, 100), "preact_resnet18": (128, 100)}


def bench_rows(
    device: str | torch.device = "cpu",
    *,
    networks: Mapping[str, tuple[int, int]] | None = None,
    size: tuple[int, int] = (32, 32),
    seed: int = 0,
) -> list[Row]:
    """Milliseconds of a whole training step (mix, forward, backward, update) without mixing and under each way to mix.

    The step is fit_classifier's in float32, the same for all, on normalized images in memory; ways are ours with masks for each
    image and with one for the batch, other packages' where installed, and the released one: a NumPy mask a batch. The
    mixing itself is timed in the same rounds as a call of its own, as it is far below the noise of the difference of two steps.

    Args:
        device: where to run.
        networks: of models.NAMES: images a batch, and rounds; None for fast_cnn with 128 and preact_resnet18 with 32 images
            on a CPU, 512 and 128 on a GPU.
        size: of the images, in pixels.
        seed: of weights, images and masks.

    Returns:
        Rows with the columns timing.COLUMNS: training_step and mixing_call in ms; mixing_overhead, the call in percent of the plain
        step of its round; step_difference, what the step is longer than that plain step, in percent of it. low and high are
        quartiles over rounds.
    """
    device = torch.device(device)
    asked = (_ON_GPU if device.type == "cuda" else _ON_CPU) if networks is None else networks
    for batch, rounds in asked.values():
        check_count("batch", batch, minimum=2)
        check_count("rounds", rounds)
    ways = mixing_ways(seed)
    return [
        row for network, (batch, rounds) in asked.items()
        for row in _network_rows(network, ways, batch, rounds, size, seed, device)
    ]  # fmt: skip


def mixing_ways(seed: int) -> dict[Way, Mixing]:
    """Every way to mix a batch, the plain step first."""
    ways: dict[Way, Mixing] = {_PLAIN: lambda images, labels: (images, labels)}
    for name, family in OURS.items():
        ways[name, "ours, per image"] = per_image(family, seed)
        ways[name, "ours, per batch"] = per_image(replace(family, per_batch=True), seed)
    if find_spec("timm") is None:
        print("timm is not installed: its transforms are left out")
    for text, transform in peer_transforms(num_classes=10).items():
        family, _, package = text.partition(" ")
        ways[family, package] = transform
    ways["fmix_released", "NumPy, per batch"] = one_numpy_mask(seed)
    return ways


def _network_rows(
    network: str,
    ways: Mapping[Way, Mixing],
    batch: int,
    rounds: int,
    size: tuple[int, int],
    seed: int,
    device: torch.device,
) -> list[Row]:
    data = noise_pictures(max(batch, 256), size, seed, device)
    step = OurStep.make(data, ClassifierFit(model=network, lr=1e-3), seed)
    images = data.normalize(data.images[:batch], validate=False)
    part = Batch(images, data.labels[:batch], 0)
    calls: dict[str, Callable[[], object]] = {}
    for (family, by), mixing in ways.items():
        calls[f"{family}|{by}"] = partial(_take, step, part, mixing)
        if (family, by) != _PLAIN:
            calls[f"{family}|{by}|alone"] = partial(mixing, images, part.labels)
    with torch.random.fork_rng():  # peers draw from the global generator
        seconds = time_together(calls, rounds=rounds, device=device)
    plain, rows = seconds["|".join(_PLAIN)], []
    for family, by in ways:
        where: dict[str, Any] = {
            "network": network, "family": family, "size": size, "batch": batch, "note": by, "device": device
        }  # fmt: skip
        taken = seconds[f"{family}|{by}"]
        rows.append(make_row("training_step", 1e3 * taken, "ms", **where))
        if (family, by) != _PLAIN:
            call = seconds[f"{family}|{by}|alone"]
            rows.append(make_row("step_difference", 100 * (taken - plain) / plain, "%", **where))
            rows.append(make_row("mixing_call", 1e3 * call, "ms", **where))
            rows.append(make_row("mixing_overhead", 100 * call / plain, "%", **where))
    return rows


def _take(step: OurStep, batch: Batch, mixing: Mixing) -> None:
    found = mixing(batch.images, batch.labels)
    images, labels, mixed = (
        (found.images, batch.labels, found) if isinstance(found, Mixed) else (found[0], found[1], None)
    )
    step(images.contiguous(memory_format=memory_format(2)), batch._replace(labels=labels), mixed)
