"""verify, compare and cite: what made a number, what moved between two studies, and whose methods were used."""

import json
import re
import shutil
from pathlib import Path

import pytest
from damages import DAMAGE, assert_named, damaged, files_with_content
from matplotlib.figure import Figure
from replaced import replace_work
from test_sharing import NAMES, PLAN

from msda_analysis.cli import main
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.report.export import Made
from msda_analysis.results import Source, read_rows, to_rows, write_table
from msda_analysis.studies import run_study
from msda_analysis.studies.cite import REFERENCES, _entries, cite
from msda_analysis.studies.damage import Damage, find_all_damage
from msda_analysis.studies.differences import compare_studies
from msda_analysis.studies.steps import STEPS
from msda_analysis.studies.verify import carried_line, verify

ROOT = Path(__file__).parents[2]
WORDS = ["masks", "--families", "mixup", "fmix(decay_power=1.5)", "--size", "8", "8", "--n", "20", "--device", "cpu"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A study of masks alone, with its real page, figures and tables."""
    out = tmp_path_factory.mktemp("drawn") / "out"
    assert main([*WORDS, "--out", str(out)]) == 0
    return out


@pytest.fixture
def study(drawn, tmp_path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "copy"))


def figure(study: Path, suffix: str) -> Path:
    return sorted(study.glob(f"figures/*{suffix}"))[0]


@pytest.mark.parametrize("kind", ["figures/*.pdf", "figures/*.png", "tables/*.tex"])
def test_every_figure_and_table_says_what_made_it(drawn, kind):
    paths = sorted(drawn.glob(kind))
    manifest = json.loads((drawn / "manifest.json").read_text())
    assert paths
    for path in paths:
        line = carried_line(path)
        assert line.startswith("study: masks; ") and line.endswith(f"command: {manifest['command']}")


def test_a_drawing_as_svg_says_it_too(tmp_path, drawn):
    line = carried_line(figure(drawn, ".png")) + " <&> (a)"
    for suffix, name in ((".svg", "Description"), (".pdf", "Subject")):
        Figure().savefig(tmp_path / f"a{suffix}", metadata={name: line})
        assert carried_line(tmp_path / f"a{suffix}") == line


def test_a_damaged_file_of_a_study_is_named_whichever_it_is(study):
    """Each in one way, and those that say what is whole in every way."""
    assert find_all_damage(study) == Damage([], [])
    for i, path in enumerate(files_with_content(study)):
        says = path.suffix == ".json" or path.name in ("rows.csv", "results.csv")
        for way in DAMAGE if says else [list(DAMAGE)[i % len(DAMAGE)]]:
            assert_named(study, path, way)
    assert find_all_damage(study) == Damage([], [])


@pytest.mark.slow
def test_every_file_of_a_study_damaged_in_every_way_is_named(study):
    for path in files_with_content(study):
        for way in DAMAGE:
            assert_named(study, path, way)


@pytest.fixture
def shown(monkeypatch) -> list:
    """Pages without sections, and the tables that these would be made of."""
    tables: list = []
    monkeypatch.setattr("msda_analysis.report.all_sections", lambda: (lambda table, folder: tables.append(table),))
    return tables


def test_no_number_that_was_not_measured_reaches_a_page(study, capsys, shown, monkeypatch):
    """Of a table that was changed; the page says so, and another run collects the rows again."""
    table, cell = study / "results.csv", read_rows(study / "results.csv")[0]["cell"]
    whole, outputs = table.read_bytes(), (study / "outputs.json").read_bytes()
    with damaged(study / "manifest.json", "flip"):
        change_a_value(study)
        for _ in range(2):  # the first page does not make it right
            assert main(["report", str(study)]) == 0
            page, err = (study / "report.html").read_text(), capsys.readouterr().err
            for words in (f"has 1 other rows of cell {cell}", "manifest.json has another content", "results.csv has "):
                assert words in page and words in err
            assert f"the rows of these cells are left out: {cell}; run the study again" in page
    assert len(shown) == 2 and all(set(table["cell"]) and cell not in set(table["cell"]) for table in shown)
    assert main(["report", str(study)]) == 0 and "manifest.json has" not in capsys.readouterr().err
    with monkeypatch.context() as patch:
        made: list[dict] = []
        patch.setattr(
            "msda_analysis.report.export.make_figure", lambda *_, **how: made.append(how) or Made(Figure(), (), (), ())
        )
        assert main(["figure", "kept_fraction", str(study), "--out", str(study / "a.svg")]) == 0
    assert f"left out: {cell}" in capsys.readouterr().err and made[0]["left_out"] == [cell]
    assert main([*WORDS, "--out", str(study)]) == 0
    assert table.read_bytes() == whole and find_all_damage(study) == Damage([], [])
    assert json.loads(outputs)["files"].keys() <= json.loads((study / "outputs.json").read_text())["files"].keys()


def test_what_vouches_is_gone_while_outputs_are_written_and_a_page_drawn_later_is_vouched_for(
    study, monkeypatch, shown
):
    seen = []

    def write(folder, *_):
        seen.append((folder / "outputs.json").exists())
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr("msda_analysis.report.write_report", write)
        assert main(["report", str(study)]) == 1 and (study / "outputs.json").exists(), "what was whole is known"
        assert main([*WORDS, "--out", str(study)]) == 1
    assert seen == [True, False]
    (line,) = find_all_damage(study).lines
    assert "outputs.json is missing, which vouches for tables and figures: the last run did not end" in line
    assert main(["report", str(study)]) == 0 and find_all_damage(study).lines == []
    (study / "notes.md").write_text("mine")
    assert main(["report", str(study)]) == 0
    assert "notes.md" not in (study / "outputs.json").read_text()


@pytest.mark.parametrize("kind", [".pdf", ".png", ".tex", ".csv", ""])
def test_what_agrees_is_said_to(drawn, capsys, kind):
    path = drawn if not kind else figure(drawn, kind) if kind != ".tex" else sorted(drawn.glob("tables/*.tex"))[0]
    assert main(["verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "DIFFERS" not in out and "not known" not in out
    assert "study: masks" in out and "\ncommit: " in out and "cells: 2 mask_samples" in out and '"MasksPlan"' in out
    assert "was made from results.csv as it is" in out
    assert "agrees: every row's digest is that of its settings" in out
    assert "agrees: the files of all cells have their checksums, and the rows are theirs" in out
    assert "agrees: what was made from them has its checksums" in out


def change_a_value(study: Path) -> None:
    rows = read_rows(study / "results.csv")
    rows[0]["value"] = "12345.0"
    write_table(rows, study / "results.csv")


def change_a_setting(study: Path) -> None:
    path = study / "settings.json"
    path.write_text(path.read_text().replace('"n": 20', '"n": 21'))


def drop_a_row(study: Path) -> None:
    write_table(read_rows(study / "results.csv")[1:], study / "results.csv")


def damage_a_cell(study: Path) -> None:
    next(study.glob("cells/*/masks.npz")).write_bytes(b"")


def rename_the_study(study: Path) -> None:
    path = study / "manifest.json"
    path.write_text(path.read_text().replace('"study": "masks"', '"study": "other"'))


WRITTEN_AGAIN = r"/{}\.{} has (\d+ bytes instead of \d+|another content than when it was finished)$"
TABLE = WRITTEN_AGAIN.format("results", "csv")


@pytest.mark.parametrize(
    "change, words",
    [
        (change_a_value, [r"was made from another results\.csv", r"has 1 other rows of cell mask_samples-", TABLE]),
        (
            change_a_setting,
            [
                r"settings\.json lacks or contradicts 2 digests of rows",
                *[r"has \d+ other rows of cell mask_samples-"] * 2,
                WRITTEN_AGAIN.format("settings", "json"),
            ],
        ),
        (drop_a_row, [r"was made from another results\.csv", r"has \d+ of the \d+ rows of cell", TABLE]),
        (damage_a_cell, [r"masks\.npz has 0 bytes instead of"]),
        (
            rename_the_study,
            [
                r"rows of results\.csv are of another study than .*manifest\.json names, 'other'",
                WRITTEN_AGAIN.format("manifest", "json"),
            ],
        ),
    ],
)
def test_what_does_not_agree_is_named(study, capsys, change, words):
    change(study)
    assert main(["verify", str(figure(study, ".pdf"))]) == 1
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("DIFFERS")]
    assert len(found) == len(words) and all(map(re.search, words, found))


def test_what_cannot_be_known_is_said(study):
    shutil.rmtree(study / "cells")
    (study / "settings.json").unlink()
    path = study / "tables" / "mine.csv"
    path.write_text("a,b\n")
    trace = verify(path)
    assert trace.agrees == trace.differs == [] and len(trace.unknown) == 3


@pytest.mark.parametrize(
    "name, words", [("nothing.pdf", "no such file"), ("a.pdf", "found none"), ("b.txt", "found none")]
)
def test_what_has_no_study_exits_with_2(tmp_path, capsys, name, words):
    if name != "nothing.pdf":
        (tmp_path / name).write_text("x")
    assert main(["verify", str(tmp_path / name)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["cifar10_robustness", "cifar10_10k_vae_flow", "estimators"])
def test_the_committed_results_agree(folder):
    trace = verify(ROOT / "experiments" / "results" / folder)
    assert trace.differs == [] and any("made from results.csv as it is" in line for line in trace.agrees)


def write(folder: Path, numbers: dict[str, Estimate], **manifest) -> Path:
    measured = [Measured(name, number) for name, number in numbers.items()]
    write_table(to_rows(Source("toy", "toy-cell"), measured), folder / "results.csv")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_two_studies_are_compared(tmp_path, capsys):
    a = {
        "same": Estimate(1.0, "nats", 0.9, 1.1, 9), "near": Estimate(1.0, "nats", 0.9, 1.1, 9),
        "far": Estimate(1.0, "nats", 0.9, 1.1, 9), "further": Estimate(1.0, "nats", 0.9, 1.1, 9),
        "plain": Estimate(1.0, "nats"), "time": Estimate(1.0, "s", 0.9, 1.1, 9), "gone": Estimate(1.0, "nats"),
    }  # fmt: skip
    b = a | {
        "near": Estimate(1.15, "nats", 1.05, 1.25, 9), "far": Estimate(1.25, "nats", 1.15, 1.35, 9),
        "further": Estimate(-9.0, "nats", -9.1, -8.9, 9), "plain": Estimate(5.0, "nats"), "time": Estimate(9.0, "s", 8, 9, 9),
        "new": Estimate(1.0, "nats"), "newer": Estimate(1.0, "nats"),
    }  # fmt: skip
    del b["gone"]
    first = write(tmp_path / "a", a, settings={"vae": {"lr": 0.1, "epochs": 3}}, environment={"torch": "2"})
    second = write(tmp_path / "b", b, settings={"vae": {"lr": 0.2, "epochs": 3}}, environment={"torch": "2"})
    found = compare_studies(first, second)
    assert found.settings == {"settings.vae.lr": (0.1, 0.2)}
    assert (found.n_shared, found.n_judged, found.n_equal, found.only) == (5, 4, 1, (1, 2))
    assert list(found.moved["metric"]) == ["further", "far"]
    assert found.moved["gap"].tolist() == pytest.approx([98.0, 0.5])
    assert main(["compare", str(first), str(second)]) == 1
    out = capsys.readouterr().out
    assert "settings.vae.lr: 0.1, there 0.2" in out and "2 of 4 with intervals moved" in out
    assert "further (): 1 [0.9, 1.1], there -9 [-9.1, -8.9] nats" in out
    assert main(["compare", str(first), str(first)]) == 0
    assert "no setting differs" in capsys.readouterr().out
    assert main(["compare", str(first), str(tmp_path)]) == 2


def keys_of(folder: Path) -> set[str]:
    return {entry.partition("{")[2].partition(",")[0] for entry in cite(folder)[0]}


def test_methods_that_were_used_are_cited_and_no_others(drawn, tmp_path, capsys):
    assert keys_of(drawn) == {"msda_analysis", "harris2020fmix", "zhang2018mixup"}
    results = ROOT / "experiments" / "results"
    found = keys_of(results / "cifar10_robustness")
    assert found >= {
        "yun2019cutmix",
        "croce2020reliable",
        "rauber2020foolbox",
        "pintor2021fast",
        "krizhevsky2009learning",
    } - {
        "krizhevsky2009learning"  # the images came from a folder, whose name says nothing
    }
    assert not found & {"kingma2014auto", "andriushchenko2020square", "kraskov2004estimating"}
    assert keys_of(results / "estimators") >= {"kraskov2004estimating", "czyz2023beyond"}
    assert {"riba2020kornia", "wightman2019timm", "torchvision2016"} <= keys_of(results / "audit")
    assert main(["cite", str(tmp_path)]) == 2
    assert main(["cite", str(results / "cifar10_robustness")]) == 0
    said = capsys.readouterr()
    assert "@inproceedings{madry2018towards" in said.out and "dataset folder:cifar10" in said.err


@pytest.mark.parametrize(
    "text, expected, unknown",
    [
        ("fmix+mixup", {"zhang2018mixup"}, False),
        ("cutmix_inside(alpha=0.3)", {"yun2019cutmix"}, False),
        ("timm:Mixup(mixup_alpha=0.8)", {"wightman2019timm", "zhang2018mixup"}, False),
        ("my_masks:CutMixLike(period=8)", set(), True),
        ("baseline", set(), False),
    ],
)
def test_texts_of_augmentations(tmp_path, text, expected, unknown):
    rows = to_rows(Source("toy", "cell", augmentation=text), [Measured("length", Estimate(1.0, "nats"))])
    write_table(rows, tmp_path / "results.csv")
    assert keys_of(tmp_path) == {"msda_analysis", "harris2020fmix", *expected}
    assert cite(tmp_path)[1] == ([f"augmentation {text}"] if unknown else [])


def test_every_reference_has_its_entry_and_is_used():
    named = {key for table in REFERENCES.values() for keys in table.values() for key in keys}
    assert named | {"rauber2020foolbox", "holm1979simple"} == set(_entries())
    for key, entry in _entries().items():
        assert re.match(rf"@[a-z]+\{{{key}, title = ", entry) and entry.count("{") == entry.count("}")
        assert re.search(r"author = \{", entry) and re.search(r"year = \{\d{4}\}", entry)


def test_a_study_that_ran_agrees(tmp_path, ran, monkeypatch):
    """Failed cells have no rows of their own to hold against."""

    def fail(*_):
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        replace_work(patch, {"pictures": fail})
        run_study(PLAN, tmp_path, progress=False)
    trace = verify(tmp_path)
    assert trace.differs == [] and len(trace.agrees) == 3 and len(NAMES) > 1 and "pictures" in STEPS
