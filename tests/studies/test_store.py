"""Output folders and runs: what is finished stays, whatever happens to the rest."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
from replaced import replace_work

from msda_analysis import ClassifierFit, VaeFit
from msda_analysis.results import read_table
from msda_analysis.studies import DataSpec, Store, StudyPlan, cells_of, run_study
from msda_analysis.studies.context import Context
from msda_analysis.studies.seal import seal
from msda_analysis.studies.steps import STEPS

PLAN = StudyPlan(
    "trial", "A trial", DataSpec("digits", train_size=20, test_size=10), ("baseline", "mixup"), n_seeds=2,
    vae=None, classifier=ClassifierFit(epochs=1, batch_size=10), attack=None, n_masks=5,
)  # fmt: skip
N_CELLS = len(cells_of(PLAN))


def break_at(monkeypatch, n: int, error: BaseException) -> None:
    """Raise at the n-th cell that runs from now on (from 0)."""
    place = iter(range(1000))

    def wrap(real):
        def work(*arguments):
            if next(place) == n:
                arguments[2].joinpath("half").write_text("unfinished")
                raise error
            return real(*arguments)

        return work

    replace_work(monkeypatch, {kind: wrap(step.run) for kind, step in STEPS.items()})


def values(folder: Path) -> list[tuple]:
    table = read_table(folder / "results.csv")
    table = table[table["metric"] != "epoch_seconds"]
    return list(
        table[["cell", "metric", "x", "value", "low", "high", "n", "settings"]].fillna(-1).itertuples(index=False)
    )


def test_a_run_finishes_every_cell_in_order(tmp_path, ran):
    summary = run_study(PLAN, tmp_path / "out", progress=False, command="trial command")
    assert (summary.n_cells, summary.n_done, summary.n_failed) == (N_CELLS, N_CELLS, 0)
    assert ran == [cell.name for cell in cells_of(PLAN)]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["command"] == "trial command" and manifest["cells"] == {
        "total": N_CELLS,
        "done": N_CELLS,
        "failed": 0,
    }
    assert manifest["dataset"]["n_train"] == 20 and manifest["dataset"]["n_test"] == 10
    assert len(values(tmp_path / "out")) == N_CELLS


def test_the_time_of_all_runs_is_counted(tmp_path, ran):
    def counted() -> float:
        return json.loads((tmp_path / "out" / "manifest.json").read_text())["cells_s"]

    run_study(PLAN, tmp_path / "out", progress=False)
    first = counted()
    assert 0 < first < 60
    timing = next((tmp_path / "out" / "cells").glob("*/timing.json"))
    timing.write_text(json.dumps({"seconds": json.loads(timing.read_text())["seconds"] + 100}))
    seal(timing.parent, 1)
    run_study(PLAN, tmp_path / "out", progress=False)
    assert ran == [cell.name for cell in cells_of(PLAN)], "the second run ran nothing"
    assert counted() == pytest.approx(first + 100)


def test_a_second_run_does_nothing_again(tmp_path, ran):
    run_study(PLAN, tmp_path, progress=False)
    ran.clear()
    summary = run_study(PLAN, tmp_path, progress=False)
    assert ran == [] and summary.n_done == N_CELLS


@pytest.mark.parametrize("n", [0, 3, N_CELLS - 1])
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, ran, monkeypatch, n):
    with monkeypatch.context() as patch:
        break_at(patch, n, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run_study(PLAN, tmp_path / "broken", progress=False)
    finished = list(ran)
    assert finished == [cell.name for cell in cells_of(PLAN)][:n]
    ran.clear()
    summary = run_study(PLAN, tmp_path / "broken", progress=False)
    assert summary.n_done == N_CELLS and ran == [cell.name for cell in cells_of(PLAN)][n:]
    assert not list((tmp_path / "broken").rglob("half")), "what an interrupted cell left is gone"
    run_study(PLAN, tmp_path / "whole", progress=False)
    assert values(tmp_path / "broken") == values(tmp_path / "whole")


def test_real_cells_give_the_same_numbers_after_an_interruption(tmp_path, monkeypatch):
    plan = replace(PLAN, n_seeds=1)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    with monkeypatch.context() as patch:
        break_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run_study(plan, tmp_path / "broken", progress=False)
    assert run_study(plan, tmp_path / "broken", progress=False).n_failed == 0
    run_study(plan, tmp_path / "whole", progress=False)
    found = values(tmp_path / "broken")
    assert found == values(tmp_path / "whole") and {row[1] for row in found} >= {
        "accuracy",
        "train_loss",
        "kept_fraction",
    }


def test_a_failed_cell_is_noted_and_tried_again(tmp_path, ran, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        break_at(patch, 2, RuntimeError("the loss is nan at epoch 0, step 3"))
        summary = run_study(PLAN, tmp_path, progress=False)
    broken = cells_of(PLAN)[2]
    needing = [cell for cell in cells_of(PLAN) if broken in cell.needs]
    assert summary.n_failed == 1 + len(needing) and summary.n_done == N_CELLS - summary.n_failed
    assert f"{broken.name} failed: the loss is nan" in capsys.readouterr().err
    table = read_table(tmp_path / "results.csv").set_index("cell")
    assert table.loc[broken.name, "status"] == "failed"
    assert table.loc[broken.name, "note"] == "RuntimeError: the loss is nan at epoch 0, step 3"
    for cell in needing:
        assert table.loc[cell.name, "note"] == f"RuntimeError: needs {broken.name}, which did not finish"
    trace = json.loads((tmp_path / "cells" / broken.name / "failure.json").read_text())["traceback"]
    assert "RuntimeError: the loss is nan" in trace and "in work" in trace

    ran.clear()
    summary = run_study(PLAN, tmp_path, progress=False)
    assert summary.n_failed == 0 and set(ran) == {broken.name, *(cell.name for cell in needing)}
    assert set(read_table(tmp_path / "results.csv")["status"]) == {"ok"}
    assert not list(tmp_path.rglob("failure.json"))


def test_a_folder_that_cannot_be_written_stops_the_run_and_keeps_what_is_finished(tmp_path, ran, monkeypatch):
    with monkeypatch.context() as patch:
        break_at(patch, 3, OSError(errno.EROFS, "Read-only file system"))
        with pytest.raises(OSError, match="Read-only"):
            run_study(PLAN, tmp_path, progress=False)
    store = Store(tmp_path, PLAN)
    assert [store.is_done(cell) for cell in cells_of(PLAN)] == [True] * 3 + [False] * (N_CELLS - 3)
    ran.clear()
    assert run_study(PLAN, tmp_path, progress=False).n_done == N_CELLS and len(ran) == N_CELLS - 3


def test_where_one_cell_does_not_fit_on_the_disk_others_may(tmp_path, ran, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        break_at(patch, 1, OSError(errno.ENOSPC, "No space left on device"))
        summary = run_study(PLAN, tmp_path, progress=False)
    (name,) = summary.missing
    assert summary.missing == {name: "failed"} and summary.n_done == N_CELLS - 1
    assert f"{name} failed: [Errno 28] No space left on device" in capsys.readouterr().err
    ran.clear()
    assert run_study(PLAN, tmp_path, progress=False).n_done == N_CELLS and ran == [name]


def test_a_disk_that_fills_while_rows_are_written_leaves_the_cell_undone(tmp_path, ran, monkeypatch):
    def fail(rows, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("msda_analysis.studies.store.write_table", fail)
        with pytest.raises(OSError, match="No space left"):
            run_study(PLAN, tmp_path, progress=False)
    assert not any(Store(tmp_path, PLAN).is_done(cell) for cell in cells_of(PLAN))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"name": "other"}, r"differs in name \('trial', now 'other'\); choose another --out"),
        ({"classifier": ClassifierFit(epochs=2, batch_size=10)}, r"differs in classifier\.epochs \(1, now 2\)"),
        ({"data": DataSpec("digits", train_size=30, test_size=10)}, r"data\.train_size \(20, now 30\)"),
        ({"data": DataSpec("cifar10", train_size=20, test_size=10)}, r"data\.name \('digits', now 'cifar10'\)"),
        ({"per_batch": True}, r"per_batch \(False, now True\)"),
        ({"first_seed": 5}, r"first_seed \(0, now 5: seeds of one folder follow each other\)"),
    ],
)  # fmt: skip
def test_another_study_in_the_folder_is_refused(tmp_path, change, words):
    Store(tmp_path / "out", PLAN).claim()
    before = (tmp_path / "out" / "study.json").read_bytes()
    with pytest.raises(ValueError, match=rf"^out: {tmp_path}/out already holds another study, which .*{words}"):
        Store(tmp_path / "out", replace(PLAN, **change))
    assert (tmp_path / "out" / "study.json").read_bytes() == before


def test_the_place_of_the_data_does_not_matter(tmp_path):
    Store(tmp_path, PLAN).claim()
    Store(tmp_path, replace(PLAN, data=replace(PLAN.data, root=Path("/elsewhere"))))


def test_foreign_folders_are_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(
        ValueError, match=r"thesis is not empty and holds no study \(it has chapter\.tex\); choose another --out"
    ):
        run_study(PLAN, tmp_path / "thesis", progress=False)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
    with pytest.raises(ValueError, match=r"chapter\.tex is a file; choose another --out"):
        Store(tmp_path / "thesis" / "chapter.tex", PLAN)


@pytest.mark.parametrize("content", ["", "{", '{"name": "tri'])
def test_a_damaged_study_file_is_refused(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(ValueError, match=r"study\.json is damaged \(.*\); choose another --out"):
        Store(tmp_path, PLAN)


@pytest.mark.parametrize("content", ["[]", "3", '"text"'])
def test_a_study_file_of_another_shape_is_refused(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(ValueError, match="already holds another study, which differs in its format"):
        Store(tmp_path, PLAN)


@pytest.mark.parametrize(
    "data, words",
    [
        (DataSpec("svhn"), "dataset: expected one of digits, cifar10, .*; got 'svhn'"),
        (DataSpec("digits", train_size=5000), "train_size: expected at most 1500"),
        (DataSpec("digits", test_size=5000), "test_size: expected at most 297"),
    ],
)
def test_data_that_cannot_be_loaded_stops_before_the_folder_is_taken(tmp_path, ran, data, words):
    with pytest.raises(ValueError, match=words):
        run_study(replace(PLAN, data=data), tmp_path / "out", progress=False)
    assert ran == [] and not (tmp_path / "out").exists()
    assert run_study(PLAN, tmp_path / "out", progress=False).n_done == N_CELLS, "the folder is free for the right study"


@pytest.mark.parametrize("n", [2, 3])
def test_shards_share_the_work(tmp_path, ran, n):
    for i in range(1, n + 1):
        summary = run_study(PLAN, tmp_path / "out", shard=(i, n), progress=False)
        assert summary.n_failed == 0, "a cell that waits for another machine has not failed"
    assert len(set(ran)) == len(ran), "nothing is done twice"
    assert not list((tmp_path / "out").rglob("failure.json"))
    if summary.n_done < N_CELLS:
        assert summary.report is None and not (tmp_path / "out" / "results.csv").exists()
    summary = run_study(PLAN, tmp_path / "out", progress=False)
    assert summary.n_done == N_CELLS and summary.report is not None
    assert sorted(ran) == sorted(cell.name for cell in cells_of(PLAN))
    run_study(PLAN, tmp_path / "whole", progress=False)
    assert values(tmp_path / "out") == values(tmp_path / "whole")


def test_the_first_shard_does_its_share_only(tmp_path, ran):
    run_study(PLAN, tmp_path, shard=(1, 2), progress=False)
    allowed = [cell.name for cell in cells_of(PLAN)[::2]]
    assert ran and set(ran) <= set(allowed) and {"pictures", "train_classifier"} <= {name.split("-")[0] for name in ran}


@pytest.mark.parametrize("shard", [(0, 2), (3, 2)])
def test_bad_shards(tmp_path, shard):
    with pytest.raises(ValueError, match=rf"shard: expected a number in \[1, 2\], got {shard[0]}"):
        run_study(PLAN, tmp_path / "out", shard=shard)
    assert not (tmp_path / "out").exists()


def test_a_vae_trained_in_other_units_is_not_measured(tmp_path):
    """Rates depend on the normalization: the same VAE measured under another one gives another number."""
    plan = replace(PLAN, vae=VaeFit(epochs=1, batch_size=10), classifier=None, augmentations=("mixup",), n_seeds=1)
    store = Store(tmp_path / "out", plan)
    context = Context(plan, store, progress=False)
    train = next(cell for cell in cells_of(plan) if cell.kind == "train_vae")
    STEPS["train_vae"].run(context, train, store.start(train))
    assert context.load_vae(train).normalization == (context.test.mean, context.test.std)
    other = Context(plan, store, progress=False)
    other.test = replace(context.test, std=(0.5,))
    with pytest.raises(ValueError, match=r"trained on images normalized by .* but the study's .*0\.5"):
        other.load_vae(train)
