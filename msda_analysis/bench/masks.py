"""Mask and mixing benchmark: parity first, then stages, whole calls, memory, mixing and peers, as rows."""

import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msda_analysis.bench.numpy_masks import make_mask, sample_mask
from msda_analysis.bench.peers import peer_transforms
from msda_analysis.bench.timing import make_row, time_together
from msda_analysis.masks import CutMix, FMix, MixUp, fourier, fourier_cpu, sample_masks
from msda_analysis.masks.draws import has_triton
from msda_analysis.mixing import MixTransform, blend, mix
from msda_analysis.rng import numpy_from_key, stream

Rows = list[dict[str, Any]]
FAMILIES = {
    "fmix": FMix(), "fmix_released": FMix(spectrum="released"), "cutmix": CutMix(), "mixup": MixUp(),
}  # fmt: skip


def bench_rows(
    *, sizes: tuple[tuple[int, int], ...] = ((32, 32), (224, 224)), batch: int = 256, rounds: int = 15,
    device: str | torch.device = "cpu", peers: bool = True, compiled: bool = True,
) -> Rows:  # fmt: skip
    """Time masks and mixing.

    Ratios are medians over rounds in which both sides ran one after the other, in one process.

    Args:
        sizes: heights and widths in pixels.
        batch: masks per call.
        rounds: repeats after the warm-up.
        device: where ours run; the NumPy version always runs on the CPU.
        peers: time torchvision, timm and kornia on the same batch where installed.
        compiled: time mixing under torch.compile too, where it finds a compiler; takes up to a minute per size.

    Returns:
        Rows with the columns timing.COLUMNS; low and high are quartiles.

    Raises:
        RuntimeError: the timed code does not make the masks it should (checked first).
    """
    device = torch.device(device)
    rows: Rows = []
    if hasattr(os, "getloadavg"):
        note = "at the start; above the number of cores, other work took part in every time"
        rows.append(make_row("load_average", os.getloadavg()[0], "runnable tasks", note=note, device=device))
    for size in sizes:
        check_parity(size, device)
    for size in sizes:
        rows += mask_rows(size, batch=batch, rounds=rounds, device=device)
        if device.type == "cpu":
            rows += stage_rows(size, rounds=rounds) + memory_rows(size, batch=batch)
        few = batch if max(size) < 128 else max(2, batch // 4)
        rows += mixing_rows(size, batch=few, rounds=rounds, device=device, compiled=compiled)
        if device.type == "cuda":
            rows += training_rows(size, batch=128, rounds=rounds, device=device)
        if peers:
            rows += peer_rows(size, batch=few, rounds=rounds, device=device)
    return rows


def check_parity(size: tuple[int, int], device: torch.device) -> None:
    """Raise RuntimeError unless our masks equal the NumPy version's on its noise, and each backend keeps its counts."""
    generator = numpy_from_key(0)
    for lam, round_up in ((0.31, True), (0.77, False)):
        noise = generator.standard_normal((1, *fourier.noise_shape(size, "released")))
        expected = make_mask(noise, size, lam=lam, round_up=round_up)
        grey = fourier.grey_images(torch.from_numpy(noise).to(device), size, 3.0, "released")
        found = fourier.binarize(
            grey, torch.tensor([lam], dtype=torch.float64, device=device), 0.0, torch.tensor([round_up], device=device)
        )
        if not np.array_equal(found[:, 0].cpu().numpy(), expected):
            raise RuntimeError(
                f"parity: released masks of size {size} differ from the NumPy version; nothing was timed"
            )
    for name, family in FAMILIES.items():
        batch = sample_masks(family, 8, size, generator=stream(0, "parity"), device=device)
        if isinstance(family, FMix) and not bool((abs(batch.lam - batch.drawn_lam) * size[0] * size[1] < 1.01).all()):
            raise RuntimeError(f"parity: {name} of size {size} keeps a wrong number of cells; nothing was timed")


def mask_rows(size: tuple[int, int], *, batch: int, rounds: int, device: torch.device) -> Rows:
    """Whole calls per mask, and their ratio to the NumPy version."""
    n_plain = max(2, min(64, 65_536 // (size[0] * size[1])))
    generator = numpy_from_key(1)
    candidates: dict[str, Callable[[], object]] = {
        "numpy": lambda: [sample_mask(size, generator) for _ in range(n_plain)]
    }
    usual = "numpy" if device.type == "cpu" else "torch"
    backends = ("torch", "triton") if device.type == "cuda" and has_triton() else (usual,)
    for name, family in FAMILIES.items():
        for backend in backends if isinstance(family, FMix) else (usual,):
            candidates[f"{name} {backend}"] = lambda family=family, backend=backend: sample_masks(
                family, batch, size, generator=stream(0, "bench"), device=device, backend=backend
            )
    seconds = time_together(candidates, rounds=rounds, device=device)
    plain = seconds.pop("numpy") / n_plain
    where = {"size": size, "device": device}
    rows = [make_row("mask", plain * 1e6, "microseconds per mask", family="fmix_released", batch=1,
                     note="plain NumPy version, one mask at a time", **where)]  # fmt: skip
    for label, taken in seconds.items():
        family, backend = label.split()
        more = {"family": family, "batch": batch, "note": f"backend {backend}", **where}
        rows.append(make_row("mask", taken / batch * 1e6, "microseconds per mask", **more))
        rows.append(make_row("mask_rate", batch / taken, "masks per second", **more))
        if family.startswith("fmix"):
            rows.append(make_row("mask_speedup", plain / (taken / batch), "times the NumPy version", **more))
    return rows


def stage_rows(size: tuple[int, int], *, rounds: int) -> Rows:
    """What the time goes to: each stage alone on one thread, for one block of the CPU path."""
    cells, rows = size[0] * size[1], []
    n = max(1, 32_768 // cells)
    for name in ("fmix", "fmix_released"):
        family, work = FAMILIES[name], fourier_cpu.Workspace()
        assert isinstance(family, FMix)
        fields = fourier_cpu.draw_fields(family, n, size, key=0).reshape(n, -1).copy()
        lam = family.draw_lam(n, 0, torch.device("cpu"))
        counts, masks = fourier.keep_counts(lam, cells).numpy(), np.empty_like(fields)
        shape = fourier_cpu.noise_shape(family, size)
        candidates: dict[str, Callable[[], object]] = {
            "lambda": lambda n=n, family=family: family.draw_lam(n, 0, torch.device("cpu")),
            "noise": lambda shape=shape, work=work: fourier_cpu.draw_normals(n, shape, 0, work),
            "noise and field": lambda family=family, work=work: fourier_cpu.draw_fields(family, n, size, 0, work),
            "selection": lambda fields=fields, counts=counts, masks=masks, work=work: fourier_cpu.keep_brightest(
                fields, counts, masks, work
            ),
        }
        for stage, taken in time_together(candidates, rounds=4 * rounds, device=torch.device("cpu")).items():
            rows.append(make_row(f"stage {stage}", taken / n * 1e6, "microseconds per mask", family=name, size=size,
                                 batch=n, note="one block, one thread", device=torch.device("cpu")))  # fmt: skip
    return rows


def memory_rows(size: tuple[int, int], *, batch: int) -> Rows:
    """Peak of what a call allocates, masks included, over the size of the masks. Sees NumPy's memory, which is all of it
    but for draws of a few bytes per mask."""
    rows = []
    for name in ("fmix", "fmix_released"):
        sample_masks(FAMILIES[name], batch, size, generator=stream(0, "bench"))  # tables are made once
        tracemalloc.start()
        masks = sample_masks(FAMILIES[name], batch, size, generator=stream(0, "bench")).masks
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append(make_row("peak_memory", peak / (masks.numel() * 4), "times the masks", family=name, size=size,
                             batch=batch, device=torch.device("cpu")))  # fmt: skip
    return rows


def mixing_rows(
    size: tuple[int, int], *, batch: int, rounds: int, device: torch.device, compiled: bool = False
) -> Rows:
    """Mixing against three passes over the batch (two reads and one write: an addition)."""
    generator = stream(0, "bench", device=device)
    images = torch.rand(batch, 3, *size, generator=generator, device=device)
    other, out = images.clone(), torch.empty_like(images)
    permutation = torch.randperm(batch, generator=stream(1, "bench")).to(device)
    masks = sample_masks(FMix(), batch, size, generator=stream(2, "bench"), device=device).masks
    candidates: dict[str, Callable[[], object]] = {
        "three passes, buffer": lambda: torch.add(images, other, out=out),
        "mixing, buffer": lambda: blend(images, permutation, masks, out=out),
        "three passes, new memory": lambda: images + other,
        "mixing, new memory": lambda: blend(images, permutation, masks),
        "copy": lambda: out.copy_(images),
    }
    if compiled and (fused := compile_blend(images, permutation, masks)):
        candidates["compiled mixing, new memory"] = lambda: fused(images, permutation, masks)
    seconds = time_together(candidates, rounds=2 * rounds, device=device)
    where = {"size": size, "batch": batch, "device": device}
    n_bytes = images.numel() * 4
    rows = [
        make_row(label.split(",")[0], taken * 1e3, "milliseconds", note=label, **where)
        for label, taken in seconds.items()
    ]
    for label in [label for label in seconds if "mixing" in label]:
        memory = label.split(", ")[1]
        note = f"{'torch.compile, ' if 'compiled' in label else ''}both write to: {memory}"
        cost = seconds[label] / seconds[f"three passes, {memory}"]
        rows.append(make_row("mixing_cost", cost, "times three passes", note=note, **where))
    moved = 3 * n_bytes + masks.numel() * 4
    share = (moved / seconds["mixing, buffer"]) / (2 * n_bytes / seconds["copy"])
    rows.append(make_row("mixing_bandwidth", share, "times the copy bandwidth", note="both write to: buffer", **where))
    return rows


def compile_blend(images: Tensor, permutation: Tensor, masks: Tensor) -> Callable[..., Tensor] | None:
    """Mixing as torch.compile makes it from its plain form; None where that fails, for want of a C++ compiler.

    Raises:
        RuntimeError: the compiled form mixes something else.
    """

    def plain(images: Tensor, permutation: Tensor, masks: Tensor) -> Tensor:
        return torch.lerp(images[permutation], images, masks)

    fused = torch.compile(plain, fullgraph=True)
    try:
        mixed = fused(images, permutation, masks)
    except Exception as error:  # whatever a compiler may raise
        print(f"mixing was not timed under torch.compile: {type(error).__name__}")
        return None
    if not torch.allclose(mixed, blend(images, permutation, masks), rtol=0, atol=1e-6):
        raise RuntimeError("parity: mixing under torch.compile differs from mixing; nothing was timed")
    return fused


def peer_rows(size: tuple[int, int], *, batch: int, rounds: int, device: torch.device) -> Rows:
    """Images and soft labels of one batch: our transforms and those of other packages."""
    images = torch.rand(batch, 3, *size, generator=stream(0, "bench", device=device), device=device)
    labels = torch.randint(10, (batch,), generator=stream(1, "bench", device=device), device=device)
    transforms: dict[str, Callable] = {
        f"{name} msda-analysis": MixTransform(FAMILIES[name], 10)
        for name in ("mixup", "cutmix", "fmix", "fmix_released")
    }
    transforms |= peer_transforms(num_classes=10)
    with torch.random.fork_rng():  # peers draw from the global generator
        candidates = {
            name: lambda transform=transform: transform(images, labels) for name, transform in transforms.items()
        }
        seconds = time_together(candidates, rounds=rounds, device=device)
    return [
        make_row("batch", taken * 1e3, "milliseconds", family=name.split()[0], size=size, batch=batch,
                 note=name.split()[1], device=device)
        for name, taken in seconds.items()
    ]  # fmt: skip


def training_rows(size: tuple[int, int], *, batch: int, rounds: int, device: torch.device) -> Rows:
    """What mixing adds to a training step of a PreAct-ResNet18."""
    from msda_analysis.models import create  # the rest of the benchmark needs no network

    images = torch.rand(batch, 3, *size, generator=stream(0, "bench", device=device), device=device)
    labels = torch.randint(10, (batch,), generator=stream(1, "bench", device=device), device=device)
    model = create("preact_resnet18").to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def train_step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    mix_step = lambda: mix(images, labels, FMix(), generator=stream(0, "bench"))  # noqa: E731
    seconds = time_together({"train": train_step, "mix": mix_step}, rounds=rounds, device=device)
    where = {"size": size, "batch": batch, "device": device, "note": "preact_resnet18, float32, one FMix batch"}
    return [
        make_row("training_step", seconds["train"] * 1e3, "milliseconds", **where),
        make_row("mixing_share", seconds["mix"] / seconds["train"], "times a training step", family="fmix", **where),
    ]
