"""Named random streams: every draw is a function of (seed, purpose, epoch, step, rank). No global randomness."""

import hashlib

import numpy as np
import torch

_MASK_63 = (1 << 63) - 1


def derive_key(*parts: int | str) -> int:
    """A 63-bit key from any sequence of integers and names; the same on every machine."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") & _MASK_63


def stream(
    seed: int, purpose: str, *, epoch: int = 0, step: int = 0, rank: int = 0, device: str | torch.device = "cpu"
) -> torch.Generator:
    """A generator that depends on nothing but its arguments.

    Args:
        seed: the run's seed.
        purpose: name of what is drawn, for example "noise"; streams of different names are independent.
        epoch, step, rank: position in the run, so that any batch can be made again.
        device: where the generator lives.
    """
    return generator_from_key(derive_key(int(seed), purpose, int(epoch), int(step), int(rank)), device)


def generator_from_key(key: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator started from a 63-bit key."""
    return torch.Generator(device=device).manual_seed(key)


def numpy_from_key(key: int) -> np.random.Generator:
    """A NumPy generator (counter-based Philox) started from a 63-bit key."""
    return np.random.Generator(np.random.Philox(key=key))


def take_key(generator: torch.Generator) -> int:
    """Draw one key from a generator and advance it; never waits for a GPU.

    A CUDA generator's state (seed and offset) lives on the host, so it is hashed instead of drawn from.
    """
    if generator.device.type == "cuda":
        offset = generator.get_offset()
        generator.set_offset(offset + 4)
        return derive_key(generator.initial_seed(), "cuda-offset", offset)
    return int(torch.randint(_MASK_63, (), generator=generator, dtype=torch.int64))
