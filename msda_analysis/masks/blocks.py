"""Work done block by block: blocks that fit the cache, shared out between plain threads."""

import math
import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

#: Values worked on at once. Up to here torch's own operations stay on the calling thread, and a block fits the cache.
BLOCK_VALUES = 1 << 15
_ALIGNMENT = 64


def run_on_threads(work: Callable[[int], None], n_tasks: int) -> None:
    """Do work(0) .. work(n_tasks - 1) on up to torch.get_num_threads() threads, this one included.

    Threads live for one call: nothing to shut down, nothing that a fork would lose. On a busy machine they yield,
    where the spinning threads inside large torch operations would wait for each other.

    Raises:
        Whatever `work` raises first, after all threads have stopped.
    """
    tasks = iter(range(n_tasks))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for task in tasks:  # handing out the next number is atomic
                work(task)
        except BaseException as error:
            failures.append(error)

    others = [threading.Thread(target=run) for _ in range(min(torch.get_num_threads(), n_tasks) - 1)]
    for thread in others:
        thread.start()
    run()
    for thread in others:
        thread.join()
    if failures:
        raise failures[0]


def empty_on_cpu(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """An uninitialized tensor. NumPy asks the system for huge pages, which makes the first write about twice as fast."""
    if dtype not in (torch.float32, torch.float64):
        return torch.empty(shape, dtype=dtype)
    kind = np.dtype(np.float32 if dtype == torch.float32 else np.float64)
    n_values, spare = math.prod(shape), _ALIGNMENT // kind.itemsize
    memory = np.empty(n_values + spare, dtype=kind)
    skipped = -memory.ctypes.data % _ALIGNMENT // kind.itemsize  # NumPy aligns to 16 bytes, wide loads want 64
    return torch.from_numpy(memory[skipped : skipped + n_values]).view(shape)
