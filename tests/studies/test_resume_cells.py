"""A cell that trains goes on where it was stopped, and leaves nothing behind when it is done."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_sharing import PLAN

from msda_analysis import ClassifierFit, VaeFit
from msda_analysis.cli import run_door
from msda_analysis.commands import Door
from msda_analysis.models.checkpoint import read_metadata
from msda_analysis.results import read_table
from msda_analysis.studies import Store, cells_of, run, run_study
from msda_analysis.studies.context import MODEL_FILE
from msda_analysis.studies.store import RESUME
from msda_analysis.training import classifier, vae

PARTS = {
    "train_classifier": (replace(PLAN, classifier=ClassifierFit(epochs=5, batch_size=10)), classifier, "cross_entropy"),
    "train_vae": (replace(PLAN, classifier=None, vae=VaeFit(epochs=5, batch_size=10, latent=2)), vae, "negative_elbo"),
}


@pytest.fixture(params=PARTS)
def trained(request, monkeypatch):
    """A plan of one training, its cell, and a list of the steps so far; a number put into `die_at` kills one."""
    plan, module, name = PARTS[request.param]
    plan = replace(plan, augmentations=("mixup",), n_seeds=1, n_masks=0)
    (cell,) = [cell for cell in cells_of(plan) if cell.kind == request.param]
    loss, steps, acts = getattr(module, name), [], {}

    def watched(*arguments, **more):
        acts.pop(len(steps), lambda: None)()
        steps.append(len(steps))
        return loss(*arguments, **more)

    monkeypatch.setattr(module, name, watched)
    monkeypatch.setattr(
        "msda_analysis.studies.run._write_outputs", lambda context, cells, *_: context.store.collect(cells)
    )
    return plan, cell, steps, acts


def kill() -> None:
    raise KeyboardInterrupt


def model_of(store, cell) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(store.cell_folder(cell) / MODEL_FILE)


def only(cell, monkeypatch) -> None:
    """A study of this cell alone."""
    monkeypatch.setattr("msda_analysis.studies.run.cells_of", lambda plan: [cell])


def test_a_cell_killed_at_90_percent_repeats_one_epoch_at_most(trained, tmp_path, monkeypatch):
    plan, cell, steps, acts = trained
    only(cell, monkeypatch)
    run_study(plan, tmp_path / "quiet", progress=False)
    assert len(steps) == 10
    acts[10 + 9] = kill
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, tmp_path / "out", progress=False)
    store = Store(tmp_path / "out", plan)
    assert len(list((store.cell_folder(cell) / RESUME).iterdir())) == 2 and not store.is_done(cell)
    assert run_study(plan, tmp_path / "out", progress=False).n_done == 1
    assert len(steps) == 10 + 9 + 2
    expected, found = model_of(Store(tmp_path / "quiet", plan), cell), model_of(store, cell)
    assert expected.keys() == found.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    tables = [read_table(tmp_path / each / "results.csv") for each in ("quiet", "out")]
    kept = [table[table["metric"] != "epoch_seconds"].drop(columns="commit") for table in tables]
    assert kept[0].equals(kept[1]) and len(kept[0]) >= 5
    assert not (store.cell_folder(cell) / RESUME).exists()
    known = read_metadata(store.cell_folder(cell) / MODEL_FILE)
    assert known is not None and (known["cell"], known["threads"]) == (cell.name, torch.get_num_threads())


def test_sigusr1_ends_a_study_with_99_and_it_goes_on(trained, tmp_path, monkeypatch, capsys):
    plan, cell, steps, acts = trained
    only(cell, monkeypatch)
    acts[4] = lambda: os.kill(os.getpid(), signal.SIGUSR1)
    door, words = Door(lambda: plan, "out"), ["--out", str(tmp_path)]
    assert run_door(door, words, prog="", description="") == 99
    assert len(steps) == 5, "the step is done and kept"
    assert "stopped by SIGUSR1; run the same command again to go on where it stopped" in capsys.readouterr().err
    assert not list(tmp_path.glob("cells/*/failure.json")), "stopped, not failed"
    assert run_door(door, words, prog="", description="") == 0 and len(steps) == 10
    assert "goes on after 2 of 5 epochs and 1 of 2 steps" in capsys.readouterr().err


def test_what_a_cell_goes_on_from_is_there_until_it_is_done(tmp_path):
    store, cell = Store(tmp_path, PLAN), cells_of(PLAN)[0]
    folder = store.start(cell)
    (folder / RESUME).mkdir()
    (folder / RESUME / "state").touch()
    (folder / "half").touch()
    assert [path.name for path in store.start(cell).iterdir()] == [RESUME]
    store.fail(cell, {}, "")
    assert (folder / RESUME / "state").exists()
    store.finish(cell, [], 1.0)
    assert store.is_done(cell) and not (folder / RESUME).exists()
    (folder / RESUME).mkdir()  # killed between the two
    assert store.is_done(cell)
    store.collect([cell])
    assert not (folder / RESUME).exists()


@pytest.mark.parametrize("code, job, said", [
    (99, {"SLURM_JOB_ID": "7"}, "study --seeds 2 --shard 1/1 --threads 0 --device auto\nrequeue 7\n"),
    (99, {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"},
     "study --seeds 2 --shard 3/4 --threads 0 --device auto\nrequeue 7_3\n"),
    (0, {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "8"}, "study --seeds 2 --shard 1/1 --threads 8 --device auto\n"),
], ids=["alone", "of an array", "done"])  # fmt: skip
def test_the_slurm_script_requeues_what_saved_itself(tmp_path, code, job, said):
    for name, text in {"srun": f'shift; echo "$@"; exit {code}', "scontrol": 'echo "$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    script = Path(run.__file__).parents[2] / "experiments" / "slurm.sh"
    end = subprocess.run(
        ["bash", script, "--seeds", "2"],
        env={**job, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (end.returncode, end.stdout) == (code, said)
