"""Speed of VAE training against the plain loop that one would write first, in one run."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from msda_analysis.checks import check_count
from msda_analysis.data import Batch
from msda_analysis.models import VAE, create
from msda_analysis.rng import stream
from msda_analysis.training.fit_vae import negative_elbo
from msda_analysis.training.loop import PRECISIONS

Row = dict[str, Any]
_BATCH = 128


def bench_rows(device: str | torch.device = "cpu", *, repeats: int = 5, steps: int = 10, seed: int = 0) -> list[Row]:
    """Images per second of one VAE step at 3 x 32 x 32, batch 128: the plain loop and ours, taking turns.

    The plain loop is eager, float32, channels first, with torch's default Adam; ours is the step of fit_vae (channels
    last, fused Adam) in float32 and in bfloat16. Data loading and mixing are left out of both.

    Args:
        device: where to run.
        repeats: rounds; in each every variant runs `steps` steps, so that drift of the machine hits all alike.
        steps: optimizer steps per round and variant.
        seed: of weights and images.

    Returns:
        Rows with name, value, unit, low, high, n, note: median over rounds with the smallest and largest.
    """
    check_count("repeats", repeats)
    check_count("steps", steps)
    device = torch.device(device)
    images = torch.randn(_BATCH, 3, 32, 32, generator=stream(seed, "bench images")).to(device)
    variants: dict[str, Callable[[], None]] = {"plain": _plain_step(images, seed)}
    variants |= {f"ours_{precision}": _our_step(images, seed, precision) for precision in PRECISIONS}
    for step in variants.values():
        _seconds(step, 3, device)  # warm-up
    rounds = [{name: _seconds(step, steps, device) for name, step in variants.items()} for _ in range(repeats)]
    rows = []
    for name in variants:
        speeds = [_BATCH * steps / taken[name] for taken in rounds]
        rows.append(_row(f"vae_training_{name}", speeds, "images/s"))
        if name != "plain":
            rows.append(_row(f"vae_training_{name}_ratio", [taken["plain"] / taken[name] for taken in rounds], "ratio"))
    return rows


def _plain_step(images: Tensor, seed: int) -> Callable[[], None]:
    vae = _vae(seed, images.device)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    noise = stream(seed, "bench noise", device=images.device)

    def step() -> None:
        mean, code = vae(images, noise)
        loss = ((0.5 * (images - mean) ** 2).flatten(1).sum(1) + code.kl_to_prior()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _our_step(images: Tensor, seed: int, precision: str) -> Callable[[], None]:
    vae = _vae(seed, images.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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


def _vae(seed: int, device: torch.device) -> VAE:
    vae = create("vae", seed=seed)
    assert isinstance(vae, VAE)
    return vae.to(device).train()


def _seconds(step: Callable[[], None], n: int, device: torch.device) -> float:
    _wait(device)
    started = time.perf_counter()
    for _ in range(n):
        step()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _row(name: str, values: list[float], unit: str) -> Row:
    return {
        "name": name, "value": median(values), "unit": unit, "low": min(values), "high": max(values),
        "n": len(values), "note": "median of rounds, smallest and largest",
    }  # fmt: skip
