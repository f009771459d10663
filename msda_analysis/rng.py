"""Named random streams: every draw is a function of (seed, purpose, epoch, step, rank). No global randomness."""

import hashlib
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: A key of 63 bits: on the host, or a 0-d int64 tensor on the device where it is used. Equal values draw equal words.
Key = int | Tensor
_MASK_63 = (1 << 63) - 1
_MASK_32 = (1 << 32) - 1


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


def batch_number(calls: int) -> int:
    """The number of a batch among all of its loader, from the calls so far in this process.

    A torch DataLoader hands batches to its workers in turn, so worker w of W makes the batches w, W + w, 2 W + w, ...
    """
    worker = torch.utils.data.get_worker_info()
    return calls if worker is None else calls * worker.num_workers + worker.id


def process_rank() -> int:
    """This process's rank in torch.distributed, 0 where that is not initialized."""
    return (
        torch.distributed.get_rank() if torch.distributed.is_available() and torch.distributed.is_initialized() else 0
    )


def split_key(key: Key, count: int) -> list[Key]:
    """`count` keys from one by Philox. The same for a host integer and for a device tensor, whose keys stay on its device."""
    if isinstance(key, Tensor):
        words = list(philox_words(key, 1, 2 * count, key.device)[0].unbind())
    else:  # the same words; plain integers are quicker than small tensors
        words = [word for group in range(-(-count // 2)) for word in _philox([group, 0, 0, 0], key)][: 2 * count]
    return [(low | high << 32) & _MASK_63 for low, high in zip(words[0::2], words[1::2], strict=True)]


def philox_words(key: Key, n: int, count: int, device: str | torch.device = "cpu") -> Tensor:
    """Random 32-bit words as a pure function of (key, row, column), by Philox-4x32-10; the same on every device.

    The kernels draw the same words; this is their definition.

    Args:
        key: 63-bit key; a tensor must be on `device`.
        n: rows, one per mask.
        count: words per row.

    Returns:
        [n, count] int64 in 0..2^32-1. Word w of row i is lane w % 4 of counter (w // 4, i, 0, 0).

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    group = torch.arange(-(-count // 4), device=device).expand(n, -1)
    row = torch.arange(n, device=device)[:, None].expand_as(group)
    words = [group, row, torch.zeros_like(group), torch.zeros_like(group)]
    return torch.stack(_philox(words, key), dim=-1).flatten(1)[:, :count]


def _philox(words: list[Any], key: Any) -> list[Any]:
    """Ten rounds on a counter of four words; integers and int64 tensors alike."""
    low, high = key & _MASK_32, key >> 32 & _MASK_32
    for _ in range(10):
        # a 64-bit product may wrap to a negative number; its bits are right all the same
        even, odd = words[0] * 0xD2511F53, words[2] * 0xCD9E8D57
        words = [
            (odd >> 32 & _MASK_32) ^ words[1] ^ low,
            odd & _MASK_32,
            (even >> 32 & _MASK_32) ^ words[3] ^ high,
            even & _MASK_32,
        ]
        low, high = low + 0x9E3779B9 & _MASK_32, high + 0xBB67AE85 & _MASK_32
    return words


def philox_normals(key: Key, n: int, count: int, device: str | torch.device = "cpu") -> Tensor:
    """[n, count] float32 standard normals: Box-Muller on pairs of words, 24 bits of each."""
    words = philox_words(key, n, count + count % 2, device)
    fraction = (words >> 8).to(torch.float32) / (1 << 24)
    radius = torch.sqrt(-2 * torch.log(fraction[:, 0::2] + 2.0**-24))
    angle = 2 * math.pi * fraction[:, 1::2]
    return torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1).flatten(1)[:, :count]


def philox_uniforms(key: Key, n: int, count: int = 1, device: str | torch.device = "cpu") -> Tensor:
    """[n, count] float64 uniform in (0, 1), 32 bits of each."""
    return (philox_words(key, n, count, device).to(torch.float64) + 0.5) / (1 << 32)
