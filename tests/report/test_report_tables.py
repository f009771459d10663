"""Tables: raw numbers for CSV, rounded ones for readers, escaped ones for LaTeX."""

import math
import shutil
import subprocess

import pandas as pd
import pytest

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.report.files import Provenance, write_csv
from msda_analysis.report.sections.published import published_table
from msda_analysis.report.sections.robustness import accuracy_table
from msda_analysis.report.select import select_rows
from msda_analysis.report.tables import (
    ResultTable,
    escape_latex,
    format_cell,
    interval_digits,
    metrics_table,
    text_table,
)
from msda_analysis.results import Source, read_table, to_rows, write_table


@pytest.fixture
def information(full_table):
    return metrics_table(full_table, ("rate", "rate_reconstructed", "mse"), name="information", caption="VAEs.")


@pytest.mark.parametrize(("cell", "text"), [
    (Estimate(45.9123, "nats", 45.6, 46.2246, 3), "45.91 ± 0.31"),
    (Estimate(45.9, "nats", 33.9, 57.9, 2), "46 ± 12"),
    (Estimate(0.25, "fraction", 0.2, 0.35, 3), "0.250 [0.200, 0.350]"),
    (Estimate(45.9123, "nats"), "45.91"),
    (Estimate(0.0, "pixels", 0.0, 0.0, 3), "0 ± 0"),
    (Estimate(0.1, "ratio", 0.1 - 1e-17, 0.1 + 2e-17, 3), "0.100000 ± 0.000000"),
    (Estimate(math.nan, "ratio", n=0), "undefined"),
    ("as it is", "as it is"),
    (None, "–"),
])  # fmt: skip
def test_cells_are_rounded_to_what_their_interval_supports(cell, text):
    assert format_cell(cell) == text


def test_interval_digits_show_two_digits_of_the_half_width():
    assert [interval_digits(1.0, half) for half in (12.0, 1.2, 0.12, 0.012)] == [0, 1, 2, 3]
    assert interval_digits(123456.0, 0.001) == 0
    assert interval_digits(1.0, math.nan) == 3


def test_information_has_a_row_per_augmentation_in_order(information, full_table):
    assert information.headers == ("Augmentation", "Seeds", "I(Z_A; X)", "I(Z_A; X-hat)", "MSE")
    assert information.units == ("", "", "nats", "nats", "squared normalized pixels")
    assert [row[0] for row in information.rows] == ["Baseline", "MixUp", "CutMix", "FMix (isotropic)"]
    assert {row[1] for row in information.rows} == {"3"}
    rates = select_rows(full_table, "rate", augmentation="mixup")["value"]
    assert information.rows[1][2].value == pytest.approx(rates.mean())


def test_one_seed_has_no_interval(full_table):
    table = metrics_table(full_table[full_table["seed"] == 0], ("rate",), name="information", caption="")
    assert {row[1] for row in table.rows} == {"1"}
    assert all(row[2].low is None and row[2].high is None for row in table.rows)
    assert "±" not in str(table.texts())


def test_one_seed_of_masks_keeps_its_interval_over_masks(full_table):
    one = full_table[full_table["seed"] == 0]
    table = metrics_table(one, ("perimeter",), name="masks", caption="", over_samples=True)
    assert all(row[2].n == 2000 and row[2].low is not None for row in table.rows)


def test_uneven_seeds_are_told(full_table):
    lost = (full_table["augmentation"] == "mixup") & (full_table["metric"] == "mse") & (full_table["seed"] == 0)
    table = metrics_table(full_table[~lost], ("rate", "mse"), name="information", caption="")
    assert [row[1] for row in table.rows] == ["3", "2 to 3", "3", "3"]


def test_csv_holds_unrounded_numbers(information, tmp_path, full_table):
    information.write(tmp_path, Provenance())
    frame = pd.read_csv(tmp_path / "information.csv")
    rates = select_rows(full_table, "rate", augmentation="fmix")["value"]
    fmix = frame[frame["Augmentation"] == "FMix (isotropic)"].iloc[0]
    assert fmix["I(Z_A; X) (nats)"] == rates.mean()
    assert fmix["I(Z_A; X) (nats) low"] < rates.min()
    assert fmix["I(Z_A; X) (nats) n"] == 3


