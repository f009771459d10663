"""Global random state: mixing code of others draws from it, so it is set, and put back, around each call."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from msda_analysis.rng import derive_key, generator_from_key

#: Global generators that mixing code was seen to draw from, in the order of the arguments of global_seeds().
SOURCES = ("torch", "NumPy", "Python random")


@contextmanager
def global_seeds(
    torch_seed: int,
    numpy_seed: int | None = None,
    python_seed: int | None = None,
    *,
    device: torch.device | None = None,
) -> Iterator[None]:
    """Seed the three global CPU generators, and put their states back at the end; None seeds as torch.

    Where `device` is a GPU, its generator is treated alike.
    """
    numpy_seed = torch_seed if numpy_seed is None else numpy_seed
    python_seed = torch_seed if python_seed is None else python_seed
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 - what others use
    try:
        torch.set_rng_state(generator_from_key(derive_key("audit torch", torch_seed)).get_state())
        fresh = np.random.RandomState(derive_key("audit numpy", numpy_seed) & 0xFFFFFFFF)
        np.random.set_state(fresh.get_state())  # noqa: NPY002
        random.setstate(random.Random(derive_key("audit python", python_seed)).getstate())
        if device is None or device.type != "cuda":
            yield
        else:
            with torch.random.fork_rng(devices=[device]), torch.cuda.device(device):
                torch.cuda.manual_seed(derive_key("audit cuda", torch_seed))
                yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
