"""The main table, and that printed tables fit the page."""

import re
import shutil
import subprocess

import pytest

from msda_analysis.estimate import Estimate
from msda_analysis.report.columns import fit_columns, width_of
from msda_analysis.report.sections import SECTIONS
from msda_analysis.report.sections.paper import paper_section
from msda_analysis.report.tables import Marked, ResultTable, format_cell

LATEX = shutil.which("pdflatex")


def overfull(text: str, folder, inches: str) -> list[str]:
    """How far lines of a document with these tables reach over its width."""
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\usepackage[margin=0.5in,paperwidth=8.5in,paperheight=100in]{geometry}\\hfuzz=0.5pt\\begin{document}"
        f"\\noindent\\begin{{minipage}}{{{inches}in}}\\noindent\n{text}\\end{{minipage}}\\end{{document}}\n"
    )
    (folder / "t.tex").write_text(document)
    made = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=folder, capture_output=True, check=False)
    said = made.stdout.decode(errors="replace")
    assert made.returncode == 0, said[-1000:]
    return re.findall(r"Overfull \\hbox .*", said)


def test_the_main_table_has_families_by_main_numbers(full_study, full_table):
    (table,) = paper_section(full_table, full_study).tables
    assert table.name == "paper" and table.headers[:3] == ("Augmentation", "I(Z_A; X)", "Clean accuracy")
    assert table.headers[3:] == ("Uniform noise", "DeepFool") and table.units[3].startswith("fraction, epsilon = ")
    assert [row[0] for row in table.rows] == ["Baseline", "MixUp", "CutMix", "FMix (isotropic)"]
    assert table.caption.endswith("3 training seeds each.")
    for k in range(2, 5):
        values = [row[k].value for row in table.rows]
        assert [row[k].is_best for row in table.rows] == [value == max(values) for value in values]
    assert not any(row[1].is_best for row in table.rows), "neither end of an information is the better one"
    marks = [row[1].mark for row in table.rows]
    assert marks[0] == "" and marks[1] == "*", "4 nats between VAEs of 0.3 nats spread"


def test_marks_are_bold_and_an_asterisk():
    cell = Marked(0.5, "fraction", 0.4, 0.6, 3, is_best=True, mark="*")
    assert format_cell(cell) == "0.50 ± 0.10* (best)"
    text = ResultTable("t", "", ("a", "b"), (("x", cell), ("y", Estimate(0.4, "fraction"))), ("", "fraction")).latex()
    assert r"x & $\mathbf{0.50} \pm 0.10^{*}$ \\" in text and "y & $0.4$" in text
    assert text.splitlines()[3:6] == [r"\toprule", r"a & b \\", r" & fraction \\"]


def test_what_fits_a_column_is_set_in_one_and_else_in_two():
    few = fit_columns([["Augmentation", "Rate"], ["FMix (isotropic)", "45.1 ± 0.2"]], 1, [False, True], (3.3, 6.9))
    many = fit_columns([["Family"] + ["Rate"] * 6, ["FMix"] + ["45.1 ± 0.2"] * 6], 1, [False] + [True] * 6, (3.3, 6.9))
    assert (few.room, many.room) == (3.3, 6.9)


def test_long_text_gets_lines_and_too_many_columns_are_cut():
    words = "Flow marginal, an upper bound on what a code holds of clean images " * 3
    layout = fit_columns([["Subject", "Value"], [words, "45.1"]], 1, [False, True])
    assert layout.widths[0] is not None and layout.widths[0] < 6.9 * 72.27 and layout.kind(0).startswith("p{")
    cut = fit_columns([["Case"] + ["Method"] * 60, ["a"] + ["45.1 ± 0.2"] * 60], 1, [False] + [True] * 60)
    assert len(cut.blocks) > 1 and all(block[0] == 0 for block in cut.blocks)
    assert sorted(i for block in cut.blocks for i in block[1:]) == list(range(1, 61))
    assert max(sum(width_of("45.1 ± 0.2", 7) for _ in block) for block in cut.blocks) < 6.9 * 72.27


@pytest.mark.skipif(LATEX is None, reason="no pdflatex on this machine")
def test_every_table_of_a_study_fits_its_width(full_study, full_table, tmp_path):
    made = [maker(full_table, full_study) for maker in SECTIONS]
    tables = [table for section in made if section is not None for table in section.tables]
    assert len(tables) > 6
    for table in tables:
        text = table.latex()
        (inches,) = re.findall(r"% at most ([\d.]+) inches wide", text)
        assert not overfull(text, tmp_path, inches), table.name


@pytest.mark.skipif(LATEX is None, reason="no pdflatex on this machine")
def test_a_wide_table_with_long_words_fits(tmp_path):
    number = Estimate(-1234.5, "nats", -1240.0, -1229.0, 3)
    rows = tuple(
        (f"case_{i}: normal, 25 dimensions with a long name", *[number] * 14, "warned: " + "why " * 20)
        for i in range(20)
    )
    table = ResultTable("t", "", ("Case", *(f"Estimator_{k}, K = {k} neighbors" for k in range(14)), "Warnings"), rows)
    assert not overfull(table.latex(), tmp_path, "6.9")
