"""Speed of training VAEs and classifiers against the plain loop that one would write first, in one run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from msda_analysis.bench.steps import CHANGES, noise_pictures, our_loop, plain_loop
from msda_analysis.bench.timing import make_row, time_together
from msda_analysis.checks import check_count
from msda_analysis.data import Batch, Dataset
from msda_analysis.masks import FMix
from msda_analysis.models import VAE, create
from msda_analysis.rng import stream
from msda_analysis.training import ClassifierFit
from msda_analysis.training.classifier import set_up
from msda_analysis.training.settings import PRECISIONS
from msda_analysis.training.vae import negative_elbo

Row = dict[str, Any]
#: Steps a round, by network.
_ON_CPU = {"small_cnn": 4, "fast_cnn": 1, "preact_resnet18": 1}
_ON_GPU = dict.fromkeys(_ON_CPU, 20)
#: Of the matrices whose product is timed beside.
_SIDE = 1024
#: The network for which each of ours is put into the plain loop alone.
_TAKEN_APART = "fast_cnn"


def bench_rows(
    device: str | torch.device = "cpu",
    *,
    repeats: int = 5,
    steps: int = 10,
    networks: Mapping[str, int] | None = None,
    size: tuple[int, int] = (32, 32),
    batch: int = 128,
    compiled: bool = True,
    seed: int = 0,
) -> list[Row]:
    """Images per second of training steps: the plain loop and ours, taking turns.

    For the VAE the plain loop is eager, float32, channels first, with torch's default Adam; ours is the step of fit_vae (channels
    last, fused Adam) in float32 and in bfloat16. Data loading and mixing are left out of both. For classifiers see
    steps.plain_loop, with FMix of the released law, one mask a batch, and steps.our_loop, with isotropic FMix, a mask an image;
    loading, augmentation and mixing are part of both. The plain loader has no worker processes, which is fair where there are as
    many threads as cores. bfloat16 is left out on processors that have no instructions for it: convolutions are many times slower.

    Args:
        device: where to run.
        repeats: rounds; in each every variant runs its steps, so that drift of the machine hits all alike.
        steps: optimizer steps of a VAE per round and variant.
        networks: classifiers of models.NAMES, and the steps of each per round and variant; None for small_cnn, fast_cnn and
            preact_resnet18. For fast_cnn each of CHANGES is timed alone, too.
        size: of the images, in pixels.
        batch: images in a step.
        compiled: time fast_cnn in the plain loop under torch.compile, too, where that finds a compiler; takes a minute.
        seed: of weights and images.

    Returns:
        Rows with the columns timing.COLUMNS; low and high are quartiles over rounds. A speedup is over the plain loop of the same
        round. matmul is the rate of a product of two float32 matrices, and _of_matmul, on a CPU, the share of it of the same round at
        which a loop multiplies and adds: where that is near 100 %, arithmetic is the limit.
    """
    check_count("repeats", repeats)
    check_count("steps", steps)
    check_count("batch", batch, minimum=2)
    device = torch.device(device)
    asked = (_ON_GPU if device.type == "cuda" else _ON_CPU) if networks is None else networks
    rows, precisions = _vae_rows(device, repeats, steps, size, batch, seed), _precisions(device)
    for network, n_steps in asked.items():
        check_count("steps", n_steps)
        changes = [change for change in CHANGES if compiled or change != "compiled"] if network == _TAKEN_APART else []
        rows += _classifier_rows(network, precisions, changes, device, repeats, n_steps, size, batch, seed)
    return rows


def _vae_rows(
    device: torch.device, repeats: int, steps: int, size: tuple[int, int], batch: int, seed: int
) -> list[Row]:
    images = torch.randn(batch, 3, *size, generator=stream(seed, "bench images")).to(device)
    variants: dict[str, Callable[[], None]] = {"plain": _many(_plain_step(images, seed), steps)}
    variants |= {f"ours_{precision}": _many(_our_step(images, seed, precision), steps) for precision in PRECISIONS}
    seconds = time_together(variants, rounds=repeats, device=device)
    return _speed_rows("vae", seconds, steps * batch, {"size": size, "batch": batch, "device": device})


def _classifier_rows(
    network: str,
    precisions: Sequence[str],
    changes: Sequence[str],
    device: torch.device,
    repeats: int,
    steps: int,
    size: tuple[int, int],
    batch: int,
    seed: int,
) -> list[Row]:
    data = noise_pictures(4 * batch, size, seed, device)

    def fit(precision: str = "float32") -> ClassifierFit:
        return ClassifierFit(model=network, batch_size=batch, lr=1e-3, augment="crop_flip", precision=precision)

    variants = {"plain": plain_loop(data, fit(), seed)}
    variants |= {f"plain_{change}": plain_loop(data, fit(), seed, change) for change in changes}
    if "plain_compiled" in variants and not _compiles(variants["plain_compiled"]):
        del variants["plain_compiled"]
    for precision in precisions:
        variants[f"ours_{precision}"] = our_loop(data, fit(precision), FMix(), seed)
    matrix = torch.ones(_SIDE, _SIDE, device=device)
    with torch.random.fork_rng():  # torchvision draws from the global generator
        seconds = time_together(
            {"matmul": lambda: matrix @ matrix} | {name: _many(step, steps) for name, step in variants.items()},
            rounds=repeats, device=device,
        )  # fmt: skip
    matmul = 2 * _SIDE**3 / seconds.pop("matmul")
    where = {"network": network, "size": size, "batch": batch, "device": device}
    rows = _speed_rows("classifier", seconds, steps * batch, where)
    if device.type != "cpu":
        return rows  # convolutions may be TF32 there, products of matrices are not
    n_flops = steps * batch * flops_of_image(data, fit(), seed)
    shares = {name: 100 * n_flops / taken / matmul for name, taken in seconds.items() if "bfloat16" not in name}
    rows += [make_row(f"classifier_training_{name}_of_matmul", share, "%", **where) for name, share in shares.items()]
    return [*rows, make_row("matmul", matmul / 1e9, "GFLOP/s", **where)]


def flops_of_image(data: Dataset, settings: ClassifierFit, seed: int) -> float:
    """Multiplications and additions of convolutions and products of matrices in a training step, for each image."""
    network, _ = set_up(data, settings, seed=seed, device=data.images.device)
    with FlopCounterMode(display=False) as counter:
        network.train()(data.normalize(data.images[:2], validate=False)).sum().backward()
    return counter.get_total_flops() / 2


def _speed_rows(model: str, seconds: Mapping[str, np.ndarray], n_images: int, where: Mapping[str, Any]) -> list[Row]:
    rows = []
    for name, taken in seconds.items():
        rows.append(make_row(f"{model}_training_{name}", n_images / taken, "images/s", **where))
        if name != "plain":
            rows.append(make_row(f"{model}_training_{name}_speedup", seconds["plain"] / taken, "ratio", **where))
    return rows


def _precisions(device: torch.device) -> tuple[str, ...]:
    """Those that a device has instructions for."""
    known = {} if device.type == "cuda" else getattr(torch.cpu, "get_capabilities", dict)()
    if device.type == "cuda" or known.get("avx512_bf16") or known.get("amx_bf16"):
        return PRECISIONS
    print("this processor has no instructions for bfloat16: classifiers are timed in float32 alone")
    return ("float32",)


def _compiles(step: Callable[[], None]) -> bool:
    """Take a first step, in which torch.compile works."""
    try:
        step()
    except Exception as error:  # whatever a compiler may raise
        print(f"the plain loop was not timed under torch.compile: {type(error).__name__}")
        return False
    return True


def _many(step: Callable[[], None], n: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(n):
            step()

    return run


def _plain_step(images: Tensor, seed: int) -> Callable[[], None]:
    vae = _vae(seed, images)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    noise = stream(seed, "bench noise", device=images.device)

    def step() -> None:
        code = vae.encode(images)
        mean = vae.decoder(code.sample(noise))  # layer after layer, not the product that decode() uses on a CPU
        loss = ((0.5 * (images - mean) ** 2).flatten(1).sum(1) + code.kl_to_prior()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _our_step(images: Tensor, seed: int, precision: str) -> Callable[[], None]:
    vae = _vae(seed, images).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3, fused=True)
    noise = stream(seed, "bench noise", device=images.device)
    batch = Batch(images, torch.zeros(len(images), dtype=torch.int64, device=images.device), 0)

    def step() -> None:
        fast = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            loss, _ = negative_elbo(vae, fast, batch, None, noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def _vae(seed: int, images: Tensor) -> VAE:
    vae = create("vae", seed=seed, image_size=tuple(images.shape[2:]))
    assert isinstance(vae, VAE)
    return vae.to(images.device).train()
