"""Run a plan: every cell that is not done yet, then the table and the report."""

import math
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from msda_analysis.checks import check_count, check_in_range
from msda_analysis.environment import describe_environment, usable_device
from msda_analysis.results import read_table
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.cluster import Cluster, spread
from msda_analysis.studies.context import Context
from msda_analysis.studies.damage import vouched
from msda_analysis.studies.plan import Plan, choose_reference
from msda_analysis.studies.progress import Progress
from msda_analysis.studies.runner import Runner
from msda_analysis.studies.steps import STEPS, cells_of
from msda_analysis.studies.store import Store, find_damaged_cells
from msda_analysis.studies.workers import Tell, share, suit, visible_devices, warn_of_memory

_DEATHS = 2  # workers that may die at one cell before the others leave it


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        n_cells, n_done: of the whole study, after this run.
        n_failed: in this run.
        report: the written report, or None while cells of other shards are missing.
        missing: name of each cell that is not done -> why, a key of runner.REASONS.
    """

    n_cells: int
    n_done: int
    n_failed: int
    report: Path | None
    missing: Mapping[str, str] = field(default_factory=dict)


def run_study(
    plan: Plan,
    folder: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    workers: int = 1,
    cluster: Cluster | None = None,
    progress: bool = True,
    command: str = "",
) -> Summary:
    """Run all cells that are not done, then write results.csv, manifest.json, figures, tables and report.html.

    Killing it at any moment loses at most the cell that was running; the same call goes on where it stopped. A cell
    that raises is noted and the others go on; the next run tries it again. Processes that run the same study in one
    folder share its cells, and each waits for the last ones of the others.

    Args:
        plan: any that has steps; see steps.STEPS.
        folder: new, empty, or holding a plan that this one can be added to, as with more seeds; only what is new runs.
        shard: (i, n) trains only every n-th cell starting with the i-th, for n machines on one shared folder. Cells
            whose needs are missing wait; one last run without a shard finishes them.
        workers: processes of this machine that share the cells, torch's threads and the GPUs; each holds the data. A cell
            at which one dies is done by another, or fails where a second one or all die. 0: as many as pay, see
            suited_workers. Where there are several, a script has to call this under `if __name__ == "__main__":`.
        cluster: run the cells as tasks of Ray instead, on nodes that share the folder and are like this machine.
        command: the command line, for the manifest.

    Raises:
        ValueError: the folder holds another study, or the plan cannot work, for example as the dataset cannot be loaded;
            then nothing is written.
        OSError: the folder cannot be written, for example when the disk is full, or no cluster answers; finished cells
            stay.
    """
    check_in_range("shard", shard[0], 1, shard[1])
    check_count("workers", workers, minimum=0)
    store = Store(folder, on_usable_device(plan))
    if cluster is not None:
        _check_cluster(cluster, workers, store.plan)
    context = Context(store.plan, store, progress)
    _check(context, cells_of(store.plan))  # what is wrong shows before the folder is taken
    store.claim(command)
    context.plan = store.plan
    cells = cells_of(store.plan)
    is_shard, mine = shard[1] > 1, cells[shard[0] - 1 :: shard[1]]
    with Progress(len(mine), context.plan.name, shown=progress) as tell:
        for line in find_damaged_cells(folder, [cell.name for cell in cells]):
            tell.say(line)
        runner = make_runner(context, waits=not is_shard, tell=tell, run_name=secrets.token_hex(8))
        if cluster is not None:
            _spread(cluster, context, runner, mine)
        elif any(not store.is_done(cell) for cell in mine) and (  # else processes would be started for nothing
            (n := workers or suited_workers(context.plan, store, mine, context.data_bytes())) > 1
        ):
            _share(n, context, runner, mine)
        known = runner.run(mine)  # alone, or what is left when workers died
    otherwise = "shard" if is_shard else "damaged"
    missing = {cell.name: known.get(cell.name, otherwise) for cell in cells if not store.is_done(cell)}
    n_failed = sum(why == "failed" for why in missing.values())
    report = None if is_shard and missing else _write_outputs(context, cells, n_failed, command)
    return Summary(len(cells), len(cells) - len(missing), n_failed, report, missing)


def on_usable_device(plan: Plan) -> Plan:
    """The plan with the device of this machine that "auto" stands for.

    Raises:
        ValueError: the device cannot be used.
    """
    if "device" not in {each.name for each in fields(plan)}:  # type: ignore[arg-type]
        return plan
    return replace(plan, device=usable_device(plan.device))  # type: ignore[type-var]


def suited_workers(plan: Plan, store: Store, cells: Sequence[Cell], data_bytes: int = 0) -> int:
    """Processes that share the work best: one a core or a GPU, as far as there is work side by side, and memory."""
    left = Counter(cell.kind for cell in cells if not store.is_done(cell))
    return suit(max(left.values(), default=1), plan.device, data_bytes) if plan.side_by_side else 1


def make_runner(context: Context, *, waits: bool, tell: Tell, run_name: str) -> Runner[Cell]:
    """What does the cells of a context's plan by their steps."""
    return Runner[Cell](
        context.store, lambda cell, where: STEPS[cell.kind].run(context, cell, where),
        lambda cell: STEPS[cell.kind].source(context, cell), waits=waits, tell=tell, run_name=run_name,
    )  # fmt: skip


