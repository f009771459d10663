"""How our DeepFool compares with foolbox's: the same answers first, then the time, in one run on one machine."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis.attacks import ATTACKS
from msda_analysis.attacks.deepfool import deepfool
from msda_analysis.attacks.foolbox_adapter import build_foolbox, run_foolbox
from msda_analysis.attacks.perturbation import (
    NORMS,
    Norm,
    clip_to_budget,
    is_misclassified,
    perturbation_norms,
)
from msda_analysis.bench.timing import read_clock, wait_for
from msda_analysis.checks import check_count
from msda_analysis.models import create
from msda_analysis.models.frozen import frozen
from msda_analysis.rng import stream
from msda_analysis.robustness.evaluate import PAPER_EPSILONS, evaluate
from msda_analysis.robustness.evidence import TrustSettings

Row = dict[str, Any]

#: Share of (image, epsilon) pairs on which both must agree for their times to be comparable.
SAME_SUCCESS = 0.995
# L2 budgets per L-infinity budget: about the square root of the number of values of a CIFAR image, halved
_L2_SCALE = 25.0


def bench_rows(
    device: str | torch.device = "cpu",
    n_images: int = 256,
    seed: int = 0,
    *,
    batch_size: int | None = None,
    repeats: int | None = None,
    train_steps: int = 12,
) -> list[Row]:
    """Parity with foolbox, then the ratio of the times, then the throughput of evaluate().

    The classifier is a PreAct-ResNet18 for ten classes on 3 x 32 x 32 images, trained for `train_steps` steps on made-up
    images (smooth class patterns with noise), its last layer fitted on 256 more: untrained networks have odd boundaries.
    foolbox is run as it is commonly used, on the model as it stands in eval mode; "held still" is foolbox on a model
    whose weights need no gradients, which is what evaluate() gives every attack.

    Args:
        device: where to run.
        n_images: images attacked.
        seed: of weights and images.
        batch_size: images attacked at once, by all three in turn; None for 64 on a CPU, where that many fill it, and for
            all at once on a GPU.
        repeats: passes over all batches; None for one on a CPU (minutes) and three on a GPU.
        train_steps: training steps of 32 images.

    Returns:
        Rows with name, value, unit, low, high, n, note. A time ratio is that of the total times (processor time on a CPU,
        wall time on a GPU), low and high the smallest and largest of single batches.
    """
    device = torch.device(device)
    is_cpu = device.type == "cpu"
    batch_size = (64 if is_cpu else n_images) if batch_size is None else batch_size
    repeats = (1 if is_cpu else 3) if repeats is None else repeats
    check_count("n_images", n_images, minimum=2)
    check_count("batch_size", batch_size, minimum=2)
    check_count("repeats", repeats)
    model = trained_model("preact_resnet18", device, seed, train_steps)
    images, labels = patterns(n_images, seed, device, step=train_steps + 1)
    accuracy = float((~is_misclassified(model, images, labels)).double().mean())
    rows = [
        _row("clean_accuracy", accuracy, "accuracy", n_images, "unseen made-up images; says the network is trained")
    ]
    for norm in NORMS:
        rows += _deepfool_rows(model, images, labels, norm, batch_size, repeats)
    images, labels = images[:batch_size], labels[:batch_size]
    return [*rows, *_throughput_rows(model, images, labels, seed)]


def compare_deepfool(model: nn.Module, images: Tensor, labels: Tensor, *, norm: Norm) -> list[Row]:
    """Agreement of our DeepFool with foolbox's on the same images: success per budget after clipping, and minimum norms."""
    theirs = run_foolbox(
        build_foolbox(ATTACKS["foolbox_deepfool"].foolbox[norm]), model, images, labels, epsilon=None, key=0
    )
    with frozen(model):
        ours = deepfool(model, images, labels, norm=norm)
    return _parity_rows(model, images, labels, norm, ours=ours, theirs=theirs)


def _deepfool_rows(
    model: nn.Module, images: Tensor, labels: Tensor, norm: Norm, batch_size: int, repeats: int
) -> list[Row]:
    found, times = _run_in_turn(model, images, labels, norm, batch_size, repeats)
    rows = _parity_rows(model, images, labels, norm, ours=found["ours"], theirs=found["foolbox"])
    notes = {"foolbox": "foolbox as commonly used", "held still": "foolbox with weight gradients off"}
    for name, note in notes.items():
        ratios = [mine / other for mine, other in zip(times["ours"], times[name], strict=True)]
        label = f"deepfool_{norm}_time_ratio" + ("" if name == "foolbox" else "_held_still")
        note = f"{note}; total times; batches of {min(batch_size, len(images))}, {repeats} passes"
        total = sum(times["ours"]) / sum(times[name])
        rows.append(_row(label, total, "ratio", len(ratios), note, min(ratios), max(ratios)))
    rows += [
        _seconds_row(f"deepfool_{norm}_seconds_{name.replace(' ', '_')}", values) for name, values in times.items()
    ]
    return rows


def _run_in_turn(
    model: nn.Module, images: Tensor, labels: Tensor, norm: Norm, batch_size: int, repeats: int
) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    """What each finds on all images, and its seconds for each batch of each pass; who goes first changes every batch."""
    runs = _contenders(model, norm)
    times: dict[str, list[float]] = {name: [] for name in runs}
    parts: dict[str, list[Tensor]] = {name: [] for name in runs}
    batches = list(zip(images.split(batch_size), labels.split(batch_size), strict=True))
    for run in runs.values():
        run(images[:8], labels[:8])  # warm
    for place, batch in enumerate(batches * repeats):
        names = list(runs)
        for name in names[place % len(names) :] + names[: place % len(names)]:
            result, seconds = timed(partial(runs[name], *batch), images.device)
            times[name].append(seconds)
            if place < len(batches):
                parts[name].append(result)
    return {name: torch.cat(found) for name, found in parts.items()}, times


