"""What a full disk, a dying machine or another version left behind is found, named and done again."""

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from damages import cut, empty, flip
from replaced import replace_work
from test_sharing import NAMES, PLAN

from msda_analysis.cli import main
from msda_analysis.results import read_rows, write_table
from msda_analysis.robustness.resume import BatchStore
from msda_analysis.studies import AttackSpec, Store, cells_of, run_study
from msda_analysis.studies.context import MODEL_FILE, Context
from msda_analysis.studies.damage import find_damaged_outputs
from msda_analysis.studies.seal import find_damage
from msda_analysis.studies.steps import STEPS
from msda_analysis.studies.steps import measure_classifier as attacks
from msda_analysis.studies.store import find_damaged_cells, read_study

CELL = next(cell for cell in cells_of(PLAN) if cell.kind == "train_classifier")


DAMAGE: list[tuple[str, Callable[[Path], object], str]] = [
    ("rows.csv", cut, r"rows\.csv has \d+ bytes instead of \d+"),
    ("rows.csv", empty, r"rows\.csv has 0 bytes instead of \d+"),
    ("rows.csv", flip, r"rows\.csv has another content than when it was finished"),
    ("model.safetensors", flip, r"model\.safetensors has another content"),
    ("model.safetensors", Path.unlink, r"model\.safetensors is missing"),
    ("done.json", cut, r"done\.json cannot be read"),
    ("done.json", lambda path: path.write_text("[]"), r"done\.json cannot be read"),
]
cases = pytest.mark.parametrize(
    "name, damage, words", DAMAGE, ids=[f"{name} {words[-12:]}" for name, _, words in DAMAGE]
)


@cases
def test_a_damaged_cell_is_named_and_done_again(tmp_path, ran, capsys, name, damage, words):
    run_study(PLAN, tmp_path, progress=False)
    whole = (tmp_path / "results.csv").read_bytes()
    damage(tmp_path / "cells" / CELL.name / name)
    ran.clear()
    assert not Store(tmp_path, PLAN).is_done(CELL)
    summary = run_study(PLAN, tmp_path, progress=False)
    assert ran == [CELL.name] and summary.n_done == len(NAMES)
    assert (tmp_path / "results.csv").read_bytes() == whole
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(words, line) and str(tmp_path / "cells" / CELL.name) in line


def test_report_names_what_is_damaged(tmp_path, ran, capsys, monkeypatch):
    run_study(PLAN, tmp_path, progress=False)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    cut(tmp_path / "cells" / CELL.name / "rows.csv")
    assert main(["report", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{CELL.name}/rows.csv has" in line


def test_report_names_a_table_that_lost_rows(tmp_path, ran, capsys, monkeypatch):
    real = STEPS["masks"].run
    replace_work(monkeypatch, dict.fromkeys(STEPS, lambda *arguments: 3 * real(*arguments)))
    run_study(PLAN, tmp_path, progress=False)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    write_table(read_rows(tmp_path / "results.csv")[:-2], tmp_path / "results.csv")
    assert main(["report", str(tmp_path)]) == 0
    line, size = capsys.readouterr().err.splitlines()
    assert f"results.csv has 1 of the 3 rows of cell {NAMES[-1]}; run the study again" in line
    assert "results.csv has " in size and "bytes instead of" in size


def test_cells_of_a_version_that_wrote_no_checksums_run_again_with_one_line(tmp_path, ran, capsys):
    run_study(PLAN, tmp_path, progress=False)
    for path in tmp_path.glob("cells/*/done.json"):
        path.unlink()
    ran.clear()
    run_study(PLAN, tmp_path, progress=False)
    assert ran == NAMES
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{len(NAMES)} cells in {tmp_path / 'cells'} have no done.json, which an earlier version")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seconds": "long"}', '{"seconds": NaN}', "\udcff", None])
def test_a_damaged_time_blocks_nothing_and_is_not_counted(tmp_path, ran, content):
    run_study(PLAN, tmp_path, progress=False)
    store, path = Store(tmp_path, PLAN), tmp_path / "cells" / CELL.name / "timing.json"
    before = store.seconds(cells_of(PLAN))
    own = store.seconds([CELL])
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))
    ran.clear()
    assert run_study(PLAN, tmp_path, progress=False).report is not None and ran == []
    assert own > 0 and store.seconds(cells_of(PLAN)) == pytest.approx(before - own)


def test_left_over_temporary_files_do_not_occupy_a_folder(tmp_path, ran):
    (tmp_path / ".study.json.0a1b2c3d.part").write_text("{")
    (tmp_path / ".DS_Store").touch()
    assert run_study(PLAN, tmp_path, progress=False).n_done == len(NAMES)


@pytest.mark.parametrize("name", ["study.part", ".hidden", "results.csv", ".x.part"])
def test_other_files_do(tmp_path, ran, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"is not empty and holds no study \(it has {name}\)"):
        run_study(PLAN, tmp_path, progress=False)