def _share(n: int, context: Context, runner: Runner[Cell], cells: Sequence[Cell]) -> None:
    """Have other processes do the cells, all that they can."""
    import torch

    by_name, deaths = {cell.name: cell for cell in cells}, Counter[str]()

    def give_up(name: str) -> None:
        if not context.store.is_done(by_name[name]):
            runner.give_up(by_name[name], RuntimeError(f"{deaths[name]} of {n} workers died while they ran it"))

    def count(name: str) -> None:
        deaths[name] += 1
        if deaths[name] == _DEATHS:
            give_up(name)

    threads = max(1, torch.get_num_threads() // n)
    warn_of_memory(n, context.data_bytes(), runner.tell)
    arguments = context.plan, context.store.folder, tuple(by_name), runner.waits, runner.run_name
    share(
        n, work_beside, arguments, threads=threads, devices=visible_devices(context.plan.device), tell=runner.tell,
        died=count,
    )  # fmt: skip
    for name in deaths:  # no worker is left for it, and this process is not risked
        give_up(name)


def _check_cluster(cluster: Cluster, workers: int, plan: Plan) -> None:
    if workers > 1:
        raise ValueError("workers: Ray runs as many cells at a time as its CPUs allow; leave workers out")
    cluster.check(plan.device)


def _spread(cluster: Cluster, context: Context, runner: Runner[Cell], cells: Sequence[Cell]) -> None:
    """Have the nodes of a cluster do the cells, all that they can."""
    by_name, folder = {cell.name: cell for cell in cells}, context.store.folder.resolve()

    def died(name: str, error: Exception) -> None:
        if not context.store.is_done(by_name[name]):
            runner.give_up(by_name[name], error)

    spread(
        cluster, work_beside, lambda name: (context.plan, folder, [name], runner.waits, runner.run_name), cells,
        device=context.plan.device, tell=runner.tell, died=died,
    )  # fmt: skip


def work_beside(plan: Plan, folder: Path, names: Sequence[str], waits: bool, run_name: str, tell: Tell) -> None:
    """What one of several workers does: the cells of these names that no other one does."""
    context = _context_beside(plan, folder)
    chosen = set(names)
    runner = make_runner(context, waits=waits, tell=tell, run_name=run_name)
    runner.run([cell for cell in cells_of(plan) if cell.name in chosen])


@lru_cache(maxsize=1)  # a process of a cluster is asked for one cell after the other, and holds the data meanwhile
def _context_beside(plan: Plan, folder: Path) -> Context:
    return Context(plan, Store(folder, plan), progress=False)


def _check(context: Context, cells: Sequence[Cell]) -> None:
    context.load_data()
    for kind, own in _by_kind(cells).items():
        STEPS[kind].check(context, own)


def _by_kind(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.kind, []).append(cell)
    return found


def _write_outputs(context: Context, cells: Sequence[Cell], n_failed: int, command: str) -> Path:
    from msda_analysis.report import write_report  # matplotlib, needed only here

    store = context.store
    held = store.hold("outputs", wait=True)  # the processes that shared the cells end at the same time
    with held, vouched(store.folder, whole=True):
        store.clean()
        store.collect(cells)
        done = [cell for cell in cells if store.is_done(cell)]
        for kind, own in _by_kind(done).items():
            STEPS[kind].collect(context, own)
        counts = {"total": len(cells), "done": len(done), "failed": n_failed}
        store.write_manifest(_manifest(context, cells, counts, command))
        return write_report(store.folder)


def _manifest(context: Context, cells: Sequence[Cell], counts: dict[str, int], command: str) -> dict[str, Any]:
    plan, table = context.plan, read_table(context.store.folder / "results.csv")
    trained = math.fsum(table["value"][table["metric"] == "epoch_seconds"])
    return {
        "study": plan.name, "title": plan.title, "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": context.describe_data() or _describe_data(plan),
        "settings": plan.identity(), "asked": context.store.asked, **_describe_reference(plan, cells),
        "cells": counts,
        "environment": describe_environment(plan.device, plan.packages) | _describe_threads(context, cells),
        "cells_s": context.store.seconds(cells),
        **({"training_s": trained} if trained else {}),
    }  # fmt: skip


def _describe_reference(plan: Any, cells: Sequence[Cell]) -> dict[str, str]:
    """What all else is compared with, of plans that compare."""
    if not hasattr(plan, "reference"):
        return {}
    measured = [cell.augmentation for cell in cells if cell.kind.startswith("measure_") and cell.augmentation]
    return {"reference": choose_reference(plan.reference, getattr(plan, "augmentations", measured))}


def _describe_threads(context: Context, cells: Sequence[Cell]) -> dict[str, str]:
    threads = context.store.threads(cells)
    return {"threads": " and ".join(map(str, threads))} if threads else {}


def _describe_data(plan: Plan) -> dict[str, Any]:
    parts = [step.describe(plan) for step in STEPS.values() if isinstance(plan, step.serves)]
    return {name: value for part in parts for name, value in part.items()}