def _contenders(model: nn.Module, norm: Norm) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    attack = build_foolbox(ATTACKS["foolbox_deepfool"].foolbox[norm])

    def run_ours(images: Tensor, labels: Tensor) -> Tensor:
        with frozen(model):
            return deepfool(model, images, labels, norm=norm)

    def run_theirs(images: Tensor, labels: Tensor) -> Tensor:
        return run_foolbox(attack, model, images, labels, epsilon=None, key=0)

    def run_theirs_still(images: Tensor, labels: Tensor) -> Tensor:
        with frozen(model):
            return run_theirs(images, labels)

    return {"ours": run_ours, "foolbox": run_theirs, "held still": run_theirs_still}


def _parity_rows(
    model: nn.Module, images: Tensor, labels: Tensor, norm: Norm, *, ours: Tensor, theirs: Tensor
) -> list[Row]:
    scale = 1.0 if norm == "linf" else _L2_SCALE
    budgets = [epsilon * scale for epsilon in PAPER_EPSILONS]
    agree = torch.stack([
        is_misclassified(model, clip_to_budget(images, ours, epsilon=epsilon, norm=norm), labels)
        == is_misclassified(model, clip_to_budget(images, theirs, epsilon=epsilon, norm=norm), labels)
        for epsilon in budgets
    ])  # fmt: skip
    lengths, reference = (perturbation_norms(found - images, norm) for found in (ours, theirs))
    moved = reference > 0
    relative = ((lengths - reference).abs() / reference)[moved]
    note = f"{len(budgets)} budgets up to {budgets[-1]:g}, {int(moved.sum())} images attacked"
    same = float(agree.double().mean())
    if same < SAME_SUCCESS:
        note += f"; below {SAME_SUCCESS}: the times compare different attacks"
    rows = [_row(f"deepfool_{norm}_same_success", same, "share", agree.numel(), note)]
    if len(relative):
        middle, largest = float(relative.median()), float(relative.max())
        note = f"relative difference of minimum norms, median; largest {largest:.3g}"
        rows.append(_row(f"deepfool_{norm}_norm_difference", middle, "ratio", len(relative), note))
    return rows


def _throughput_rows(model: nn.Module, images: Tensor, labels: Tensor, seed: int) -> list[Row]:
    attacks = ["fgsm", "uniform_noise", "deepfool"]

    def run() -> object:
        return evaluate(model, images, labels, attacks, PAPER_EPSILONS, seed=seed, trust=TrustSettings(images=0))

    start = time.perf_counter()
    run()
    wait_for(images.device)
    seconds = time.perf_counter() - start
    note = f"{', '.join(attacks)}; {len(PAPER_EPSILONS)} budgets, cascade; wall time"
    return [_row("evaluate_throughput", len(images) / seconds, "images per second", len(images), note)]


def trained_model(name: str, device: torch.device, seed: int, steps: int) -> nn.Module:
    """A classifier that is right on most of the patterns, after `steps` steps of 32 images."""
    model = create(name, num_classes=10, seed=seed).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(steps):
        images, labels = patterns(32, seed, device, step=step)
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _settle(model, *patterns(256, seed, device, step=steps))
    return model.eval()


def _settle(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Set the batch norms' statistics to these images' and fit the last layer: a few steps alone leave both behind."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.reset_running_stats()
        module.momentum = None  # plain average over the batches that follow
    with torch.no_grad():
        for part in images.split(64):
            model(part)
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
    model.eval()
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    taken: list[Tensor] = []
    hook = head.register_forward_hook(lambda module, inputs, output: taken.append(inputs[0].detach()))
    with torch.no_grad():
        model(images)
    hook.remove()
    _fit_head(head, taken[0], labels)


def _fit_head(head: nn.Linear, features: Tensor, labels: Tensor) -> None:
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(200):
        loss = functional.cross_entropy(head(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def patterns(n: int, seed: int, device: torch.device, *, step: int) -> tuple[Tensor, Tensor]:
    """Images [n, 3, 32, 32] in [0, 1] of ten smooth patterns under noise, and their classes."""
    patterns = torch.rand(10, 3, 4, 4, generator=stream(seed, "bench patterns"))
    patterns = functional.interpolate(patterns, size=(32, 32), mode="bilinear", align_corners=False)
    generator = stream(seed, "bench images", step=step)
    labels = torch.randint(10, (n,), generator=generator)
    noise = torch.randn(n, 3, 32, 32, generator=generator)
    images = 0.5 + 0.5 * (patterns[labels] - 0.5) + 0.15 * noise
    return (images - images.amin()).div(images.amax() - images.amin()).to(device), labels.to(device)


def timed(run: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    start = read_clock(device)
    result = run()
    return result, read_clock(device) - start


def _seconds_row(name: str, values: list[float]) -> Row:
    return _row(
        name, statistics.median(values), "seconds", len(values), "median of the batches", min(values), max(values)
    )


def _row(
    name: str, value: float, unit: str, n: int, note: str, low: float | None = None, high: float | None = None
) -> Row:
    return {"name": name, "value": value, "unit": unit, "low": low, "high": high, "n": n, "note": note}
