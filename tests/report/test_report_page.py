"""The whole way from a study folder to figures, tables and a page that needs nothing else."""

import html
import json
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from msda_analysis.estimate import Estimate
from msda_analysis.report import page as report_page
from msda_analysis.report import write_report
from msda_analysis.report.files import Provenance, open_study, save_figure, write_bytes
from msda_analysis.report.page import (
    _describe_runs,
    _limits,
    describe_duration,
    describe_units,
    find_missing,
    flatten,
    mark_math,
    write_page,
)
from msda_analysis.report.section import FigureItem, Section, dot_figures
from msda_analysis.report.sections import SECTIONS
from msda_analysis.report.sections.notes import flags_section
from msda_analysis.report.tables import ResultTable
from msda_analysis.results import read_table, write_table


class PageReader(HTMLParser):
    """Collects what a page shows and what it would load; complains about tags that do not match."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.scripts = 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.open += [] if tag in self.VOID else [tag]
        self.images += [attributes] if tag == "img" else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.scripts += tag == "script"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", body.replace("</td>", " "))).split())


@pytest.fixture(scope="module")
def report(full_study) -> Path:
    """Drawn by two processes, as large studies are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_page, "_suited_processes", lambda _: 2)
        return write_report(full_study)


@pytest.fixture(scope="module")
def page(report) -> str:
    return report.read_text(encoding="utf-8")


@pytest.fixture
def small_study(full_table, tmp_path):
    """Writes a study folder with the VAE rows of one augmentation pair, changed by a function; no pictures."""

    def write(change=lambda table: table) -> Path:
        rows = full_table[
            full_table["metric"].isin(["rate", "mse"]) & full_table["augmentation"].isin(["baseline", "mixup"])
        ]
        records = change(rows).astype(object).where(lambda frame: frame.notna(), None).to_dict("records")
        write_table(records, tmp_path / "results.csv")
        return tmp_path

    return write


def test_report_has_every_figure_in_three_files(report):
    names = {path.stem for path in (report.parent / "figures").iterdir()}
    assert names == {"mask_laws", "mixed", "mask_details", "kept_fraction", "information", "reconstructions",
                     "robustness", "training", "claims"}  # fmt: skip
    for name in names:
        suffixes = {path.suffix for path in (report.parent / "figures").glob(f"{name}.*")}
        assert suffixes == {".pdf", ".png"} | (set() if name in ("mixed", "reconstructions") else {".csv"})


def test_report_has_every_table_in_two_files(report):
    names = sorted(path.name for path in (report.parent / "tables").iterdir())
    stems = {
        "accuracy",
        "claims",
        "flags",
        "flags_all",
        "information",
        "information_comparisons",
        "masks",
        "notes",
        "paper",
        "training_time",
    }
    assert names == sorted(f"{stem}.{suffix}" for stem in stems for suffix in ("csv", "tex"))


def test_page_loads_nothing_from_elsewhere(page):
    reader = PageReader(page)
    assert len(reader.images) == 9
    assert all(image["src"].startswith("data:image/svg+xml,") for image in reader.images)
    assert reader.scripts == 0
    assert all(link.startswith(("#", "figures/", "tables/")) for link in reader.links)
    around = re.sub(r'src="data:[^"]*"', "", page)
    assert "@import" not in around and "url(" not in around
    assert all(set(re.findall(r"url\(.", unquote(image["src"]))) <= {"url(#"} for image in reader.images)


def test_every_link_has_its_target_and_every_image_its_text(page, report):
    reader = PageReader(page)
    assert len(reader.links) > 8
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    assert all((report.parent / link).is_file() for link in reader.links if not link.startswith("#"))
    drawn = [ElementTree.fromstring(unquote(image["src"].partition(",")[2])) for image in reader.images]
    assert all(image.tag.endswith("svg") for image in drawn), "what the page shows can be drawn"
    assert len(reader.ids) == len(set(reader.ids))
    assert all(len(image["alt"]) > 20 for image in reader.images)