def test_a_study_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "study.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"^out: .*study\.json is damaged \(.*choose another --out"):
        Store(tmp_path, PLAN)


def test_finished_batches_of_another_model_are_not_taken_up(tmp_path, ran, monkeypatch):
    """A damaged model that another machine trains again may differ in its last bits: its batches would be refused."""
    plan = replace(PLAN, attack=AttackSpec(("fgsm",), (0.1,), n_images=5))
    trained, cell = next((c.needs[0], c) for c in cells_of(plan) if c.kind == "measure_classifier")
    store = Store(tmp_path, plan)
    context, folders = Context(plan, store, progress=False), []
    monkeypatch.setattr(Context, "load_classifier", lambda *_: SimpleNamespace(network=SimpleNamespace(name="toy")))
    monkeypatch.setattr(attacks, "check_classes", lambda *_: None)
    monkeypatch.setattr(attacks, "_clean_accuracy", lambda *_: attacks.Estimate(1.0, ""))
    monkeypatch.setattr(attacks.archive, "write_outcomes", lambda *_: None)
    monkeypatch.setattr(attacks.robustness, "measured_outcome", lambda *_: [])
    monkeypatch.setattr(attacks.robustness, "evaluate", lambda *_, folder, **__: folders.append(folder))
    for content in ("one", "one", "other"):
        (store.start(trained) / MODEL_FILE).write_text(content)
        store.finish(trained, [], 0.0)
        attacks.run(context, cell, store.start(cell))
    assert folders[0] == folders[1] != folders[2]
    assert all(folder.parent == tmp_path / "kept" for folder in folders)


def test_a_folder_without_cells_has_no_damage(tmp_path):
    assert find_damaged_cells(tmp_path) == []
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / ".DS_Store").touch()
    assert find_damaged_cells(tmp_path) == []


def test_what_kills_left_in_a_study_is_removed(tmp_path, ran):
    """But nothing of a file that another process may be writing now, and nobody's own files."""
    run_study(PLAN, tmp_path, progress=False)
    left = [
        ".study.json.0a1b2c3d.part",
        ".results.csv.0a1b2c3d.part",
        ".outcomes.npz.0a1b2c3d.part",
        "figures/.a.pdf.0a1b2c3d.part",
    ]
    kept = [".notes.part", "mine.part", f"cells/{CELL.name}/.x.0a1b2c3d.part"]
    for name in (*left, *kept):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    run_study(replace(PLAN, n_masks=6), tmp_path, progress=False)
    assert [name for name in left if (tmp_path / name).exists()] == []
    assert all((tmp_path / name).exists() for name in kept)


def signed_files(folder: Path) -> list[tuple[Path, Callable[[Path], object]]]:
    """What says what is whole, and how it is read."""
    return [
        (folder / "cells" / CELL.name / "done.json", lambda path: find_damage(path.parent)),
        (folder / "outputs.json", lambda path: [*find_damaged_outputs(path.parent)]),
        (folder / "study.json", lambda path: _words_of(read_study, path.parent)),
    ]


def _words_of(read: Callable[[Path], object], folder: Path) -> str:
    try:
        read(folder)
    except ValueError as error:
        return str(error)
    return ""


def _some_of(n_bytes: int) -> list[int]:
    """Places all over a file, its ends among them."""
    return sorted(
        {*np.random.default_rng(0).choice(n_bytes, min(150, n_bytes), replace=False).tolist(), *range(9), n_bytes - 1}
    )


@pytest.mark.parametrize("place", range(3))
def test_no_byte_of_what_says_what_is_whole_can_change_unseen(tmp_path, ran, place):
    run_study(replace(PLAN, n_seeds=1), tmp_path, progress=False)
    path, look = signed_files(tmp_path)[place]
    whole = path.read_bytes()
    assert not look(path)
    for i in _some_of(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        assert look(path), whole[max(0, i - 20) : i + 20]
    path.write_bytes(whole)
    assert not look(path)


def test_what_an_older_version_wrote_without_checksums_counts(tmp_path, ran):
    run_study(PLAN, tmp_path, progress=False)
    for path in [tmp_path / "study.json", *tmp_path.glob("cells/*/done.json")]:
        content = json.loads(path.read_text())
        path.write_text(json.dumps({name: content[name] for name in content if name not in ("noted", "blake2b")}))
    ran.clear()
    assert run_study(PLAN, tmp_path, progress=False).n_done == len(NAMES) and ran == []


def test_what_a_kill_left_of_a_batch_is_removed_when_it_is_written_again(tmp_path):
    left, others = tmp_path / ".pgd-0000000.npz.0a1b2c3d.part", tmp_path / ".fgsm-0000000.npz.0a1b2c3d.part"
    left.touch(), others.touch()
    BatchStore(tmp_path, "print").save("pgd-0000000", torch.ones(1, 2, dtype=torch.bool), torch.ones(2), 7)
    assert sorted(path.name for path in tmp_path.iterdir()) == [others.name, "pgd-0000000.npz"]


def test_a_damaged_batch_of_attacks_is_computed_again_whatever_byte_it_is(tmp_path):
    store, name = BatchStore(tmp_path / "kept" / "attacks", "print"), "pgd-0000000"
    success, norms = torch.tensor([[True, False], [True, True]]), torch.tensor([0.25, 0.5])
    store.save(name, success, norms, 7)
    path = tmp_path / "kept" / "attacks" / f"{name}.npz"
    whole, n_seen = path.read_bytes(), 0
    flags = [whole.index(start) + at for start, at in ((b"PK\x01\x02", 8), (b"PK\x01\x02", 10), (b"PK\x03\x04", 8))]
    places = [*flags, *_some_of(len(whole))]  # encrypted, compressed
    for i in places:
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = store.load(name)
        assert (found is None) == any("its batch is computed again" in str(each.message) for each in said)
        n_seen += found is None
        assert found is None or (torch.equal(found[0], success) and torch.equal(found[1], norms) and found[2] == 7)
    assert n_seen > len(places) / 3
