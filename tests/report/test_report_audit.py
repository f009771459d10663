"""The audit's figures show what their tables say."""

import itertools
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from msda_analysis.audit import Finding, released_versus_paper
from msda_analysis.report.fitting import fit_texts, texts_outside
from msda_analysis.report.sections.audit import audit_section, draw_findings, draw_laws
from msda_analysis.report.style import styled


@pytest.fixture(scope="module")
def comparison():
    return pd.DataFrame(released_versus_paper(30))


def findings():
    return pd.DataFrame(
        [
            Finding("ok", "kept share").row("ours", "label_weight"),
            Finding("not applicable", "no boxes").row("ours", "box_sides"),
            Finding("fault", "not the kept share", 0.18, 0.0, "", "B1").row("theirs", "label_weight"),
            Finding("fault", "always even", 0.0, 0.5, "", "B4").row("theirs", "box_sides"),
            Finding("differs", "roll by 1").row("theirs", "pairing"),
        ]
    )


def test_the_comparison_draws_both_laws_and_their_numbers(comparison, tmp_path):
    figure = draw_laws(comparison)
    assert isinstance(figure, Figure)
    titles = {axes.get_title() for axes in figure.axes}
    assert {"Share of power", "Mask, $\\delta$ = 3"} <= titles
    regions: Any = next(axes for axes in figure.axes if axes.get_xlabel() == "regions per mask")
    drawn = sorted(x for dots in regions.collections for x, _ in dots.get_offsets() if len(dots.get_offsets()) > 1)
    assert drawn == pytest.approx(sorted(comparison.loc[comparison["metric"] == "regions", "value"]))
    empty = [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text() == "no power"]
    assert len(empty) == 1
    figure.savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").stat().st_size > 1000


def test_a_comparison_without_one_law_is_refused(comparison):
    with pytest.raises(ValueError, match="records: expected both laws, isotropic, released; released is missing"):
        draw_laws(comparison[comparison["law"] == "isotropic"])
    with pytest.raises(ValueError, match=r"table: expected columns law; found: "):
        draw_laws(comparison.drop(columns="law"))


def test_the_matrix_names_faults_and_explains_them():
    figure = draw_findings(findings())
    axes = figure.axes[0]
    cells = {(text.get_position()): text.get_text() for text in axes.texts}
    assert cells == {(0.5, 0.5): "✓", (1.5, 0.5): "", (0.5, 1.5): "B1", (1.5, 1.5): "B4", (2.5, 1.5): "≠"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ours", "theirs"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["label weight", "box sides", "pairing"]
    key = figure.axes[1].texts[0].get_text().split("\n")
    assert [line.split()[0] for line in key] == ["B1", "B4"]
    assert "drawn lambda" in key[0]


def test_a_column_of_print_has_the_checks_that_tell_implementations_apart(monkeypatch):
    monkeypatch.setattr("msda_analysis.report.sections.audit.page_width", lambda _: 3.3)
    rows = pd.concat(
        [
            findings(),
            pd.DataFrame([Finding("ok", "one mask an image").row(name, "mask_sharing") for name in ("ours", "theirs")]),
        ]
    )
    figure = draw_findings(rows)
    styled(fit_texts)(figure)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["label weight", "box sides", "pairing"]
    key = figure.axes[1].texts[0].get_text()
    assert key.endswith("or not applicable for all: mask sharing")
    assert texts_outside(figure) == [] and not text_boxes_meet(figure.axes[0].get_yticklabels())


def text_boxes_meet(labels):
    boxes = [label.get_window_extent() for label in labels]
    return any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_the_laws_stand_side_by_side_in_a_column_of_print(comparison, monkeypatch):
    monkeypatch.setattr("msda_analysis.report.sections.audit.page_width", lambda _: 3.3)
    figure = draw_laws(comparison)
    styled(fit_texts)(figure)
    paper, released = (next(ax for ax in figure.axes if ax.get_title() == name) for name in ("Paper", "Released code"))
    assert paper.get_position().y0 == pytest.approx(released.get_position().y0)
    masks = [ax for ax in figure.axes if ax.images]
    assert len(masks) == 4 and all(ax.get_window_extent().width > 0.25 * figure.bbox.width for ax in masks)
    assert texts_outside(figure) == [] and not text_boxes_meet(paper.get_xticklabels())


def test_an_empty_matrix_is_refused():
    with pytest.raises(ValueError, match="rows: expected the rows of an audit, got an empty table"):
        draw_findings(findings().iloc[:0])
    with pytest.raises(ValueError, match="expected columns verdict; found"):
        draw_findings(findings().drop(columns="verdict"))


def test_the_page_says_whose_masks_cannot_be_read(tmp_path):
    findings().assign(note="seen").to_csv(tmp_path / "audit.csv", index=False)
    (told,) = audit_section(pd.DataFrame(), tmp_path).findings
    assert told.startswith("1 of 2 implementations contradict their own labels or the law of their name: theirs. ")
    assert told.endswith(": B1, B4.")
    follows = pd.DataFrame([Finding("not applicable", "masks follow the images").row("theirs", "repeats")])
    pd.concat([findings(), follows]).assign(note="seen").to_csv(tmp_path / "audit.csv", index=False)
    _, told = audit_section(pd.DataFrame(), tmp_path).findings
    assert "cannot be read from probe images" in told and told.endswith("do not apply to theirs.")