def test_page_tells_the_whole_story(page):
    shown = text_of(page)
    for part in (
        "Synthetic study with made-up numbers", "35 of 36 cells done, 1 failed", "21 min",  # what happened
        "MixUp's upper bound lies lower by 4.", "bounds nothing", "Student's 95", "(3 seeds)",  # findings
        "RuntimeError: loss is not finite at step 12", "1 failed cell",  # failures
        "FMix has two laws", "upper bound on the mutual information", "corrected by Holm's method",  # limits
        "accuracy rises by 0.03 between epsilon 0.1 and 0.3", "undefined for all 2000 masks",  # flags
        "msda-analysis study --dataset cifar10 --train-size 10000", "msda-analysis report FOLDER",  # reproduction
        "vae.epochs", "sha256", "2.15.0", "Classes, from left to right: a, b, c, d, e, f, g, h.",
    ):  # fmt: skip
        assert part in shown, part


def test_definitions_cover_what_is_shown_and_no_more(page):
    definitions = text_of(page[page.index('id="definitions"') : page.index('id="limits"')])
    assert "Share of clean test images" in definitions
    assert "a bound of neither kind" in definitions
    assert "Box-counting" not in definitions


def test_numbers_beside_a_figure_are_those_of_the_table(report, full_table):
    numbers = pd.read_csv(report.parent / "figures" / "information.csv")
    seeds = numbers[(numbers["level"] == "seed") & (numbers["metric"] == "rate") & (numbers["augmentation"] == "mixup")]
    rows = full_table[(full_table["metric"] == "rate") & (full_table["augmentation"] == "mixup")].sort_values("seed")
    assert seeds["value"].tolist() == rows["value"].tolist()
    assert set(numbers["interval_over"]) == {"samples", "seeds"}


def test_figures_carry_their_provenance(report):
    source = open_study(report.parent).provenance.source
    assert re.fullmatch(r"results.csv sha256 [0-9a-f]{64}", source)
    pdf = (report.parent / "figures" / "information.pdf").read_bytes()
    for part in (b"study: synthetic", source.encode(), b"msda_analysis", b"command: msda-analysis study"):
        assert part in pdf, part
    assert b"/Type3" not in pdf  # fonttype 42: text stays text
    with Image.open(report.parent / "figures" / "information.png") as image:
        assert source in image.info["Description"]
    assert source in (report.parent / "tables" / "information.tex").read_text()


def test_same_table_same_figure(full_table, tmp_path):
    provenance = Provenance(study="s")
    contents = []
    for name in ("first", "second"):
        (item,) = dot_figures(full_table, ("rate",))
        svg = save_figure(item.figure(), item.numbers, tmp_path / name / "rate", provenance)
        files = sorted((tmp_path / name).iterdir())
        assert [path.suffix for path in files] == [".csv", ".pdf", ".png"]
        contents.append([svg, *(path.read_bytes() for path in files)])
    assert contents[0] == contents[1]


def test_sections_appear_only_with_their_rows(small_study, sketched):
    path = write_report(small_study())
    reader = PageReader(path.read_text())
    assert len(reader.images) == 2
    assert {"information", "claims"} <= set(reader.ids)
    assert not {"masks", "robustness", "training", "bounds", "flags", "failed", "other"} & set(reader.ids)
    shown = text_of(path.read_text())
    assert (
        "Not part of this study: clean accuracy, accuracy under attack, shape of the masks, spectrum of the masks."
        in shown
    )
    assert "Incomplete" not in shown, "leaving something out is a choice, not a fault"
    assert "There is no manifest.json" in shown
    assert "FMix has two laws" not in shown


def test_nothing_stands_on_the_page_from_memory(page, report):
    """Neither figures that nobody could check, nor a law of the published runs that nobody knows."""
    shown = text_of(page).lower()
    assert "unverified" not in shown and "from memory" not in shown and "78.05" not in shown
    assert "which of the two the published fmix results were made with is not known" in shown
    assert not list((report.parent / "tables").glob("published*"))


