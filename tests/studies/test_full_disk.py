"""A disk that is full, or cannot be written, at each place where a study writes: nothing half written, nothing lost."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_sharing import PLAN

from msda_analysis import files
from msda_analysis.report.files import Provenance, save_figure
from msda_analysis.results import write_table
from msda_analysis.robustness.resume import BatchStore
from msda_analysis.studies import Store, cells_of, run_study
from msda_analysis.studies.context import save_arrays
from msda_analysis.studies.damage import Damage, find_all_damage
from msda_analysis.training.state import Keeper, State

SMALL = replace(PLAN, n_seeds=1)
FULL, READ_ONLY = (errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")
#: What is written for each cell, and what once.
OF_CELLS = ("timing.json", "settings.json", "rows.csv", "done.json")
PLACES = ("study.json", *OF_CELLS, "results.csv", "manifest.json", "outputs.json")


@contextmanager
def failing(name: str, error: tuple[int, str], count: int = 1) -> Iterator[None]:
    """The first writes to files of a name fail when all of it is written."""
    real, left = files.replace_path, [count]

    @contextmanager
    def replace_path(path: Path) -> Iterator[Path]:
        with real(path) as temporary:
            yield temporary
            if Path(path).name == name and left[0]:
                left[0] -= 1
                raise OSError(*error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "replace_path", replace_path)
        yield
    assert left[0] < count, "it was written"


def content_of(folder: Path) -> dict[str, bytes]:
    """All that is not about time, and no lock."""
    timed = ("manifest.json", "outputs.json", "study.json", "timing.json", "done.json")
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock" and path.name not in timed]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("name", PLACES)
def test_a_write_that_does_not_fit_costs_its_cell_alone(tmp_path, ran, capsys, name):
    names = [cell.name for cell in cells_of(SMALL)]
    with failing(name, FULL):
        if name in OF_CELLS:
            (failed,) = run_study(SMALL, tmp_path / "out", progress=False).missing
            err = capsys.readouterr().err
            assert f"{failed} failed: [Errno 28] No space left on device (" in err and f"{failed}/{name}'" in err
        else:  # what is not a cell's ends the command
            with pytest.raises(OSError, match=r"No space left on device \(\d+ bytes written, \d+ bytes free") as found:
                run_study(SMALL, tmp_path / "out", progress=False)
            assert found.value.filename == str(tmp_path / "out" / name)
    done = {cell.name for cell in cells_of(SMALL) if Store(tmp_path / "out", SMALL).is_done(cell)}
    assert len(done) == {"study.json": 0, **dict.fromkeys(OF_CELLS, len(names) - 1)}.get(name, len(names))
    assert not list(tmp_path.rglob("*.part"))
    ran.clear()
    assert run_study(SMALL, tmp_path / "out", progress=False).n_done == len(names)
    assert set(ran) == set(names) - done, "what was finished is not done again"
    run_study(SMALL, tmp_path / "quiet", progress=False)
    assert content_of(tmp_path / "out") == content_of(tmp_path / "quiet")
    assert find_all_damage(tmp_path / "out") == Damage([], [])


@pytest.mark.parametrize("refused", [("rows.csv", READ_ONLY), ("failure.json", FULL)], ids=["read-only", "full"])
def test_where_nothing_can_be_written_the_run_stops_and_says_where(tmp_path, ran, refused):
    run_study(SMALL, tmp_path, progress=False)
    before, (name, error) = content_of(tmp_path), refused
    ran.clear()
    first = failing("timing.json", FULL) if name == "failure.json" else nullcontext()
    with first, failing(name, error), pytest.raises(OSError, match=error[1]) as found:
        run_study(replace(SMALL, n_seeds=2), tmp_path, progress=False)
    assert len(ran) == 1, "no cell is run in vain"
    assert (
        ran[0] in str(found.value.filename)
        if name == "failure.json"
        else str(found.value) == "[Errno 30] Read-only file system"
    )
    now = content_of(tmp_path)
    assert {path: now[path] for path in before} == before and not list(tmp_path.rglob("*.part"))


def keep_state(folder: Path, seed: int) -> None:
    model = torch.nn.Linear(2, 1)
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    Keeper(folder, model, optimizer, average=None, device=torch.device("cpu")).save(State(1))


def write_figure(folder: Path, seed: int) -> None:
    from matplotlib.figure import Figure

    save_figure(Figure((1, 1 + seed)), None, folder / "figure", Provenance())


WRITERS: dict[str, Callable[[Path, int], object]] = {
    "rows": lambda folder, seed: write_table([], folder / "rows.csv"),
    "arrays": lambda folder, seed: save_arrays(folder / "a.npz", {"a": torch.full((3,), seed).numpy()}),
    "batch of attacks": lambda folder, seed: BatchStore(folder, f"{seed}").save(
        "pgd", torch.ones(1, 2, dtype=torch.bool), torch.ones(2), seed
    ),
    "state of a training": keep_state,
    "figure": write_figure,
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("error", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_what_was_there_before_a_write_failed_stays_as_it_was(tmp_path, monkeypatch, kind, error):
    WRITERS[kind](tmp_path, 0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before

    def fail(_):
        raise OSError(*error)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=error[1]):
        WRITERS[kind](tmp_path, 1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