def test_latex_is_a_booktabs_tabular_with_its_provenance(information):
    text = information.latex(Provenance(study="s", commit="abc", source="results.csv sha256 12"))
    lines = text.splitlines()
    assert lines[0] == "% study: s; commit: abc; source: results.csv sha256 12"
    assert lines[4] == r"\begin{tabular}{llrrr}"
    assert [line for line in lines if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert lines[6] == r"Augmentation & Seeds & $I(Z_A; X)$ & $I(Z_A; \hat{X})$ & MSE \\"
    assert lines[7] == r" &  & nats & nats & squared normalized pixels \\", "units in a row of their own"
    body = [line for line in lines if line.startswith("MixUp")]
    assert len(body) == 1
    assert body[0].count("&") == 4
    assert r"\pm" in body[0]


def test_a_table_with_few_rows_and_many_numbers_is_turned(full_table):
    metrics = ("kept_fraction", "perimeter", "components", "transitions_axis0", "transitions_axis1", "axis_power_ratio")
    lines = metrics_table(full_table, metrics, name="masks", caption="").latex().splitlines()
    assert r" & Unit & MixUp & CutMix & FMix (isotropic) & FMix (released) \\" in lines
    (perimeter,) = [line for line in lines if line.startswith("Perimeter")]
    assert perimeter.split(" & ")[1] == "pixels" and perimeter.count("&") == 5
    assert any(line.startswith("Seeds &  & 3 & 3 & 3 & 3") for line in lines)


@pytest.mark.parametrize(("text", "escaped"), [
    ("50 % & #1_a", r"50 \% \& \#1\_a"),
    ("a{b}$c$", r"a\{b\}\$c\$"),
    ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
    ("PGD, epsilon = 0.01", r"PGD, $\epsilon$ = 0.01"),
    ("epsilons", "epsilons"),
    ("Baseline \N{MINUS SIGN} MixUp", "Baseline $-$ MixUp"),
    ("a < |b| \N{GREATER-THAN OR EQUAL TO} 2", r"a $<$ $|$b$|$ $\geq$ 2"),
])  # fmt: skip
def test_latex_escapes(text, escaped):
    assert escape_latex(text) == escaped


@pytest.fixture
def hostile():
    """What LaTeX or a spreadsheet would take for something else, in every place of a table."""
    minus = Estimate(-0.25, "fraction", -0.5, 0.0, 3)
    rows = (("[0, 1] pixels", minus, "=1+1"), ("* starred", None, "@SUM(A1)"),
            ("Baseline \N{MINUS SIGN} MixUp", Estimate(-1.0, ""), "-0.5"), ("", minus, "-x 50 % & #1_a ^~\\{}"))  # fmt: skip
    return ResultTable("hostile", "100 % [of] it", ("[Pair]", "Value < 1", "=Note"), rows)


def test_latex_holds_no_character_and_no_bracket_that_breaks_it(hostile):
    text = hostile.latex(Provenance(study="[s]"))
    assert text.isascii(), "pdflatex knows no other characters unless told"
    assert r"Baseline $-$ MixUp & $-1$ & -0.5 \\" in text
    after_break = [line for line, before in zip(text.splitlines()[1:], text.splitlines(), strict=False)
                   if before.endswith((r"\\", "rule"))]  # fmt: skip
    assert len(after_break) == 8 and not any(line.startswith(("[", "*")) for line in after_break)
    assert [line for line in after_break if line.startswith("{}")][1:] == [
        r"{}[0, 1] pixels & $-0.25 \pm 0.25$ & =1+1 \\", r"{}* starred & -- & @SUM(A1) \\",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(hostile, tmp_path):
    document = (
        f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{hostile.latex()}\\end{{document}}\n"
    )
    (tmp_path / "t.tex").write_text(document)
    made = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, check=False)
    assert made.returncode == 0, made.stdout[-2000:]


def test_csv_text_is_no_formula_and_numbers_stay_numbers(hostile, tmp_path):
    hostile.write(tmp_path, Provenance())
    frame = pd.read_csv(tmp_path / "hostile.csv", dtype={"'=Note": str}, keep_default_na=False)
    assert list(frame.columns) == ["[Pair]", "Value < 1", "Value < 1 low", "Value < 1 high", "Value < 1 n", "'=Note"]
    assert frame["'=Note"].tolist() == ["'=1+1", "'@SUM(A1)", "-0.5", "'-x 50 % & #1_a ^~\\{}"]
    assert frame["Value < 1"].tolist() == [-0.25, "", -1.0, -0.25] or frame["Value < 1"].tolist()[0] == "-0.25"


def test_csv_of_a_figure_keeps_types_and_leaves_the_table_alone(tmp_path):
    frame = pd.DataFrame(
        {"augmentation": ["=cmd()", "mixup"], "value": [-1.5, 2.0], "seed": pd.array([None, 1], "Int64")}
    )
    before = frame.copy()
    write_csv(frame, tmp_path / "f.csv")
    assert (tmp_path / "f.csv").read_text() == "augmentation,value,seed\n'=cmd(),-1.5,\nmixup,2.0,1\n"
    pd.testing.assert_frame_equal(frame, before)


def test_undefined_numbers_are_words_in_latex():
    table = ResultTable("t", "", ("a", "b"), (("x", Estimate(math.nan, "", n=0)), ("y", Estimate(1.0, ""))))
    assert r"x & undefined \\" in table.latex()
    assert r"y & $1$ \\" in table.latex()


def test_rows_must_fit_the_headers():
    with pytest.raises(ValueError, match=r"rows: expected 2 cells as in headers, got 1: \('x',\)"):
        ResultTable("t", "", ("a", "b"), (("x",),))


def test_accuracy_table_has_clean_and_each_attack(full_table):
    table = accuracy_table(full_table, {("pgd", "linf"): 0.01, ("fgsm", "linf"): 0.03}, caption="")
    assert table.headers == ("Augmentation", "Seeds", "Clean", "PGD, epsilon = 0.01", "FGSM, epsilon = 0.03")
    rows = select_rows(full_table, "robust_accuracy", attack="fgsm", augmentation="mixup", epsilon=0.03)
    assert table.rows[1][4].value == pytest.approx(rows["value"].mean())


def test_text_table_leaves_empty_columns_out(full_table):
    failed = full_table[full_table["status"] == "failed"]
    table = text_table(failed, ("cell", "augmentation", "seed", "attack", "note"), name="failed", caption="")
    assert table.headers == ("Cell", "Augmentation", "Seed", "Note")
    assert table.rows == (("vae-fmix-9", "FMix (isotropic)", "9", "RuntimeError: loss is not finite at step 12"),)


def test_published_accuracies_stand_beside_ours(tmp_path):
    """Means over three seeds, what was published, and the difference with the interval of the mean, shifted."""
    rows = []
    for seed, accuracy in enumerate((0.95, 0.96, 0.97)):
        for family, shift in (("mixup", 0.0), ("cutmix", 0.01)):
            source = Source("rows", f"{family}-{seed}", "fashion_mnist", "preact_resnet18", family, seed)
            number = Estimate(accuracy + shift, "accuracy", accuracy + shift - 0.004, accuracy + shift + 0.004, 10000)
            rows += to_rows(source, [Measured("accuracy", number)])
    source = Source("rows", "p", "fashion_mnist", "preact_resnet18", "mixup", 0)
    rows += to_rows(source, [Measured("published_accuracy", Estimate(0.9628, "accuracy"), label="the paper's")])
    write_table(rows, tmp_path / "results.csv")
    table = published_table(read_table(tmp_path / "results.csv"), caption="")
    assert table.headers[:2] == ("Augmentation", "Seeds") and [row[:2] for row in table.rows] == [("MixUp", "3")]
    ours, published, difference = table.rows[0][2:]
    assert (ours.value, published.value) == (pytest.approx(0.96), pytest.approx(0.9628))
    assert difference.value == pytest.approx(-0.0028) and 0.01 < ours.high - ours.low < 0.06
    assert (difference.low, difference.high) == pytest.approx((ours.low - 0.9628, ours.high - 0.9628))
