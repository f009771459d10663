"""What a section of the page costs: one file and one line."""

import ast
import sys
from pathlib import Path

from msda_analysis import report
from msda_analysis.report import page, sections
from msda_analysis.report.words import is_known, metric_of
from msda_analysis.results import read_table

SHARED = sorted(Path(report.__file__).parent.glob("*.py"))
SECTION = '''
"""A subject of its own: words, figure, table and finding."""
from msda_analysis.report.section import MEANS, Section, dot_figures, metric_tables, present
from msda_analysis.report.words import Metric, define

define({"novelty": Metric("Novelty", "novelty", "How new it is.")})

def novelty_section(table, folder):
    shown = present(table, ["novelty"])
    return Section(
        "novelty", "How new?", findings=("It is new.",), figures=dot_figures(table, shown, "novelty", "images"),
        tables=metric_tables(table, shown, "novelty", MEANS), metrics=tuple(shown),
    ) if shown else None
'''


def test_a_section_is_one_file_and_one_line(write_study, tmp_path, monkeypatch):
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path / "package")])
    monkeypatch.setattr("msda_analysis.report.words._METRICS", dict(__import__("msda_analysis.report.words", fromlist=["_METRICS"])._METRICS))  # fmt: skip
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "novelty.py").write_text(SECTION)
    folder = write_study(tmp_path / "study", "vae")
    results = folder / "results.csv"
    results.write_text(results.read_text().replace(",mse,", ",novelty,"))

    from msda_analysis.report.sections import novelty  # pyright: ignore

    made = page.write_page(folder, [*sections.SECTIONS, novelty.novelty_section]).read_text()
    sys.modules.pop("msda_analysis.report.sections.novelty")
    for part in ("How new?", "It is new.", "<dt>Novelty</dt>", "figure-novelty", "tables/novelty.csv"):
        assert part in made, part
    assert "Other measurements" not in made, "its metric is known by the one file"
    assert {path.name for path in (folder / "figures").glob("novelty.*")} == {
        "novelty.csv",
        "novelty.pdf",
        "novelty.png",
    }


def imports_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_shared_modules_import_no_section_and_sections_import_no_other():
    for path in SHARED:
        if path.name != "__init__.py":  # the door
            assert not any(name.startswith(sections.__name__) for name in imports_of(path)), path.name
    for path in Path(sections.__file__).parent.glob("*.py"):
        assert path.name == "__init__.py" or not any(name.startswith(sections.__name__) for name in imports_of(path))


def test_every_metric_of_a_study_has_words(full_study):
    metrics = set(read_table(full_study / "results.csv")["metric"]) - {"failure"}
    assert all(is_known(name) for name in metrics)
    assert metric_of("info_nce_ceiling").label == "InfoNCE, ceiling" and metric_of("some_thing").label == "Some thing"
