"""Several processes of this machine on one folder: started, listened to, ended together."""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from msda_analysis.endings import run_guarded

#: Takes an event of a runner; see progress.Progress.
Tell = Callable[[str, str, str], None]
_WORKER_BYTES = 1 << 30  # what one holds beside the data: torch and a small network, measured
_GRACE_S = 20  # a worker that was asked to end may take this long to save what it has


@dataclass
class _Worker:
    """One process, what it tells, and the cell that it is at."""

    number: int
    process: BaseProcess
    told: Any  # the end of a Connection that is read
    cell: str = ""


def share(
    n: int, work: Callable[..., None], arguments: Sequence[Any], *, threads: int, devices: Sequence[str], tell: Tell,
    died: Callable[[str], None],
) -> None:  # fmt: skip
    """Have n processes do the same work on one folder, whose locks deal out the cells, and wait until all have ended.

    They end when this process is interrupted or terminated, and after their cell when it is killed.

    Args:
        work: takes the arguments and then a Tell; a function of a module, as processes are started anew ("spawn").
        threads: CPU threads of each.
        devices: values of CUDA_VISIBLE_DEVICES, dealt out in turn; none leaves it as it is.
        tell: takes the events of all.
        died: takes the name of the cell at which a worker died.
    """
    workers: list[_Worker] = []
    try:
        for i in range(n):
            device = {"CUDA_VISIBLE_DEVICES": devices[i % len(devices)]} if devices else {}
            workers.append(_start(i + 1, work, arguments, threads, device))
        _listen(workers, tell, died)
    finally:
        _end(workers)


def suit(n: int, device: str, data_bytes: int) -> int:
    """How many processes to start for n pieces of work: one a thread of torch, or one a GPU, that fit into free memory.

    Processes of one thread each do more than one process with as many threads: those of small networks wait for each
    other, and the longer the busier the machine is.
    """
    import torch

    most = torch.get_num_threads() if device == "cpu" else len(visible_devices(device))
    free = free_memory()
    fit = most if free is None else free // (_WORKER_BYTES + data_bytes)
    return max(1, min(n, most, fit))


def visible_devices(device: str) -> list[str]:
    """Values of CUDA_VISIBLE_DEVICES with one GPU each, where `device` is any; none for the CPU and for one that is named."""
    if device != "cuda":
        return []
    import torch

    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named or [str(i) for i in range(torch.cuda.device_count())]


def warn_of_memory(n: int, data_bytes: int, tell: Tell) -> None:
    """Say so where the copies of the data that n more processes hold do not fit into what is free."""
    free = free_memory()
    if free is not None and n * data_bytes > free:
        line = (
            f"workers: {n} processes hold a copy of the data each, {n * data_bytes / 2**30:.1f} GiB together, and "
            f"{free / 2**30:.1f} GiB of memory are free; take fewer --workers if one of them dies"
        )
        tell("said", "", line)


def free_memory() -> int | None:
    """Bytes that processes can still get here, of the machine and of the group that limits this one; None if not known."""
    found = []
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) << 10)
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():
        found.append(int(limit) - int(used))
    return min(found, default=None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _start(number: int, work: Callable[..., None], arguments: Sequence[Any], threads: int, device: dict[str, str]):
    spawn = get_context("spawn")  # a forked torch may hang, and cannot use CUDA
    told, tells = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_work, args=(work, arguments, tells, threads), name=f"worker {number}")
    with _environment({"OMP_NUM_THREADS": str(threads), **device}), _ctrl_c_ignored():
        process.start()
    tells.close()  # else its end would not be seen
    return _Worker(number, process, told)


def _work(work: Callable[..., None], arguments: Sequence[Any], tells: Connection, threads: int) -> None:
    """What a worker's process does."""

    def tell(event: str, cell: str, words: str = "") -> None:
        tells.send((event, cell, words))

    def run() -> int:
        try:
            work(*arguments, tell)
        except OSError as error:  # this one cannot write; whether others can, they see for themselves
            tell("said", "", f"a worker stops: {error}")
            return 1
        except Exception:
            traceback.print_exc()
            return 1
        except BaseException:  # asked to end; who asked says so
            return 143
        return 0

    raise SystemExit(run_guarded(run, threads))


def _listen(workers: Sequence[_Worker], tell: Tell, died: Callable[[str], None]) -> None:
    open_ = {worker.told: worker for worker in workers}
    while open_:
        for told in wait(list(open_)):
            assert isinstance(told, Connection)
            worker = open_[told]
            try:
                event, cell, words = told.recv()
            except EOFError:
                del open_[told]
                _see_off(worker, tell, died)
                continue
            worker.cell = cell if event == "started" else ""
            tell(event, cell, words)


def _see_off(worker: _Worker, tell: Tell, died: Callable[[str], None]) -> None:
    """A worker has ended: name it, and the cell that it was at, unless all went well."""
    worker.process.join()
    code = worker.process.exitcode or 0
    if code == 0:
        return
    why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    place = f" while it ran {worker.cell}, which is left to the others" if worker.cell else ""
    tell("said", "", f"{worker.process.name} ended early ({why}){place}")
    if worker.cell:
        died(worker.cell)


def _end(workers: Sequence[_Worker]) -> None:
    """Leave no worker behind: ask, wait, and kill what does not listen."""
    for worker in workers:
        worker.told.close()
        if worker.process.is_alive():
            worker.process.terminate()
    for worker in workers:
        worker.process.join(_GRACE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables that processes started in the block find from their first import on."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Processes started in the block ignore Ctrl-C, which a terminal sends to all: this process ends them."""
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            stack.callback(signal.signal, signal.SIGINT, before)
        yield
