"""Run a study: every cell that is not done yet, then the table and the report."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm

from msda_analysis.checks import check_in_range
from msda_analysis.environment import describe_environment
from msda_analysis.files import replace_file
from msda_analysis.results import read_table
from msda_analysis.studies import cells as work
from msda_analysis.studies import robustness_cells
from msda_analysis.studies.plan import Cell, StudyPlan
from msda_analysis.studies.runner import Runner
from msda_analysis.studies.store import Store, find_damaged_cells
from msda_analysis.studies.workshop import Rows, Workshop, save_arrays

RUNNERS: dict[str, Callable[[Workshop, Cell, Path], Rows]] = {
    "pictures": work.draw_pictures,
    "masks": work.describe_masks,
    "train_vae": work.train_vae,
    "measure_vae": work.measure_vae,
    "train_classifier": work.train_classifier,
    "import_classifier": work.import_classifier,
    "measure_classifier": robustness_cells.measure_classifier,
    "measure_likeness": robustness_cells.measure_likeness,
    "measure_layers": work.measure_layers,
    "compare_classifiers": robustness_cells.compare_classifiers,
}


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
    plan: StudyPlan, folder: Path, *, shard: tuple[int, int] = (1, 1), progress: bool = True, command: str = ""
) -> Summary:
    """Run all cells that are not done, then write results.csv, manifest.json, figures, tables and report.html.

    Killing it at any moment loses at most the cell that was running; the same call goes on where it stopped. A cell
    that raises is noted and the others go on; the next run tries it again. Processes that run the same study in one
    folder share its cells, and each waits for the last ones of the others.

    Args:
        folder: new, empty, or holding this same study.
        shard: (i, n) trains only every n-th cell starting with the i-th, for n machines on one shared folder. Cells
            whose needs are missing wait; one last run without a shard finishes them.
        command: the command line, for the manifest.

    Raises:
        ValueError: the folder holds another study, or the dataset cannot be loaded; then nothing is written.
        OSError: the folder cannot be written, for example when the disk is full; finished cells stay.
    """
    check_in_range("shard", shard[0], 1, shard[1])
    store = Store(folder, plan)
    cells = plan.cells()
    workshop = Workshop(plan, store, progress)
    workshop.load_data()  # what is wrong with the data shows before the folder is taken
    store.claim()
    for line in find_damaged_cells(folder, [cell.name for cell in cells]):
        tqdm.write(line, file=sys.stderr)
    is_shard = shard[1] > 1
    runner = Runner[Cell](
        store, lambda cell, where: RUNNERS[cell.kind](workshop, cell, where), lambda cell: workshop.source(cell, ""),
        waits=not is_shard, progress=progress,
    )  # fmt: skip
    known = runner.run(cells[shard[0] - 1 :: shard[1]])
    otherwise = "shard" if is_shard else "damaged"
    missing = {cell.name: known.get(cell.name, otherwise) for cell in cells if not store.is_done(cell)}
    n_done, n_failed = len(cells) - len(missing), sum(why == "failed" for why in missing.values())
    report = None if is_shard and missing else _write_outputs(workshop, cells, n_done, n_failed, command)
    return Summary(len(cells), n_done, n_failed, report, missing)


def _write_outputs(workshop, cells, n_done: int, n_failed: int, command: str) -> Path:
    from msda_analysis.report import write_report  # matplotlib, needed only here

    store = workshop.store
    with store.hold("outputs", wait=True):  # the processes that shared the cells end at the same time
        table = read_table(store.collect(cells))
        store.write_manifest(_manifest(workshop, table, cells, n_done, n_failed, command))
        _collect_pictures(store, cells)
        robustness_cells.collect_outcomes(store, cells)
        return write_report(store.folder)


def _manifest(workshop, table, cells, n_done: int, n_failed: int, command: str) -> dict:
    plan = workshop.plan
    train, test = workshop.train, workshop.test
    trained = table[table["metric"] == "epoch_seconds"]["value"].sum()
    return {
        "study": plan.name,
        "title": plan.title,
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": {
            "name": train.name, "classes": list(train.classes), "n_train": len(train), "n_test": len(test),
            "image_shape": list(train.images.shape[1:]), "mean": list(train.mean), "std": list(train.std),
        },
        "settings": plan.identity(),
        "cells": {"total": len(cells), "done": n_done, "failed": n_failed},
        "environment": describe_environment(plan.device),
        "cells_s": workshop.store.seconds(cells),
        "training_s": float(trained),
    }  # fmt: skip


def _collect_pictures(store: Store, cells: Sequence[Cell]) -> None:
    """Copy the cells' picture arrays to pictures/, reconstructions of the first seed side by side."""
    target = store.folder / "pictures"
    target.mkdir(exist_ok=True)
    rebuilt: dict[str, np.ndarray] = {}
    first_seed = min(cell.seed for cell in cells)
    for cell in cells:
        folder = store.cell_folder(cell)
        if cell.kind == "pictures" and store.is_done(cell):
            for name in ("masks.npz", "mixed.npz"):
                with replace_file(target / name, binary=True) as file:
                    file.write((folder / name).read_bytes())
        if cell.kind == "measure_vae" and cell.seed == first_seed and store.is_done(cell):
            with np.load(folder / "reconstructions.npz", allow_pickle=False) as arrays:
                rebuilt |= {name: arrays[name] for name in arrays.files}
    if rebuilt:
        save_arrays(target / "reconstructions.npz", rebuilt)