def test_the_law_of_published_classifiers_is_not_guessed(full_table):
    for is_published, law in ((False, "isotropic"), (True, "not known")):
        runs = {run[:2]: run[2] for run in _describe_runs(full_table, is_published=is_published)}
        assert runs["small_cnn, cifar10", "FMix (isotropic)"] == law and runs["small_cnn, cifar10", "MixUp"] == ""
        assert runs["masks, cifar10", "FMix (isotropic)"] == "isotropic"


def test_a_single_seed_of_masks_or_of_pairs_is_no_single_run(write_study, tmp_path):
    folder = write_study(tmp_path, "classifier", "attacked", "masks", n_seeds=3)
    table = read_table(folder / "results.csv")
    once = table[(table["model"] != "") | (table["seed"] == 0)]
    assert _few_seeds(once) == []
    assert _few_seeds(once[once["seed"] == 0]) == [report_page._FEW_SEEDS[1]]


def _few_seeds(table):
    return [text for text in _limits(table, []) if text in report_page._FEW_SEEDS.values()]


def test_an_empty_study_says_that_nothing_was_measured(tmp_path):
    write_table([], tmp_path / "results.csv")
    shown = text_of(write_report(tmp_path).read_text())
    assert "Incomplete. Nothing was measured yet." in shown and "Not part of this study" not in shown


def test_the_number_of_threads_is_said_where_it_is_known(small_study, sketched):
    folder = small_study()
    assert "the number of threads" not in text_of(write_report(folder).read_text())
    (folder / "manifest.json").write_text('{"environment": {"threads": "1 and 2"}}')
    assert "depend on the number of threads, which was 1 and 2 for each cell" in text_of(
        write_report(folder).read_text()
    )


def test_a_missing_seed_and_a_nan_are_told(small_study):
    def spoil(table):
        lost = (table["augmentation"] == "mixup") & (table["seed"] == 2)
        spoiled = (table["metric"] == "mse") & (table["seed"] == 1) & (table["augmentation"] == "mixup")
        return table[~lost].assign(value=table["value"].mask(spoiled, float("nan")))

    missing = find_missing(read_table(small_study(spoil) / "results.csv"))
    assert "I(Z_A; X) (vae): MixUp lacks seed 2." in missing
    assert "1 finished rows hold NaN and are not drawn: metrics mse." in missing


def test_contradicting_rows_cost_one_section_and_are_told(small_study, sketched):
    path = write_report(small_study(lambda table: pd.concat([table, table.head(1).assign(cell="again")])))
    assert "Section 'information' could not be made: rows: expected one row per seed, got 2" in text_of(
        path.read_text()
    )


def test_our_own_mistakes_are_not_hidden(small_study):
    def broken_section(table, folder):
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        write_page(small_study(), [broken_section])


def test_a_further_section_needs_one_function(small_study, sketched):
    def extra_section(table, folder):
        assert (folder / "results.csv").exists()
        return Section("extra", "An extra section", ("Its text.",), findings=("A finding with I(Z_A; X-hat) & more.",))

    page = write_page(small_study(), [*SECTIONS, extra_section]).read_text()
    assert "An extra section Its text." in text_of(page)
    assert "<i>I</i>(<i>Z<sub>A</sub></i>; <i>X̂</i>) &amp; more" in page


def test_unknown_metrics_are_shown_as_they_are(small_study, sketched):
    page = write_report(small_study(lambda table: table.assign(metric="novelty"))).read_text()
    assert "6 of 6 rows whose metric has no figure here" in text_of(page) or "12 of 12 rows whose metric" in text_of(
        page
    )
    assert "novelty" in page


def test_tested_comparisons_and_likeness_have_their_sections(write_study, tmp_path):
    page = write_report(write_study(tmp_path, "classifier", "attacked")).read_text()
    shown = text_of(page)
    assert "Baseline − MixUp PGD 0.01 −0.100 ± 0.040 0.004 MixUp" in shown
    assert "Baseline − CutMix PGD 0.01" in shown
    assert "undecided" in shown
    assert "more robust:" not in shown  # the verdict has its own column
    assert {"comparisons", "likeness"} <= set(PageReader(page).ids)
    numbers = pd.read_csv(tmp_path / "figures" / "likeness_details.csv")
    numbers = numbers.fillna({"reference": ""})
    assert set(zip(numbers["attack"], numbers["reference"], strict=True)) == {
        ("pgd", ""),
        ("pgd", "shuffled"),
        ("gaussian", ""),
    }


