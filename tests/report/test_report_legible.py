"""What is drawn can be read: contrast, tick labels that keep apart, legends and labels inside their place."""

import itertools

import pandas as pd
import pytest
from matplotlib.figure import Figure

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.report.draw import heat_map
from msda_analysis.report.fitting import fit_texts
from msda_analysis.report.forest import draw_forest
from msda_analysis.report.panels import add_legend, draw_ceiling, grid
from msda_analysis.report.section import _list_metrics
from msda_analysis.report.sections.encoders import draw_bounds
from msda_analysis.report.sections.training import training_figure
from msda_analysis.report.style import contrast_of, spare_looks, styled
from msda_analysis.results import Source, read_table, to_rows, write_table


def shown_ticks(axis):
    """Boxes of the tick labels that are drawn."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1.get_window_extent() for tick in axis.get_major_ticks()
            if low <= tick.get_loc() <= high and tick.label1.get_text()]  # fmt: skip


def meet(boxes):
    return any(left.overlaps(right) for left, right in itertools.combinations(boxes, 2))


def test_contrast_is_that_of_wcag():
    assert contrast_of("white", "black") == pytest.approx(21)
    assert contrast_of("#777777", "white") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colors", ["RdBu", "PuOr", "viridis"])
def test_every_number_of_a_heat_map_can_be_read(colors):
    cells = pd.DataFrame(
        {
            "row": "a",
            "column": range(41),
            "value": [i / 20 - 1 for i in range(41)],
            "text": "-0.1",
            "bold": [i % 2 == 0 for i in range(41)],
        }
    )
    ax = Figure().add_subplot()
    heat_map(ax, cells, "row", "column", text="text", bold="bold", cmap=colors, vmin=-1, vmax=1)
    for text, color in zip(ax.texts, ax.collections[0].to_rgba(cells["value"].to_numpy()), strict=True):
        assert contrast_of(text.get_color(), color) >= 4.5, (text.get_color(), color)


@styled
def numbered(width):
    cells = pd.DataFrame({"row": "a", "column": range(6), "value": 0.0, "text": "-13.22!", "bold": True})
    figure = Figure(figsize=(width, 1.5), layout="constrained")
    ax = figure.add_subplot()
    heat_map(ax, cells, "row", "column", text="text", bold="bold", vmin=-1, vmax=1)
    fit_texts(figure)
    return ax


def test_numbers_of_a_heat_map_fit_into_their_cells():
    narrow, wide = numbered(2.0), numbered(6.0)
    assert not meet([text.get_window_extent() for text in narrow.texts])
    assert float(narrow.texts[0].get_fontsize()) < float(wide.texts[0].get_fontsize()) == 6


def forest_of(
    low, high, question="Less information, by its upper bound? (Flow marginal)", said="undecided; needs about 4 seeds"
):
    rows = [{"question": question, "side": side, "augmentation": side, "value": (low + high) / 2, "low": low, "high": high,
             "unit": "nats", "margin": 0.1, "said": said} for side in ("mixup", "cutmix", "fmix")]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("ends", [(-1.93, 0.18), (-31.0, 15.0), (-0.0123, 0.0045), (-4.6, 1.7)])
def test_tick_labels_of_the_headline_figure_keep_apart(ends):
    figure = draw_forest(forest_of(*ends))
    figure.draw_without_rendering()
    ticks = shown_ticks(figure.axes[0].xaxis)
    assert len(ticks) > 1 and not meet(ticks)


def test_verdicts_of_several_lines_keep_apart_in_a_column(monkeypatch):
    monkeypatch.setattr("msda_analysis.report.forest.page_width", lambda _: 3.3)
    figure = draw_forest(forest_of(-2.0, 1.0))
    styled(fit_texts)(figure)
    assert not meet([text.get_window_extent() for text in figure.axes[0].texts])


BOUNDS = ("rate, upper", "fitted diagonal, upper", "fitted full, upper", "fitted mixture, upper", "best fitted marginal, upper",
          "flow, upper", "leave-one-out, upper", "InfoNCE, lower")  # fmt: skip


@styled
def legend_of(width):
    figure = Figure(figsize=(width, 2), layout="constrained")
    figure.add_subplot()
    add_legend(figure, spare_looks(BOUNDS), ncols=4, labels=str)
    fit_texts(figure)
    return figure


@pytest.mark.parametrize("width", [6.7, 6.8, 6.9])
def test_legends_fit_at_every_resolution(width):
    figure = legend_of(width)
    for dpi in (100, 300):
        figure.set_dpi(dpi)
        figure.draw_without_rendering()
        (legend,) = figure.legends
        assert legend.get_window_extent().width <= figure.bbox.width, dpi


def test_labels_of_panels_side_by_side_do_not_meet():
    figure, axes = styled(grid)(2, 2, 1.5, share_y=False, width=3.3)
    for ax in axes:
        ax.set_yticks([0, 1], ["FMix (isotropic)", "FMix (released)"])
        ax.set_xlabel("between VAEs, estimate (nats)")
    axes[1].tick_params(labelleft=False)
    styled(fit_texts)(figure)
    assert not meet([ax.xaxis.label.get_window_extent() for ax in axes])


def bounds(truths):
    return pd.DataFrame(
        {"group": group, "method": "rate", "truth": truth, "tolerance": 0.3, "value": truth, "low": truth, "high": truth, "bound": "upper",
         "ceiling": 9.0} for group in ("a", "b", "c") for truth in truths
    )  # fmt: skip


@pytest.mark.parametrize("truths", [(2.0, 10.0, 40.0, 80.0), (0.3, 5.0, 26.0)])
def test_ticks_of_bounds_keep_apart_in_a_column(truths, monkeypatch):
    monkeypatch.setattr("msda_analysis.report.sections.encoders.page_width", lambda _: 3.3)
    figure = draw_bounds(bounds(truths))
    figure.draw_without_rendering()
    for ax in figure.axes[3:]:
        assert not meet(shown_ticks(ax.xaxis)) and shown_ticks(ax.xaxis)


def test_the_words_on_a_ceiling_stand_on_paper():
    ax = Figure().add_subplot()
    draw_ceiling(ax, 3.0)
    paper = ax.texts[0].get_bbox_patch()
    assert paper is not None and paper.get_facecolor()[:3] == (1, 1, 1)


def test_epochs_are_counted_in_whole_numbers(tmp_path):
    source = Source("made-up", "a", "digits", "vae", "baseline", 0)
    rows = to_rows(source, [Measured("train_loss", Estimate(1.0 / x, "nats"), x=x) for x in (1, 2, 3, 4)])
    write_table(rows, tmp_path / "results.csv")
    (ax,) = training_figure(read_table(tmp_path / "results.csv")).figure().axes
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_a_caption_names_few_metrics_and_counts_the_others():
    assert _list_metrics(["rate", "mse"]) == "I(Z_A; X), MSE"
    many = _list_metrics(["perimeter", "components", "holes", "euler_number", "anisotropy", "rate", "mse"])
    assert many == "Perimeter, Components, Holes, Euler number and 3 more"
