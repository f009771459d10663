"""Speed of VAE training against the plain loop that one would write first, in one run."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from msda_analysis.bench.timing import make_row, time_together
from msda_analysis.checks import check_count
from msda_analysis.data import Batch
from msda_analysis.models import VAE, create
from msda_analysis.rng import stream
from msda_analysis.training.settings import PRECISIONS
from msda_analysis.training.vae import negative_elbo

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
        Rows with the columns timing.COLUMNS; low and high are quartiles over rounds.
    """
    check_count("repeats", repeats)
    check_count("steps", steps)
    device = torch.device(device)
    images = torch.randn(_BATCH, 3, 32, 32, generator=stream(seed, "bench images")).to(device)
    variants: dict[str, Callable[[], None]] = {"plain": _many(_plain_step(images, seed), steps)}
    variants |= {f"ours_{precision}": _many(_our_step(images, seed, precision), steps) for precision in PRECISIONS}
    seconds = time_together(variants, rounds=repeats, device=device)
    where: dict[str, Any] = {"size": (32, 32), "batch": _BATCH, "device": device}
    rows = []
    for name, taken in seconds.items():
        rows.append(make_row(f"vae_training_{name}", _BATCH * steps / taken, "images/s", **where))
        if name != "plain":
            rows.append(make_row(f"vae_training_{name}_speedup", seconds["plain"] / taken, "ratio", **where))
    return rows


def _many(step: Callable[[], None], n: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(n):
            step()

    return run


def _plain_step(images: Tensor, seed: int) -> Callable[[], None]:
    vae = _vae(seed, images.device)
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