def test_spectra_of_perturbations_do_not_count_as_masks(write_study, tmp_path):
    page = write_report(write_study(tmp_path, "masks", "attacked")).read_text()
    assert "could not be made" not in page
    assert "mask_laws" in {path.stem for path in (tmp_path / "figures").iterdir()}


def test_text_from_a_study_cannot_become_markup(small_study, sketched):
    folder = small_study(lambda table: table.assign(note="<script>alert(1)</script>"))
    (folder / "manifest.json").write_text(json.dumps({"title": "<b>bold</b>", "command": "a && b <c>"}))
    page = write_report(folder).read_text()
    assert PageReader(page).scripts == 0
    assert "&lt;b&gt;bold&lt;/b&gt;" in page


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a study folder with results.csv in it"):
        write_report(tmp_path)


def test_a_foreign_table_is_refused_and_the_old_report_kept(tmp_path):
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected a results table"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == "old"


def test_a_damaged_manifest_is_refused(small_study):
    folder = small_study()
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest.json: expected JSON, got text that does not parse"):
        write_report(folder)
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(TypeError, match=r"manifest.json: expected a JSON object, got list"):
        write_report(folder)


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    write_bytes(tmp_path / "a.pdf", b"old")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(tmp_path / "a.pdf", b"new")
    assert (tmp_path / "a.pdf").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]


def test_formulas_are_typeset_after_escaping():
    assert (
        mark_math("I(Z_A; X) < I(X; Z)") == "<i>I</i>(<i>Z<sub>A</sub></i>; <i>X</i>) &lt; <i>I</i>(<i>X</i>; <i>Z</i>)"
    )
    assert mark_math("PGD, epsilon = 0.1") == "PGD, <i>ε</i>\u00a0=\u00a00.1"
    assert mark_math("DeepFool (fraction, epsilon = 0.04)") == "DeepFool (fraction, <i>ε</i>\u00a0=\u00a00.04)", (
        "no break within"
    )
    assert mark_math("-0.02 [-0.1, 0.05], 1e-05, 2026-01-31") == "\u22120.02 [\u22120.1, 0.05], 1e-05, 2026-01-31"
    assert mark_math("epsilons of <x>") == "epsilons of &lt;x&gt;"


def test_settings_are_flattened():
    nested = {"vae": {"epochs": 15, "note": "a"}, "on": True, "list": [1, 2], "long": list(range(30)), "none": None}
    pairs = dict(flatten(nested))
    assert pairs["vae.epochs"] == "15"
    assert (pairs["vae.note"], pairs["on"], pairs["list"], pairs["none"]) == ("a", "true", "1, 2", "null")
    assert pairs["long"].endswith("19, ... (30 in all)")


@pytest.mark.parametrize(("seconds", "words"), [(90, "90 s"), (1234.5, "21 min"), (9000, "2.5 h"), (None, "")])
def test_durations(seconds, words):
    assert describe_duration(seconds) == words


def test_the_page_says_in_which_units_vaes_see_images():
    text = describe_units({"mean": [0.5, 0.25], "std": [0.2, 1 / 3]})
    assert "mean 0.5, 0.25 and std 0.2, 0.3333" in text and "[0, 1] pixel units" in text
    assert describe_units({}) == ""


def test_damage_is_said_on_the_page(small_study, sketched):
    shown = text_of(
        write_report(small_study(), ["cells/a/rows.csv is missing; the cell counts as not done"]).read_text()
    )
    assert "Incomplete. cells/a/rows.csv is missing; the cell counts as not done" in shown


