"""Several processes that one command starts: the same table, nothing left behind, deaths named."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from msda_analysis import ClassifierFit
from msda_analysis.results import read_rows
from msda_analysis.studies import DataSpec, Store, StudyPlan, cells_of, run, run_study
from msda_analysis.studies import workers as module
from msda_analysis.studies.context import Context
from msda_analysis.studies.plans import MasksPlan

ROOT = Path(run.__file__).parents[2]
PLAN = StudyPlan(
    "shared", "Shared", DataSpec("digits", train_size=20, test_size=10), ("baseline", "fmix"), n_seeds=1, vae=None,
    classifier=ClassifierFit(epochs=1, batch_size=10), attack=None, n_masks=5,
)  # fmt: skip

#: A family in a file of the user's: its masks kill the process so many times, or take long.
FAMILIES = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
import torch
from msda_analysis import MaskFamily

PLACE = Path(os.environ["PLACE"])

@dataclass(frozen=True)
class Deadly(MaskFamily):
    times: int = 1
    def sample(self, lam, size, *, key, device):
        if len(list(PLACE.glob(f"died-{self.times}-*"))) < self.times:
            (PLACE / f"died-{self.times}-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.ones(len(lam), 1, *size)

@dataclass(frozen=True)
class Slow(MaskFamily):
    part: int = 0
    def sample(self, lam, size, *, key, device):
        (PLACE / f"slow-{os.getpid()}").touch()
        time.sleep(60)
"""


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Current folder, which holds the families."""
    (tmp_path / "families_that_end.py").write_text(FAMILIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.delitem(sys.modules, "families_that_end", raising=False)
    return tmp_path


def table(folder: Path) -> bytes:
    """results.csv and settings.json without times, which are the only thing that may differ."""
    rows = (folder / "results.csv").read_text().splitlines(keepends=True)
    assert any(",epoch_seconds," in row for row in rows)
    timeless = [re.sub(r"(,epoch_seconds,.*?,,,)[^,]+,s,", r"\1,s,", row) for row in rows]
    return "".join(timeless).encode() + (folder / "settings.json").read_bytes()


def test_workers_and_the_order_of_cells_change_no_byte(tmp_path, capsys):
    run_study(PLAN, tmp_path / "one", progress=False)
    assert run_study(PLAN, tmp_path / "two", workers=2).n_failed == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "finished in" in line]
    names = [cell.name for cell in cells_of(PLAN)]
    assert sorted(line.split()[0] for line in lines) == sorted(names), "each cell once, one line each"
    assert [line.rsplit("(")[-1] for line in lines] == [f"{i + 1} of {len(names)})" for i in range(len(names))]
    store = Store(tmp_path / "back", PLAN)
    store.claim()
    context = Context(PLAN, store, progress=False)
    run.make_runner(context, waits=True, tell=lambda *_: None, run_name="").run(cells_of(PLAN)[::-1])
    run_study(PLAN, tmp_path / "back", progress=False)
    assert table(tmp_path / "one") == table(tmp_path / "two") == table(tmp_path / "back")


def test_the_number_of_threads_is_noted_and_said(tmp_path, ran):
    """Beside the numbers, not among the settings by which a cell is known; a note that is damaged is none."""
    before = torch.get_num_threads()
    try:
        run_study(PLAN, tmp_path, progress=False)
        torch.set_num_threads(before + 1)
        run_study(replace(PLAN, n_seeds=2), tmp_path, progress=False)
    finally:
        torch.set_num_threads(before)
    assert len(ran) == len(set(ran)) == len(cells_of(replace(PLAN, n_seeds=2)))
    noted = json.loads((tmp_path / "manifest.json").read_text())["environment"]["threads"]
    assert noted == f"{before} and {before + 1}"
    for cell in cells_of(PLAN):
        (tmp_path / "cells" / cell.name / "timing.json").write_text('{"seconds": 1, "threads": "many"}')
    assert Store(tmp_path, replace(PLAN, n_seeds=2)).threads(cells_of(replace(PLAN, n_seeds=2))) == [before + 1]


def test_a_worker_that_dies_is_named_and_another_does_its_cell(place, capsys):
    """And a cell at which all die is a failed one: the process that was asked lives."""
    deadly = (f"families_that_end:Deadly(times={n})" for n in (1, 9))
    plan = MasksPlan((*deadly, "mixup"), (4, 4), 5, device="cpu")
    summary = run_study(plan, place / "out", workers=3, progress=False)
    once, always, _ = (cell.name for cell in cells_of(plan))
    assert summary.missing == {always: "failed"} and summary.n_failed == 1 and summary.report is not None
    err = capsys.readouterr().err
    assert len(re.findall(r"worker \d ended early \(killed by SIGKILL\) while it ran mask_samples-", err)) >= 2
    assert f"while it ran {once}, which is left to the others" in err
    (failed,) = [row for row in read_rows(place / "out" / "results.csv") if row["status"] == "failed"]
    assert failed["cell"] == always and re.search(r"\d of 3 workers died while they ran it", failed["note"])


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_ends_the_command_ends_its_workers(place, number, code):
    words = [
        "masks",
        "--families",
        "families_that_end:Slow(part=0)",
        "families_that_end:Slow(part=1)",
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "msda_analysis.cli", *words, "--out", "out", "--device", "cpu"],
        env={"PYTHONPATH": str(ROOT), "PLACE": str(place)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(running := list(place.glob("slow-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and len(running) == 2
    assert len(err.strip().splitlines()) == 1 and "run the same command again to go on" in err
    for path in running:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.removeprefix("slow-")), 0)


def test_what_failed_in_one_worker_is_not_tried_in_another(tmp_path, ran):
    store, cell = Store(tmp_path, PLAN), cells_of(PLAN)[1]
    context = Context(PLAN, store, progress=False)
    events: list[tuple[str, ...]] = []
    one, other, later = (
        run.make_runner(context, waits=True, tell=lambda *event: events.append(event), run_name=name)
        for name in ("a", "a", "b")
    )
    one.give_up(cell, RuntimeError("no"))
    other.run([cell])
    assert ran == [] and other.missing == {cell.name: "failed"} and events[0] == ("failed", cell.name, "no")
    later.run([cell])
    assert ran == [cell.name] and later.missing == {}


def test_data_that_does_not_fit_is_said_before(monkeypatch):
    said: list[tuple] = []
    monkeypatch.setattr(module, "free_memory", lambda: 3 << 30)
    module.warn_of_memory(2, 1 << 30, lambda *event: said.append(event))
    assert said == []
    module.warn_of_memory(4, 1 << 30, lambda *event: said.append(event))
    ((_, _, line),) = said
    assert "4 processes hold a copy of the data each, 4.0 GiB together, and 3.0 GiB of memory are free" in line


def test_free_memory_is_known_here():
    free = module.free_memory()
    assert free is None or 0 < free < 1 << 50


@pytest.mark.parametrize(
    "device, visible, expected",
    [("cpu", "0,1", []), ("cuda", "3, GPU-ab", ["3", "GPU-ab"]), ("cuda", "", ["0", "1"]), ("cuda:1", "0,1", [])],
)
def test_gpus_are_dealt_out_only_where_none_is_named(monkeypatch, device, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert module.visible_devices(device) == expected


def test_fewer_than_no_workers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="workers"):
        run_study(replace(PLAN), tmp_path / "out", workers=-1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "n, device, free, expected",
    [
        (12, "cpu", None, 8), (3, "cpu", None, 3), (0, "cpu", None, 1), (12, "cuda", None, 2), (12, "cuda:1", None, 1),
        (12, "cpu", 9 << 30, 3), (12, "cpu", 1 << 20, 1),
    ],
)  # fmt: skip
def test_as_many_workers_as_there_are_cores_work_and_memory(monkeypatch, n, device, free, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    monkeypatch.setattr(module, "free_memory", lambda: free)
    assert module.suit(n, device, data_bytes=2 << 30) == expected


def test_workers_are_started_for_what_is_left_of_long_work_only(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "suit", lambda n, *_: n)
    asked: list[int] = []
    monkeypatch.setattr(run, "_share", lambda n, *_: asked.append(n))
    plan = replace(PLAN, n_seeds=1, augmentations=("baseline", "mixup", "fmix"))
    run_study(plan, tmp_path / "out", workers=0, progress=False)
    for n in (0, 2):  # nothing is left
        run_study(plan, tmp_path / "out", workers=n, progress=False)
    run_study(MasksPlan(("mixup", "fmix"), (4, 4), 5, device="cpu"), tmp_path / "masks", workers=0, progress=False)
    assert asked == [3]
