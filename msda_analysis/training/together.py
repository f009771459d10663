"""Several processes that train one model: each computes its part of every batch, and gradients are those of the whole."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, distributed, nn

#: (images, batch, mixed, noise) -> (loss, parts)
Compute = Callable[..., tuple[Tensor, dict[str, Tensor]]]


#: What errors of torch.distributed say where a process is gone.
_BROKEN = ("gloo", "NCCL", "Connection closed", "Connection reset")


class LostProcessError(OSError):
    """Another process of the same training has ended, so that this one cannot go on."""


class Together:
    """The processes of a training; this class is one alone.

    Attributes:
        rank, count: of this process, and how many there are.
    """

    rank, count = 0, 1

    def compute(self, model: nn.Module, loss: Compute) -> Compute:
        """The loss of a model, whose backward pass leaves every process the mean gradient of all."""
        return partial(loss, model)

    def holding_back(self, compute: Compute) -> AbstractContextManager[Any]:
        """Backward passes inside add to the gradient without looking at other processes."""
        del compute
        return nullcontext()

    def sums(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sums of detached numbers over the processes, in all of them."""
        return values

    def largest(self, number: int, device: torch.device) -> int:
        """The largest of the processes' numbers, in all of them."""
        del device
        return number

    def gather(self, thing: Any) -> list[Any]:
        """Everybody's thing, by rank, in all processes."""
        return [thing]


class _Loss(nn.Module):
    """A model and its loss as the one module that DistributedDataParallel runs."""

    def __init__(self, model: nn.Module, loss: Compute) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *arguments: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss(self.model, *arguments)


class Group(Together):
    """All processes of torch.distributed's default group."""

    def __init__(self) -> None:
        self.rank, self.count = distributed.get_rank(), distributed.get_world_size()

    def compute(self, model: nn.Module, loss: Compute) -> Compute:
        return nn.parallel.DistributedDataParallel(_Loss(model, loss))

    def holding_back(self, compute: Compute) -> AbstractContextManager[Any]:
        assert isinstance(compute, nn.parallel.DistributedDataParallel)
        return compute.no_sync()

    def sums(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        total = torch.stack([value.float() for value in values.values()])
        distributed.all_reduce(total)
        return dict(zip(values, total.unbind(), strict=True))

    def largest(self, number: int, device: torch.device) -> int:
        found = torch.tensor(number, device=device)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def gather(self, thing: Any) -> list[Any]:
        things: list[Any] = [None] * self.count
        distributed.all_gather_object(things, thing)
        return things


_current: ContextVar[Together] = ContextVar("together", default=Together())  # noqa: B039 - it holds nothing


def current() -> Together:
    """The processes that train together here; one alone outside of training_together()."""
    return _current.get()


@contextmanager
def training_together(backend: str | None = None) -> Iterator[torch.device]:
    """Train in all processes that torchrun started, as one: fit_classifier and fit_vae inside split every batch.

    Every process holds the whole data set and draws and mixes the same batches as one process would; each computes its
    part of the images. Layers with batch statistics see that part alone. `resume` must be a folder that all processes
    share; the first one writes it.

    Args:
        backend: of torch.distributed; None takes nccl where every process has a GPU of its own, else gloo.

    Raises:
        LostProcessError: another process has ended; what was saved is kept.

    Yields:
        The device of this process. Without torchrun: of one process alone, and nothing is set up.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = torch.cuda.device_count() > local and backend != "gloo"
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    distributed.init_process_group(backend or ("nccl" if on_gpu else "gloo"))
    token = _current.set(Group())
    try:
        yield device
    except RuntimeError as error:
        if any(word in str(error) for word in _BROKEN):
            raise LostProcessError(
                f"another process of this training has ended ({str(error).splitlines()[0]})"
            ) from error
        raise
    finally:
        _current.reset(token)
        distributed.destroy_process_group()


def share_of(n: int, rank: int, count: int, parts: int) -> Sequence[slice]:
    """This process's places of a batch of n images, in up to so many parts; together, all processes have each place once."""
    start, end = n * rank // count, n * (rank + 1) // count
    bounds = [start + (end - start) * i // parts for i in range(parts + 1)]
    return [slice(low, high) for low, high in pairwise(bounds) if low < high]
