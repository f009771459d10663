"""Figures, through their artists: what is drawn are the numbers of the table, as they stand."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from msda_analysis.report import draw
from msda_analysis.report.export import make_figure
from msda_analysis.report.laws import CURVES
from msda_analysis.report.section import dot_figures
from msda_analysis.report.sections import masks, robustness, training
from msda_analysis.report.select import select_rows, summarize
from msda_analysis.report.style import DOUBLE_COLUMN, looks_for, paper_style
from msda_analysis.report.words import axis_label

LABELS = ["Baseline", "MixUp", "CutMix", "FMix (isotropic)"]


@pytest.fixture
def numbers(full_table):
    return summarize(select_rows(full_table, ("rate", "mse")), ("metric", "augmentation"))


def points(ax) -> set:
    return {float(x) for marks in ax.collections for x, _ in marks.get_offsets() if len(marks.get_paths()) == 1 or marks.get_offsets().any()}  # fmt: skip


def ends(ax) -> set:
    """Both ends of every interval that is drawn along x."""
    return {
        tuple(part[:, 0]) for bars in ax.collections if hasattr(bars, "get_segments") for part in bars.get_segments()
    }


def curves_of(ax) -> dict[str, list]:
    """Lines with markers, by color."""
    return {
        mpl.colors.to_hex(line.get_color()): line for line in ax.lines if line.get_marker() not in ("", "None", None)
    }


def test_dots_and_intervals_are_those_of_the_table(numbers):
    """Also those that no statistic would give: nothing is computed again."""
    moved = numbers.assign(low=numbers["value"] - numbers.index - 1, high=numbers["value"] + 0.5)
    ax = draw.dots(moved, panels=[("rate",)]).axes[0]
    rows = moved[moved["metric"] == "rate"]
    assert points(ax) >= set(rows["value"])
    assert ends(ax) == set(zip(rows["low"], rows["high"], strict=True))
    widths = sorted({float(bars.get_linewidth()[0]) for bars in ax.collections if hasattr(bars, "get_segments")})
    assert widths == [0.7, 2.6], "thin for seeds, thick for means"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == LABELS
    assert ax.get_xlabel() == "$I(Z_A;\\,X)$ (nats)" and ax.get_ylim() == (3.5, -0.5)


def test_symbols_have_the_look_of_their_augmentation(numbers):
    ax = draw.dots(numbers[numbers["augmentation"] == "mixup"], panels=[("rate",)]).axes[0]
    edges = {mpl.colors.to_hex(color) for marks in ax.collections for color in marks.get_edgecolor()}
    assert looks_for(["mixup"])["mixup"].color.lower() in edges
    seeds, mean = [marks for marks in ax.collections if len(marks.get_offsets()) and not hasattr(marks, "get_segments")]
    assert len(seeds.get_offsets()) == 3 and len(mean.get_offsets()) == 1
    assert len(set(seeds.get_offsets()[:, 1])) == 3, "side by side: equal values stay visible"
    assert mpl.colors.to_hex(seeds.get_facecolor()[0]) == "#ffffff"


def test_one_seed_has_no_mean_and_what_was_not_measured_stays_empty(full_table):
    rows = select_rows(full_table[full_table["seed"] == 0], ("rate", "mse"))
    lost = rows[(rows["metric"] == "mse") | (rows["augmentation"] != "mixup")]
    ax = draw.dots(summarize(lost, ("metric", "augmentation")), panels=[("rate",)]).axes[0]
    assert len(ends(ax)) == 3 and [tick.get_text() for tick in ax.get_yticklabels()] == LABELS


def test_long_units_get_a_line_of_their_own_and_repeated_ones_none():
    assert axis_label("perimeter", "pixels") == "perimeter (pixels)"
    long = axis_label("spectral_slope", "log power per log frequency")
    assert long == "spectral slope\n(log power per log frequency)"
    assert axis_label("holes", "holes") == "holes"


def test_curves_are_those_of_the_table_with_zero_in_place(full_table):
    item = robustness.accuracy_figure(full_table)
    figure = item.figure()
    ax = next(ax for ax in figure.axes if ax.get_title() == "PGD")
    means = item.numbers[(item.numbers["level"] == "mean") & (item.numbers["attack"] == "pgd")]
    cutmix = means[means["augmentation"] == "cutmix"].sort_values("epsilon")
    line = curves_of(ax)[looks_for(["cutmix"])["cutmix"].color.lower()]
    np.testing.assert_array_equal(line.get_xdata(), cutmix["epsilon"])
    np.testing.assert_array_equal(line.get_ydata(), cutmix["value"])
    assert len(ax.patches) == 4 and len(ax.lines) == 4, "a band each from three seeds on"
    at_zero, smallest, at_one = ax.transAxes.inverted().transform(
        ax.transData.transform([(0, 0), (0.0005, 0), (1, 0)])
    )[:, 0]
    assert at_zero == pytest.approx(0) and at_one == pytest.approx(1) and 0.03 < smallest < 0.2
    assert ax.get_ylim() == (0, 1) and ax.get_xlabel() == "$\\epsilon$ ($L_\\infty$, pixels in [0, 1])"


def test_a_band_is_drawn_as_it_stands(full_table):
    numbers = robustness.accuracy_figure(full_table).numbers
    numbers = numbers[(numbers["attack"] == "pgd") & (numbers["augmentation"] == "mixup")]
    moved = numbers.assign(low=numbers["epsilon"] - 3, high=numbers["epsilon"] + 7)
    (band,) = draw.curves(moved, "epsilon").axes[0].patches
    corners = {tuple(corner) for corner in band.get_xy()}
    assert corners >= {(epsilon, epsilon + shift) for epsilon in set(numbers["epsilon"]) for shift in (-3, 7)}


def test_two_seeds_are_lines_and_one_has_bars_over_images(full_table):
    def panel(seeds):
        rows = full_table[(full_table["seed"] < seeds) & (full_table["attack"] == "pgd")]
        return robustness.accuracy_figure(rows).figure().axes[0]

    two, one = panel(2), panel(1)
    assert [len(lines.get_segments()) for lines in two.collections] == [8] and len(two.lines) == 4
    rows = select_rows(full_table[full_table["seed"] == 0], "robust_accuracy", attack="pgd")
    segments = np.concatenate([bars.get_segments() for bars in one.collections])
    assert {tuple(part[:, 1]) for part in segments} == set(zip(rows["low"], rows["high"], strict=True))


def test_curves_without_a_place_are_refused(full_table):
    rows = summarize(select_rows(full_table, "rate"), ("metric", "augmentation"))
    with pytest.raises(ValueError, match="x: expected a number in every row, got empty ones"):
        draw.curves(rows.assign(x=float("nan")))
    with pytest.raises(ValueError, match="expected at least one row to draw, got none"):
        draw.dots(rows[:0])


def test_masks_spectra_and_shapes_stand_in_one_figure(full_study, full_table):
    rows = full_table[full_table["model"] == ""]
    (item,) = masks.law_figures(rows, masks._half_masks(full_study))
    figure = item.figure()
    said = [text.get_text() for text in figure.texts]
    names = ["MixUp", "CutMix", "FMix (isotropic)", "FMix (released)"]
    assert [text for text in said if text in names] == names and "no edge" in said[said.index("MixUp") + 1]
    tiles, spectra = [ax for ax in figure.axes if ax.images], [ax for ax in figure.axes if not ax.images]
    assert len(tiles) == 4 * 3 and [len(ax.lines) for ax in spectra] == [0, 3, 3, 3], "constant masks have no power"
    assert {(ax.get_xscale(), ax.get_yscale(), ax.get_xlim(), ax.get_ylim()) for ax in spectra} == {
        ("log", "log", spectra[0].get_xlim(), spectra[0].get_ylim())
    }
    drawn = {tuple(line.get_ydata()) for line in spectra[3].lines}
    numbers = item.numbers[(item.numbers["augmentation"] == "fmix_released") & (item.numbers["value"] > 0)]
    curves = [numbers[numbers["metric"] == metric] for metric in CURVES if metric in set(numbers["metric"])]
    assert drawn == {tuple(part["value"]) for part in curves}, "what is drawn is the CSV"


def test_a_figure_of_masks_without_pictures_or_lines_shows_what_there_is(full_table):
    rows = full_table[(full_table["model"] == "") & ~full_table["metric"].str.startswith("line_power")]
    (item,) = masks.law_figures(rows)
    figure = item.figure()
    assert [len(ax.lines) for ax in figure.axes] == [0, 1, 1, 1] and not figure.legends
    assert "masks for lambda" not in item.caption and "single axes" not in item.caption
    (along,) = masks.axis_figures(rows)
    height, width = along.figure().axes
    assert height.get_ylim() == width.get_ylim() and height.get_title() == "Power along height"
    assert "Not drawn, as constant masks have no power there: MixUp." in along.caption
    assert masks.axis_figures(full_table) == (), "the lines of single axes say it"


@pytest.mark.parametrize("width", ["single", "double"])
def test_nothing_of_a_figure_of_masks_is_cut_or_overlaps(full_study, width):
    made = make_figure("mask_laws", full_study, width=width)
    assert made.outside == ()
    made.figure.draw_without_rendering()
    said = [text.get_window_extent() for text in made.figure.texts]
    boxes = [ax.get_window_extent() for ax in made.figure.axes]
    assert not [1 for text in said for box in boxes if text.overlaps(box)]


def test_shared_axes_hold_the_tallest(full_table):
    (item,) = masks.kept_figures(full_table)
    tallest = item.numbers["value"].max()
    figure = item.figure()
    assert all(ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > tallest for ax in figure.axes) and not figure.legends


def test_a_figure_has_a_panel_per_attack_and_one_legend(full_table):
    item = robustness.accuracy_figure(full_table)
    figure = item.figure()
    assert figure.get_figwidth() == DOUBLE_COLUMN and len(item.numbers) == 5 * 4 * 14 * (3 + 1)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["FGSM", "BIM", "PGD", "Uniform noise", "DeepFool"]
    (legend,) = [ax.get_legend() for ax in figure.axes if ax.get_legend()] + figure.legends
    assert [text.get_text() for text in legend.get_texts()] == LABELS
    extra = select_rows(full_table, "robust_accuracy", attack="pgd").assign(attack="apgd")
    full = robustness.accuracy_figure(pd.concat([full_table, extra])).figure()
    assert len(full.legends) == 1, "six panels fill the grid: the legend goes below"


def test_training_has_a_panel_per_model_and_part(full_table):
    figure = training.training_figure(full_table).figure()
    assert [ax.get_ylabel() for ax in figure.axes] == ["training loss (nats)", "training loss (nats)", "rate (nats)"]
    assert [ax.get_title() for ax in figure.axes] == ["cifar10, small_cnn", "cifar10, vae", "cifar10, vae"]


def test_a_heat_map_has_its_values_and_texts_in_place():
    numbers = pd.DataFrame({"a": ["r", "r", "s"], "b": ["u", "v", "v"], "value": [1.0, 2.0, 3.0], "says": ["1", "2", "3"],
                            "is": [True, False, False]})  # fmt: skip
    ax = Figure().subplots()
    draw.heat_map(ax, numbers, "a", "b", text="says", bold="is", rows=["s", "r"], cmap="Greys")
    assert ax.collections[0].get_array().filled(-1).tolist() == [[-1, 3], [1, 2]]
    found = {text.get_position(): (text.get_text(), text.get_weight()) for text in ax.texts}
    assert found == {(1.5, 0.5): ("3", "normal"), (0.5, 1.5): ("1", "bold"), (1.5, 1.5): ("2", "normal")}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["s", "r"]
    assert ax.texts[2].get_color() == "white", "readable on the darkest cell"


def test_drawing_sets_no_global_state_and_leaves_the_table_alone(full_table):
    settings, before = dict(mpl.rcParams), full_table.copy()
    (item,) = dot_figures(full_table, ("rate", "mse"))
    drawn = item.numbers.copy()
    item.figure()
    robustness.accuracy_figure(full_table).figure()
    assert dict(mpl.rcParams) == settings
    assert not mpl._pylab_helpers.Gcf.figs  # no pyplot figure was opened
    pd.testing.assert_frame_equal(full_table, before)
    pd.testing.assert_frame_equal(item.numbers, drawn)


def boxes(figure) -> dict[str, list]:
    """Extents of the texts of a drawn figure, tick labels by axis and labels of axes and panels."""
    with mpl.rc_context(paper_style()):
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    found = {"ticks": [], "labels": []}
    for ax in (ax for ax in figure.axes if ax.axison):
        for axis, at in ((ax.xaxis, 0), (ax.yaxis, 1)):
            low, high = sorted(axis.get_view_interval())
            shown = [
                text for text in axis.get_ticklabels() if text.get_text() and low <= text.get_position()[at] <= high
            ]
            found["ticks"].append([text.get_window_extent(renderer) for text in shown])
            found["labels"].append((ax.get_window_extent(renderer), axis.label.get_window_extent(renderer)))
    return found


@pytest.mark.parametrize("n_families", [4, 6])
def test_survival_figure_has_room_for_its_label(full_table, n_families):
    """Three panels in a row, and a legend of up to two lines below."""
    rows = select_rows(full_table, "robust_accuracy").assign(metric="survival")
    rows = rows[rows["attack"].isin(["pgd", "bim", "deepfool"])]
    more = [rows[rows["augmentation"] == "fmix"].assign(augmentation=name) for name in ("fmix_released", "fmix+mixup")]
    figure = robustness.accuracy_figure(pd.concat([rows, *more[: n_families - 4]]), "survival").figure()
    panel, label = boxes(figure)["labels"][1]
    assert label.y0 >= panel.y0 - 1 and label.y1 <= panel.y1 + 1 and panel.height / figure.dpi > 0.9


@pytest.mark.parametrize("scale", [1.0, 0.2, 0.001])
def test_tick_labels_of_budgets_do_not_collide(full_table, scale):
    """Budgets down to 5e-7, and a decade next to 0."""
    rows = select_rows(full_table, "robust_accuracy", attack="pgd")
    moved = rows["epsilon"].where(rows["epsilon"] > 0.1, scale * rows["epsilon"])
    figure = robustness.accuracy_figure(rows.assign(epsilon=moved)).figure()
    for ticks in boxes(figure)["ticks"]:
        assert not any(a.overlaps(b) for a, b in itertools.combinations(ticks, 2))
    assert all(len(ax.get_xticks()) > 2 for ax in figure.axes if ax.axison)


def test_tick_labels_of_long_numbers_keep_apart(full_table):
    """Values that differ late, as those of a bound at its ceiling."""
    rows = select_rows(full_table, "rate")
    values = np.linspace(8.5049, 8.5159, len(rows))
    close = [rows.assign(metric=name, value=values, low=values, high=values) for name in ("rate", "mse", "info_nce")]
    (item,) = dot_figures(pd.concat(close), ("rate", "mse", "info_nce"))
    ticks = boxes(item.figure())["ticks"][0]
    assert len(ticks) > 1 and all(right.x0 - left.x1 > 9 for left, right in itertools.pairwise(ticks))
