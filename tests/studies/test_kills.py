"""A small real study killed at random moments of every phase: see kills.py, which also runs as a script."""

import random

import pytest
from kills import EPOCHS, PHASES, Round, Tally, differences, kill_often

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.files import replace_file
from msda_analysis.results import Source, to_rows, write_table


@pytest.mark.slow
def test_kills_in_every_phase_lose_nothing_and_leave_nothing(tmp_path):
    tally = kill_often(tmp_path, n=10, seed=0)
    assert tally.aimed == dict.fromkeys(PHASES, 2) and tally.faults == []
    assert all(tally.met[phase] for phase in PHASES)


@pytest.fixture
def killed(tmp_path) -> Round:
    return Round(tmp_path / "out", {}, random.Random(0), 2, Tally())


def test_what_is_done_again_would_be_seen(killed):
    paths = [killed.out / name for name in ("cells/masks-0/done.json", "kept/attacks-0/pgd-0.npz")]
    for path in paths:
        with replace_file(path) as file:
            file.write("{}")
    assert [*killed._look()] == [*killed._look()] == []
    for path, name in zip(paths, ("masks-0", "attacks-0/pgd-0.npz"), strict=True):
        with replace_file(path) as file:
            file.write("{}")  # the same bytes
        assert [*killed._look()] == [f"out: {name} was done again after it was done"]


@pytest.mark.parametrize("changed, n_faults", [(EPOCHS - 1, 0), (1, 1)])
def test_an_epoch_that_is_repeated_would_be_seen(killed, changed, n_faults):
    killed.epochs["train_vae-0"] = [1.0, 2.0]
    seconds = [1.0, 2.0, 3.0, 4.0]
    seconds[changed] += 0.125
    rows = [Measured("epoch_seconds", Estimate(value, "s"), x=i + 1) for i, value in enumerate(seconds)]
    write_table(to_rows(Source("toy", "train_vae-0"), rows), killed.out / "cells" / "train_vae-0" / "rows.csv")
    assert len([*killed.look_at_trainings()]) == n_faults


def test_what_is_left_behind_or_differs_would_be_seen(tmp_path):
    for folder, content in (("a", "1"), ("b", "2")):
        with replace_file(tmp_path / folder / "t.csv") as file:
            file.write(content)
    (tmp_path / "b" / ".t.csv.0a1b2c3d.part").touch()
    assert differences(tmp_path / "a", tmp_path / "b") == [".t.csv.0a1b2c3d.part is there in one only", "t.csv differs"]
