"""Several processes on one folder: every cell once, nothing lost, and a word about what is missing."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from replaced import replace_work

from msda_analysis import ClassifierFit
from msda_analysis.results import COLUMNS, read_table
from msda_analysis.studies import DataSpec, Store, StudyPlan, cells_of, run_study
from msda_analysis.studies.runner import describe_missing

PLAN = StudyPlan(
    "shared", "Shared", DataSpec("digits", train_size=20, test_size=10), ("baseline", "mixup"), n_seeds=2,
    vae=None, classifier=ClassifierFit(epochs=1, batch_size=10), attack=None, n_masks=5,
)  # fmt: skip
NAMES = [cell.name for cell in cells_of(PLAN)]

#: A whole runner in a process of its own: toy cells, without data and report, started when the file `go` is there.
RUNNER = """
import sys, time
from pathlib import Path
from dataclasses import replace
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.results import to_rows
from msda_analysis.studies import run
from msda_analysis.studies.steps import STEPS
from test_sharing import PLAN

folder, log = Path(sys.argv[1]), Path(sys.argv[2])

def work(context, cell, where):
    with log.open("a") as file:
        file.write(cell.name + "\\n")
    (where / "model.safetensors").write_text(cell.name)
    time.sleep(0.1)
    assert (where / "model.safetensors").read_text() == cell.name
    return to_rows(context.source(cell, "toy"), [Measured("length", Estimate(float(len(cell.name)), "letters"))])

for kind, step in STEPS.items():
    STEPS[kind] = replace(step, run=work)
run.Context.load_data = lambda self: None
run._write_outputs = lambda context, cells, *_: context.store.collect(cells)
log.touch()
while not log.with_name("go").exists():
    time.sleep(0.01)
summary = run.run_study(PLAN, folder, progress=False)
print(summary.n_done, summary.n_failed)
"""

#: Keeps a lock until a line arrives, as a runner that is busy with that cell.
HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held_elsewhere(folder: Path, name: str) -> Iterator[Callable[[], None]]:
    """Another process holds a cell's lock; call to let it go."""
    path = folder / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        try:
            yield process.kill
        finally:
            process.kill()


def when_alone(ran: list[str], act: Callable[[], None]) -> threading.Thread:
    """Do something once all cells but one have run here."""

    def wait() -> None:
        while len(ran) < len(NAMES) - 1:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_two_runners_share_the_cells_and_do_none_twice(tmp_path):
    here = Path(__file__).parent
    environment = {"PYTHONPATH": f"{here.parents[1]}:{here}", "OMP_NUM_THREADS": "1"}
    logs = [tmp_path / f"log{i}" for i in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(tmp_path / "out"), str(log)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for log in logs
    ]  # fmt: skip
    while not all(log.exists() or p.poll() is not None for log, p in zip(logs, processes, strict=True)):
        time.sleep(0.02)
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert [out for out, _ in said] == [f"{len(NAMES)} 0\n"] * 2
    ran = [log.read_text().split() for log in logs]
    assert sorted(ran[0] + ran[1]) == sorted(NAMES), "each cell once"
    assert ran[0] and ran[1], "both worked"
    assert sorted(read_table(tmp_path / "out" / "results.csv")["cell"]) == sorted(NAMES)


def test_the_second_to_claim_a_folder_is_refused(tmp_path):
    one, other = Store(tmp_path / "out", PLAN), Store(tmp_path / "out", replace(PLAN, per_batch=True))
    one.claim()
    with pytest.raises(
        ValueError, match=r"already holds another study, which differs in per_batch \(False, now True\)"
    ):
        other.claim()
    assert json.loads((tmp_path / "out" / "study.json").read_text())["plan"]["per_batch"] is False


def test_a_cell_that_runs_elsewhere_is_passed_over_and_come_back_to(tmp_path, ran, capsys):
    """Also when its runner is killed: the lock dies with it."""
    with held_elsewhere(tmp_path, NAMES[1]) as let_go:
        waiting = when_alone(ran, lambda: time.sleep(0.3) or let_go())
        summary = run_study(PLAN, tmp_path)
        waiting.join()
    assert ran == [*NAMES[:1], *NAMES[2:], NAMES[1]] and summary.n_done == len(NAMES) and not summary.missing
    assert f"waiting for 1 cells that run in another process: {NAMES[1]}" in capsys.readouterr().err


def test_a_cell_finished_elsewhere_is_not_done_again(tmp_path, ran, monkeypatch):
    """Asked again once the lock is there: the other runner may have finished it since."""
    run_study(PLAN, tmp_path, progress=False)
    ran.clear()
    store_is_done, asked = Store.is_done, []

    def not_at_first(self, cell):
        asked.append(cell.name)
        return asked.count(cell.name) > 1 and store_is_done(self, cell)

    monkeypatch.setattr(Store, "is_done", not_at_first)
    run_study(PLAN, tmp_path, progress=False)
    assert ran == []


def test_a_cell_that_failed_elsewhere_is_not_tried_again_and_is_missing(tmp_path, ran):
    store, cell = Store(tmp_path, PLAN), cells_of(PLAN)[1]
    with held_elsewhere(tmp_path, cell.name) as let_go:

        def fail() -> None:
            store.fail(cell, dict.fromkeys(COLUMNS, "") | {"cell": cell.name, "status": "failed"}, "")
            let_go()

        waiting = when_alone(ran, fail)
        summary = run_study(PLAN, tmp_path, progress=False)
        waiting.join()
    assert cell.name not in ran and summary.n_failed == 1 and summary.missing == {cell.name: "failed"}
    assert run_study(PLAN, tmp_path, progress=False).n_done == len(NAMES), "the next run tries it"


def test_a_shard_says_what_is_missing_and_why(tmp_path, ran, monkeypatch):
    cells = cells_of(PLAN)
    mine = [cell for cell in cells[::2] if all(need in cells[::2] for need in cell.needs)]

    def fail(*_):
        raise RuntimeError("no")

    with held_elsewhere(tmp_path, mine[0].name):
        replace_work(monkeypatch, {mine[1].kind: fail})
        summary = run_study(PLAN, tmp_path, shard=(1, 2), progress=False)
    reasons = dict(summary.missing)
    assert reasons[mine[0].name] == "elsewhere" and reasons[mine[1].name] == "failed"
    assert {name for name, why in reasons.items() if why == "shard"} == {cell.name for cell in cells[1::2]}
    assert len(reasons) == summary.n_cells - summary.n_done and summary.report is None


def test_missing_cells_in_words():
    lines = describe_missing({"a": "shard", "b": "failed", "c": "shard", "d": "shard", "e": "shard", "f": "shard"})
    assert lines == ["1 failed: b", "5 are of other shards: a, c, d and 2 more"]
