"""What a folder is asked for: done, running, failed, damaged, missing, the time that is left; a run that only lists."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from replaced import replace_work
from test_sharing import NAMES, PLAN, held_elsewhere

from msda_analysis.cli import main, run_door
from msda_analysis.commands import Door
from msda_analysis.studies import Store, cells_of, run_study
from msda_analysis.studies.seal import read_seal, seal
from msda_analysis.studies.status import format_time, read_plan, survey_folder

TRAINED = [name for name in NAMES if name.startswith("train_classifier")]


def take(folder: Path, name: str, seconds: float) -> None:
    """Let a finished cell have taken this long."""
    cell = folder / "cells" / name
    (cell / "timing.json").write_text(json.dumps({"seconds": seconds}))
    seal(cell, read_seal(cell)["rows"])


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_state_is_told_and_nothing_is_written(tmp_path, ran, capsys, monkeypatch):
    def fail(*_):
        raise RuntimeError("the loss is nan")

    with monkeypatch.context() as patch:
        replace_work(patch, {"pictures": fail})
        run_study(PLAN, tmp_path, progress=False)
    running, damaged, missing, *kept = TRAINED
    (tmp_path / "cells" / running / "done.json").unlink()
    (tmp_path / "cells" / damaged / "rows.csv").write_text("")
    for path in (tmp_path / "cells" / missing).iterdir():
        path.unlink()
    for name in kept:
        take(tmp_path, name, 100)
    capsys.readouterr()
    before = listing(tmp_path)
    with held_elsewhere(tmp_path, running):
        assert main(["status", str(tmp_path)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["done", "running", "failed", "damaged", "missing"]
    assert [line.split()[1:] for line in out if line.startswith("train_classifier")] == [["1", "1", "0", "1", "1"]]
    assert [line.split()[1:] for line in out if line.startswith("all")] == [[str(len(NAMES) - 4), "1", "1", "1", "1"]]
    assert f"running: {running}" in out
    assert f"failed: {NAMES[0]} (RuntimeError: the loss is nan)" in out
    assert any(line.startswith(f"damaged: {damaged} (") and "rows.csv has 0 bytes" in line for line in out)
    assert out[-2] == "time left: about 5.0 min, at the mean of finished cells of each kind"
    assert out[-1] == "time not known, as none is finished here: pictures"
    assert listing(tmp_path) == before


def test_a_finished_folder_is_all_done(tmp_path, ran, capsys):
    run_study(PLAN, tmp_path, progress=False)
    capsys.readouterr()
    assert main(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["all", str(len(NAMES)), "0", "0", "0", "0"]
    assert read_plan(tmp_path) == PLAN


def test_a_cell_whose_runner_was_killed_is_not_running(tmp_path, ran):
    store = Store(tmp_path, PLAN)
    store.claim()
    cell = cells_of(PLAN)[0]
    store.start(cell)
    with held_elsewhere(tmp_path, cell.name):
        assert survey_folder(tmp_path).states[cell.name] == ("running", "")
    assert survey_folder(tmp_path).states[cell.name] == ("missing", "")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"kind": "Other"}'])
def test_what_is_no_study_exits_with_2(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    assert main(["status", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_a_dry_run_lists_and_writes_nothing(tmp_path, ran, capsys):
    door = Door(lambda: PLAN, "out")
    words = ["--out", str(tmp_path / "out"), "--dry-run"]
    assert run_door(door, words, prog="", description="") == 0
    out = capsys.readouterr().out
    assert f"{len(NAMES)} of {len(NAMES)} cells would run; nothing was written" in out
    assert f"  4 train_classifier: {', '.join(TRAINED[:3])} and 1 more" in out and "time not known" in out
    assert ran == [] and not list(tmp_path.iterdir())


def test_a_dry_run_knows_what_is_done_and_what_it_took(tmp_path, ran, capsys):
    run_study(PLAN, tmp_path, progress=False)
    for name in NAMES:
        take(tmp_path, name, 30 if name in TRAINED else 10)
    ran.clear()
    before = listing(tmp_path)
    more = Door(lambda: replace(PLAN, n_seeds=4), "out")
    assert run_door(more, ["--out", str(tmp_path), "--dry-run", "--workers", "2"], prog="", description="") == 0
    out = capsys.readouterr().out
    # two more seeds: 4 trainings and 4 measurements
    assert f"8 of {len(NAMES) + 8} cells would run" in out
    assert "time left: about 2.7 min, 80 s for the 2 workers" in out and "not known" not in out
    assert ran == [] and listing(tmp_path) == before


def test_a_dry_run_refuses_another_study(tmp_path, ran, capsys):
    run_study(PLAN, tmp_path, progress=False)
    other = Door(lambda: replace(PLAN, per_batch=True), "out")
    assert run_door(other, ["--out", str(tmp_path), "--dry-run"], prog="", description="") == 2
    assert "already holds another study" in capsys.readouterr().err


@pytest.mark.parametrize("seconds, words", [(0.4, "0 s"), (119, "119 s"), (180, "3.0 min"), (9000, "2.5 h")])
def test_times_in_words(seconds, words):
    assert format_time(seconds) == words
