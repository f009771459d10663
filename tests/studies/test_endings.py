"""How a command ends that is stopped, cannot write, or is piped: one line that says what is true."""

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from replaced import replace_work
from test_sharing import NAMES, PLAN

from msda_analysis.cli import main, run_door
from msda_analysis.commands import Door
from msda_analysis.endings import run_guarded
from msda_analysis.studies import Store, run

DOOR = Door(lambda: PLAN, "out")
ROOT = Path(run.__file__).parents[2]
FULL = OSError(errno.ENOSPC, "No space left on device", "/out/masks.npz")


def stop_at(monkeypatch, kind: str, act) -> None:
    """Do something in the cells of one kind instead of what they do."""
    replace_work(monkeypatch, {kind: act})


def test_what_does_not_go_on_does_not_promise_to(tmp_path, ran, capsys, monkeypatch):
    def fail(*_):
        raise FULL

    run.run_study(PLAN, tmp_path, progress=False)
    monkeypatch.setattr("msda_analysis.report.write_report", fail)
    assert main(["report", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err == "msda-analysis: [Errno 28] No space left on device: '/out/masks.npz'\n"


def test_every_command_goes_on_and_says_so(tmp_path, capsys, monkeypatch, undrawn):
    def fail(*_):
        raise OSError(errno.EROFS, "Read-only file system", "/out/masks.npz")

    words = [
        "masks",
        "--families",
        "mixup",
        "cutmix",
        "--size",
        "8",
        "--n",
        "5",
        "--out",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    with monkeypatch.context() as patch:
        replace_work(patch, {"mask_samples": fail})
        assert main(words) == 1
    assert "; what was finished is kept, run the same command again to go on" in capsys.readouterr().err
    assert main(words) == 0 and "2 of 2 cells done, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("error, code", [(FULL, 1), (KeyboardInterrupt(), 130)])
@pytest.mark.parametrize("is_begun", [False, True])
def test_only_what_was_begun_goes_on(tmp_path, capsys, error, code, is_begun):
    def fail() -> int:
        raise error

    if is_begun:
        Store(tmp_path / "out", PLAN).claim()
    assert run_guarded(fail, 0, tmp_path / "out") == code
    assert ("run the same command again to go on" in capsys.readouterr().err) == is_begun


@pytest.fixture
def callers_handler() -> Iterator[object]:
    """The caller's own answer to SIGTERM, which must neither be asked nor replaced."""

    def refuse(*_):
        raise AssertionError("SIGTERM came to the caller")

    before = signal.signal(signal.SIGTERM, refuse)
    yield refuse
    signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_a_study_with_one_line_and_143(tmp_path, ran, capsys, monkeypatch, callers_handler):
    stop_at(monkeypatch, "train_classifier", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert run_door(DOOR, ["--out", str(tmp_path)], prog="", description="") == 143
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line and "finished in" not in line]
    assert line == "msda-analysis: terminated; run the same command again to go on where it stopped"
    assert signal.getsignal(signal.SIGTERM) is callers_handler
    assert not list(tmp_path.glob("cells/*/failure.json")), "stopped, not failed"
    with Store(tmp_path, PLAN).hold(NAMES[3], wait=False) as is_free:
        assert is_free, "no lock outlives the run"


@pytest.fixture
def interrupting_torch(tmp_path) -> dict[str, str]:
    """Environment in which Ctrl-C comes while torch is imported."""
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "torch.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n"
    )
    return {"PYTHONPATH": f"{tmp_path / 'stub'}:{ROOT}"}


@pytest.mark.parametrize(
    "words", [["-m", "msda_analysis.cli", "masks", "--threads", "1"], ["experiments/robustness.py", "--smoke"]], ids=str
)
def test_ctrl_c_while_starting_gives_one_line(tmp_path, interrupting_torch, words):
    """In a command, where it is caught, and in a script's own imports, which come before anything can catch it."""
    end = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=interrupting_torch, capture_output=True, text=True, timeout=60
    )
    assert end.returncode in (130, -signal.SIGINT)
    assert end.stderr.strip() == "msda-analysis: interrupted"


def test_piped_output_has_one_line_per_cell(tmp_path, ran, capsys):
    run.run_study(PLAN, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" finished in ")[0] for line in lines] == NAMES
    assert re.fullmatch(rf".* finished in \d+\.\d s \(1 of {len(NAMES)}\)", lines[0])
    run.run_study(PLAN, tmp_path)
    assert capsys.readouterr().err == "", "nothing ran"


def test_a_shard_that_ends_says_what_is_missing(tmp_path, ran, capsys, monkeypatch):
    monkeypatch.setattr("msda_analysis.cli.command_line", lambda: "")
    assert run_door(DOOR, ["--out", str(tmp_path), "--shard", "2/3"], prog="", description="") == 1
    out = capsys.readouterr().out
    others = [name for i, name in enumerate(NAMES) if i % 3 != 1]
    assert f"missing: {len(others)} are of other shards: {', '.join(others[:3])} and {len(others) - 3} more" in out
    assert re.search(r"missing: \d+ need cells that are not done: measure_classifier-", out) and "report:" not in out
    assert "no report yet: run it once without --shard when all shards have ended" in out


def test_a_shard_that_did_all_of_its_cells_ends_well(tmp_path, ran, monkeypatch):
    """Whatever others have still to do; one whose cells wait for those of others does not."""
    monkeypatch.setattr("msda_analysis.cli.command_line", lambda: "")
    codes = [
        run_door(DOOR, ["--out", str(tmp_path), "--shard", shard], prog="", description="")
        for shard in ("1/2", "2/3", "1/3", "3/3", "2/3")
    ]
    assert codes == [0, 1, 1, 0, 0]
