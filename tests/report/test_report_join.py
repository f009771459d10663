"""One page of several studies: told apart by their names, and what forbids a comparison named."""

import json
import re
from pathlib import Path

import pytest

from msda_analysis.cli import main
from msda_analysis.results import read_rows, read_table, write_table
from msda_analysis.studies.join import join_studies
from msda_analysis.studies.verify import verify


@pytest.fixture
def two(write_study, tmp_path) -> list[Path]:
    """Folders of two studies with the same cells."""
    return [write_study(tmp_path / name, "vae") for name in ("a", "b")]


def change(folder: Path, **parts) -> None:
    """Put other values into a manifest's description of the images."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["dataset"] |= parts
    path.write_text(json.dumps(manifest))


def set_settings(folder: Path, settings: dict) -> None:
    """Have all rows of a table say these settings."""
    rows = read_rows(folder / "results.csv")
    write_table([{**row, "settings": json.dumps(settings)} for row in rows], folder / "results.csv")


def test_rows_stay_and_are_told_apart(two, tmp_path):
    assert join_studies(two, ["first", "second"], tmp_path / "c", "the command") == []
    joint = read_table(tmp_path / "c" / "results.csv")
    for folder, name in zip(two, ("first", "second"), strict=True):
        own, alone = joint[joint["study"] == name], read_table(folder / "results.csv")
        assert set(own["dataset"]) == {f"cifar10 ({name})"} and len(own) == len(alone)
        same = [column for column in own if column not in ("study", "dataset", "cell")]
        assert own[same].reset_index(drop=True).equals(alone[same])
    cells = joint.groupby("cell")["study"].nunique()
    assert (cells == 1).all(), "a cell's numbers are never averaged with those of the other study"
    manifest = json.loads((tmp_path / "c" / "manifest.json").read_text())
    assert manifest["command"] == "the command" and [each["name"] for each in manifest["studies"]] == [
        "first",
        "second",
    ]


def test_one_page_shows_both_and_can_be_drawn_again_and_traced(two, tmp_path, capsys, monkeypatch):
    change(two[1], train=77)
    words = ["report", *map(str, two), "--names", "first", "second", "--out", str(tmp_path / "c")]
    assert main(words) == 0
    said = "train of the images is 10000 in first and 77 in second"
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'c' / 'report.html'}\n" and err.strip() == f"msda-analysis: {said}"
    page = (tmp_path / "c" / "report.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "VAEs on cifar10 (first): Baseline" in text and "VAEs on cifar10 (second): Baseline" in text and said in text
    assert "Studies side by side: first, second" in text
    figures = {path.stem for path in (tmp_path / "c" / "figures").glob("information*.csv")}
    assert len(figures) == 2, "a figure each"
    trace = verify(tmp_path / "c")
    assert not trace.differs and any(line.startswith("first: study synthetic, folder ") for line in trace.made_by)
    again: list[tuple] = []
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *wrong: again.append(wrong) or folder)
    assert main(["report", str(tmp_path / "c")]) == 0
    assert said in again[0][0][0]
    assert said in capsys.readouterr().err, "said again"


def test_other_images_and_other_formats_are_named(two, tmp_path):
    set_settings(two[0], {"fit": 1, "information_format": 2})
    set_settings(two[1], {"fit": 1})
    assert join_studies(two, ["x", "y"], tmp_path / "c") == [
        "vae: measured by format 2 of the code in x, by 1 in y; run the older study again"
    ]
    set_settings(two[1], {"fit": 1, "information_format": 2})
    change(two[1], name="digits")
    assert join_studies(two, ["x", "y"], tmp_path / "c") == [
        "x is of cifar10, y of digits: other images, no comparison of numbers"
    ]


def test_without_names_folders_give_them(two, tmp_path):
    join_studies(two, [], tmp_path / "c")
    assert set(read_table(tmp_path / "c" / "results.csv")["study"]) == {"a", "b"}


@pytest.mark.parametrize("words, said", [
    (["a", "b"], "out: expected a folder for the page of several studies; add --out"),
    (["a", "b", "--names", "x", "--out", "c"], "names: expected one for each of the 2 folders, got x"),
    (["a", "b", "--names", "x", "x", "--out", "c"], "names: expected different ones, got x, x"),
    (["a", "a", "--out", "c"], "names: expected different ones, got a, a; give them by --names"),
    (["a", "--out", "c"], "names, out: they are for one page of several studies"),
    (["a", "nowhere", "--out", "c"], "nowhere: expected a study's folder with results.csv in it"),
    (["a", "b", "--out", "a"], "out: a is not empty and holds no page of several studies; choose another --out"),
])  # fmt: skip
def test_what_cannot_be_joined_exits_with_2_and_writes_nothing(two, tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "a" / "results.csv").read_bytes()
    assert main(["report", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "c").exists() and (tmp_path / "a" / "results.csv").read_bytes() == before


def test_a_study_of_its_own_is_not_overwritten(two, tmp_path):
    (two[0] / "study.json").write_text("{}")
    with pytest.raises(ValueError, match="holds a study of its own"):
        join_studies(two, ["x", "y"], two[0])
