"""Cells as tasks of Ray: on this machine or on the nodes of a cluster that share the study's folder.

Ray decides where and when a cell runs, and runs it again where a node is lost; what is finished and who holds a cell is
kept in the folder as without Ray, so that one study may be begun here and ended there.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from msda_analysis.studies.store import NamedCell
from msda_analysis.studies.workers import Tell

_RETRIES = 3  # of a cell whose process or node dies
_STORE_BYTES = 100 << 20  # of a local Ray's object store, through which only names and words go


@dataclass(frozen=True)
class Cluster:
    """Where cells run, and what Ray sets aside for each.

    Attributes:
        address: of a running cluster, or "auto" for the one that this machine is a node of; "" starts Ray on this machine
            alone, with as many CPUs as torch has threads.
        cpus: of one cell; torch gets that many threads, at least one.
        gpus: of one cell, where the plan's device is "cuda": 0.5 puts two cells on each GPU.
    """

    address: str = ""
    cpus: float = 1.0
    gpus: float = 1.0

    def check(self, device: str) -> None:
        """See whether cells can run on it.

        Raises:
            ValueError: Ray is not installed, a share is not positive, or the device is one of several GPUs.
        """
        if find_spec("ray") is None:
            raise ValueError(
                "engine: 'ray' needs the package ray, which is not installed; install msda-analysis[cluster]"
            )
        for name, share in (("cell_cpus", self.cpus), ("cell_gpus", self.gpus)):
            if not share > 0:
                raise ValueError(f"{name}: expected a number > 0, got {share!r}")
        if device.startswith("cuda:"):
            raise ValueError(f"device: Ray deals out the GPUs; expected cuda instead of {device!r}")


def spread(
    cluster: Cluster, work: Callable[..., None], arguments: Callable[[str], Sequence[Any]], cells: Sequence[NamedCell],
    *, device: str, tell: Tell, died: Callable[[str, Exception], None],
) -> None:  # fmt: skip
    """Run each cell as a task, after those that it needs, and wait until all have ended.

    Args:
        work: takes the arguments and then a Tell; a function of a module that the nodes can import.
        arguments: of the work, for the name of a cell; paths in them must be good on all nodes.
        cells: in an order in which each comes after those that it needs.
        device: of the plan.
        tell: takes the events of all, those of a cell when it has ended.
        died: takes the name of a cell whose processes died again and again, or which could not be run at all, and why.

    Raises:
        ConnectionError: no cluster answers at the address, or Ray cannot be started here.
    """
    import ray

    threads = max(1, int(cluster.cpus))
    needs = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus if device == "cuda" else 0}
    place = os.getcwd(), [path for path in sys.path if path]
    with _connected(cluster):
        task = ray.remote(_do).options(max_retries=_RETRIES, **needs)
        refs: dict[str, Any] = {}
        for cell in cells:
            before = [refs[need.name] for need in cell.needs if need.name in refs]
            refs[cell.name] = task.remote(work, tuple(arguments(cell.name)), place, threads, *before)
        _listen(ray, {refs[cell.name]: cell for cell in cells}, tell, died)


def _do(work: Callable[..., None], arguments: Sequence[Any], place: tuple[str, list[str]], threads: int, *_: Any):
    """What a task does, wherever it runs: what the work told, or why it could not be written."""
    import torch

    events: list[tuple[str, ...]] = []
    try:
        os.chdir(place[0])  # the user's own data, masks and networks are found from there
        sys.path += [path for path in place[1] if path not in sys.path]
        torch.set_num_threads(threads)
        work(*arguments, lambda *event: events.append(event))
    except OSError as error:  # whether another process can write, it sees for itself
        events.append(("said", "", f"a task stops: {error}"))
    return events


def _listen(ray: Any, running: dict[Any, NamedCell], tell: Tell, died: Callable[[str, Exception], None]) -> None:
    lost: set[str] = set()
    while running:
        (ended, *_), _ = ray.wait(list(running))
        cell = running.pop(ended)
        try:
            for event in ray.get(ended):
                tell(*event)
        except ray.exceptions.RayError as error:
            lost.add(cell.name)
            if not any(need.name in lost for need in cell.needs):  # else it never ran
                died(cell.name, error)


@contextmanager
def _connected(cluster: Cluster) -> Iterator[None]:
    """Ray in the block, quiet, telling nobody of it, and leaving the signals to us."""
    import ray
    import torch

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # which only what is started here asks
    local: dict[str, Any] = {
        "address": "local", "num_cpus": torch.get_num_threads(), "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
    }  # fmt: skip
    where = {"address": cluster.address} if cluster.address else local
    with _signals_kept():
        try:
            ray.init(**where, log_to_driver=False, logging_level="warning")
        except Exception as error:  # Ray raises many kinds here, plain ones too
            verb = f"joined at {cluster.address}" if cluster.address else "started on this machine"
            raise ConnectionError(f"engine: Ray could not be {verb}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """What this process does on SIGTERM and Ctrl-C is the same after the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