def test_the_first_screen_answers_and_the_rest_is_folded(page):
    head = text_of(page[page.index('class="findings"') : page.index("<nav")])
    assert (
        "What was asked, and what came out" in head
        and "VAEs on cifar10: Baseline, MixUp, CutMix, FMix (isotropic); 3 training seeds each." in head
    )
    assert (
        "Claim (e) MixUp lowers what a VAE encodes of clean images, by an upper bound: supported." in head
        and "figure-claims" in page
    )
    assert head.index("claims of the paper this study supports ") < head.index("VAEs on cifar10")
    assert "Bars: 95 % intervals. Grey: no practical difference." in head.replace("\u202f", " ")
    assert "2026-01-01 00:00 UTC" in text_of(page)
    assert "Clean accuracy, against Baseline" not in head and "Clean accuracy, against Baseline" in text_of(page)
    for part in ("Definitions: what each", "Reproduce: commands, provenance", "What was run: data, models"):
        assert f"<details><summary>{part}" in page, part
    subject = page[page.index('<section id="masks">') : page.index('<section id="information">')]
    opened = re.sub(r"<details>.*?</details>", "", subject, flags=re.DOTALL)
    assert opened.count("<figure") == 1 and opened.count("<table") == 0 and subject.count("<figure") == 4
    assert "prefers-color-scheme: dark" in page and "max-width: 640px" in page


def test_one_row_is_no_rows_and_a_section_without_definitions_has_none(small_study):
    def one_family(rows):
        return rows[rows["augmentation"].isin(["baseline", "mixup"]) & (rows["metric"] != "flag")]

    page = write_report(small_study(one_family)).read_text()
    assert "(1 row)" in page and "1 rows" not in page


def test_tables_with_many_more_columns_than_rows_are_turned_on_the_page_as_in_print():
    numbers = tuple(Estimate(float(i), "pixels", i - 0.5, i + 0.5, 10) for i in range(8))
    flat = ResultTable("flat", "", ("Family", *(f"number {i}" for i in range(8))), (("MixUp", *numbers), ("FMix", *numbers)),
                       ("", *["pixels"] * 8))  # fmt: skip
    turned = flat.upright()
    assert turned.titles == ["", "Unit", "MixUp", "FMix"] and turned.rows[3] == (
        "number 3",
        "pixels",
        numbers[3],
        numbers[3],
    )
    assert turned.upright() is turned and turned.is_folded == flat.is_folded


def test_warnings_are_counted_by_kind(full_table, tmp_path):
    clean = full_table[full_table["metric"] != "flag"]
    flag = full_table[full_table["metric"] == "flag"]
    many = [flag.assign(seed=seed, note=f"accuracy rises by 0.0{seed}") for seed in range(3)]
    flags, every, notes = flags_section(pd.concat([clean, *many]), tmp_path).tables
    assert flags.rows == (("not monotone", "3 of 12 runs", "DeepFool", "accuracy rises by 0.00"),)
    assert len(every.rows) == 3 and every.is_folded and notes.is_folded and not flags.is_folded
    assert notes.rows == (("3 of 12 runs", "axis_power_ratio", "undefined for all 2000 masks"),)


def test_titles_of_folds_end_without_a_point(page):
    titles = re.findall(r"<summary>(.*?)</summary>", page)
    assert titles and not [title for title in titles if title.endswith(".")]


def test_a_small_figure_is_not_panned(small_study):
    def small_section(table, folder):
        del table, folder
        items = (
            FigureItem(f"wide_{width}", None, partial(Figure, figsize=(width, 1)), "Nothing.", "")
            for width in (3.3, 6.9)
        )
        return Section("small", "Small", figures=tuple(items))

    page = report_page.write_page(small_study(), [small_section]).read_text()
    assert re.search(r'<div><img [^>]*width="389"', page) and re.search(r'<div class="pan"><img [^>]*width="814"', page)


def test_units_of_vaes_are_told_where_there_are_some(write_study, tmp_path):
    for parts, is_told in ((("vae",), True), (("masks",), False)):
        folder = write_study(tmp_path / parts[0], *parts)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["dataset"] = {**manifest["dataset"], "mean": [0.5], "std": [0.2]}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert ("VAEs see pixels" in report_page.write_page(folder, []).read_text()) == is_told
