"""Uniform numbers on the device that needs them: one kernel on a GPU, rng's definition elsewhere."""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from msda_analysis.rng import Key, numpy_from_key, philox_uniforms


@cache
def has_triton() -> bool:
    """Whether Triton is installed."""
    return find_spec("triton") is not None


def draw_uniforms(key: Key, n: int, count: int, device: torch.device) -> Tensor:
    """rng.philox_uniforms, [n, count] float64; on a GPU in one launch instead of a hundred small ones."""
    if device.type == "cuda" and has_triton():
        from msda_analysis.masks import draws_triton  # only where it is used: importing Triton takes a second

        return draws_triton.philox_uniforms(key, n, count, device)
    return philox_uniforms(key, n, count, device)


def draw_coins(key: Key, n: int, device: torch.device) -> Tensor:
    """[n] float64 in [0, 1): a coin of chance p falls where they are below p."""
    if device.type == "cpu":
        return torch.from_numpy(numpy_from_key(int(key)).random(n))
    return draw_uniforms(key, n, 1, device)[:, 0]
