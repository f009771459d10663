"""Work done block by block: blocks that fit the cache, shared out between plain threads."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

#: Values worked on at once. Up to here torch's own operations stay on the calling thread, and a block fits the cache.
BLOCK_VALUES = 1 << 15
_ALIGNMENT = 64


def run_on_threads(work: Callable[[int], None], n_tasks: int, *, tasks_per_thread: int = 1) -> None:
    """Do work(0) .. work(n_tasks - 1) on up to torch.get_num_threads() threads, this one included.

    Threads live for one call: nothing to shut down, nothing that a fork would lose. Inside, torch keeps to the thread that
    calls it: on a busy machine its own threads wait for each other at the end of every operation, often for a whole slice of
    the scheduler, where these wait once.

    Args:
        work: one task; no two share what they write.
        n_tasks: how many.
        tasks_per_thread: start no thread for fewer; starting one takes about 0.1 ms.

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

    def run_beside() -> None:
        with _one_torch_thread():  # a new thread starts with the setting of the last one that set it
            run()

    n_threads = min(torch.get_num_threads(), n_tasks // tasks_per_thread)
    others = [threading.Thread(target=run_beside) for _ in range(n_threads - 1)]
    with _one_torch_thread():
        for thread in others:
            thread.start()
        run()
        for thread in others:
            thread.join()
    if failures:
        raise failures[0]


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """torch's operations stay on the calling thread; to say so takes less than a microsecond."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def one_blas_thread() -> AbstractContextManager[object]:
    """NumPy's matrix products stay on the calling thread; to say so takes about 10 microseconds."""
    return _blas().limit(limits=1)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries that NumPy and SciPy have loaded."""
    return ThreadpoolController().select(user_api="blas")


def empty_on_cpu(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """An uninitialized tensor. NumPy asks the system for huge pages, which makes the first write about twice as fast."""
    if dtype not in (torch.float32, torch.float64):
        return torch.empty(shape, dtype=dtype)
    kind = np.dtype(np.float32 if dtype == torch.float32 else np.float64)
    n_values, spare = math.prod(shape), _ALIGNMENT // kind.itemsize
    memory = np.empty(n_values + spare, dtype=kind)
    skipped = -memory.ctypes.data % _ALIGNMENT // kind.itemsize  # NumPy aligns to 16 bytes, wide loads want 64
    return torch.from_numpy(memory[skipped : skipped + n_values]).view(shape)
