"""Figures, through their artists."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from msda_analysis.report import panels
from msda_analysis.report.plots import plot_accuracy_curve, plot_curve, plot_dots, plot_histogram
from msda_analysis.report.select import select_rows
from msda_analysis.report.style import DOUBLE_COLUMN, SINGLE_COLUMN, looks_for, paper_style
from msda_analysis.report.words import axis_label


@pytest.fixture
def ax():
    return Figure().subplots()


def lines_by_label(ax) -> dict:
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def test_dots_show_every_seed_and_the_mean(full_table, ax):
    assert plot_dots(full_table, ax, "rate") is ax
    lines = lines_by_label(ax)
    assert len(lines) == 8  # four augmentations, seeds and mean each
    rates = select_rows(full_table, "rate", augmentation="mixup").sort_values("seed")["value"]
    np.testing.assert_array_equal(lines["seeds: MixUp"].get_xdata(), rates)
    np.testing.assert_allclose(lines["mean: MixUp"].get_xdata(), [rates.mean()])
    assert len(set(lines["seeds: MixUp"].get_ydata())) == 3  # side by side: equal values stay visible
    assert lines["mean: MixUp"].get_color() == looks_for(["mixup"])["mixup"].color
    assert lines["mean: MixUp"].get_marker() == "s"
    assert ax.get_xlabel() == "$I(Z_A;\\,X)$ (nats)"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["Baseline", "MixUp", "CutMix", "FMix (isotropic)"]
    assert ax.get_ylim() == (3.5, -0.5)  # first one on top


def test_dots_keep_the_two_kinds_of_intervals_apart(full_table, ax):
    plot_dots(full_table[full_table["augmentation"] == "mixup"], ax, "rate")
    thin, thick = ax.collections
    assert thin.get_linewidth()[0] < thick.get_linewidth()[0]
    rows = select_rows(full_table, "rate", augmentation="mixup").sort_values("seed")
    over_images = np.array([segment[:, 0] for segment in thin.get_segments()])
    np.testing.assert_allclose(over_images, rows[["low", "high"]].to_numpy())
    assert len(thick.get_segments()) == 1
    low, high = thick.get_segments()[0][:, 0]
    assert low < rows["value"].min()  # Student's interval of three seeds is wider than their range
    assert high > rows["value"].max()


def test_long_units_get_a_line_of_their_own_and_repeated_ones_none():
    assert axis_label("perimeter", "pixels") == "perimeter (pixels)"
    assert (
        axis_label("spectral_slope", "log power per log frequency") == "spectral slope\n(log power per log frequency)"
    )
    assert axis_label("holes", "holes") == "holes"


def test_dots_of_one_seed_have_no_mean(full_table, ax):
    plot_dots(full_table[full_table["seed"] == 0], ax, "rate")
    lines = lines_by_label(ax)
    assert len(lines["mean: MixUp"].get_xdata()) == 0
    assert len(lines["seeds: MixUp"].get_xdata()) == 1


def test_dots_follow_a_given_order_and_leave_gaps(full_table, ax):
    plot_dots(full_table, ax, "rate", order=["fmix", "nomix", "baseline"])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["Baseline", "FMix (isotropic)", "nomix"]
    assert len(lines_by_label(ax)["seeds: nomix"].get_xdata()) == 0


def test_accuracy_curve_shows_the_table_with_zero_in_place(full_table, ax):
    assert plot_accuracy_curve(full_table, ax, "pgd") is ax
    lines = lines_by_label(ax)
    assert list(lines) == ["Baseline", "MixUp", "CutMix", "FMix (isotropic)"]
    rows = select_rows(full_table, "robust_accuracy", attack="pgd", augmentation="cutmix")
    expected = rows.groupby("epsilon")["value"].mean()
    np.testing.assert_array_equal(lines["CutMix"].get_xdata(), expected.index)
    np.testing.assert_allclose(lines["CutMix"].get_ydata(), expected)
    assert lines["CutMix"].get_xdata()[0] == 0
    assert ax.get_xscale() == "symlog"
    at_zero, smallest, at_one = ax.transAxes.inverted().transform(
        ax.transData.transform([(0, 0), (0.0005, 0), (1, 0)])
    )[:, 0]
    assert at_zero == pytest.approx(0)
    assert 0.03 < smallest < 0.2  # the clean point keeps its place beside the smallest epsilon
    assert at_one == pytest.approx(1)
    assert ax.get_ylim() == (0, 1)
    assert ax.get_xlabel() == "$\\epsilon$ ($L_\\infty$, pixels in [0, 1])"
    assert ax.get_ylabel() == "accuracy (fraction)"
    assert ax.get_title() == "PGD"


def test_three_seeds_get_a_band(full_table, ax):
    plot_accuracy_curve(full_table, ax, "pgd")
    assert len(ax.collections) == 4
    assert len(ax.get_lines()) == 4


def test_two_seeds_are_drawn_as_lines_instead_of_a_band(full_table, ax):
    plot_accuracy_curve(full_table[full_table["seed"] < 2], ax, "pgd")
    assert len(ax.collections) == 0
    assert len(ax.get_lines()) == 4 * 3  # mean and two seeds each


def test_one_seed_gets_bars_over_images(full_table, ax):
    one = full_table[(full_table["seed"] == 0) & (full_table["augmentation"] == "mixup")]
    plot_accuracy_curve(one, ax, "pgd")
    (bars,) = ax.collections
    rows = select_rows(one, "robust_accuracy", attack="pgd").sort_values("epsilon")
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], rows[["low", "high"]].to_numpy())


def test_accuracy_curve_refuses_rows_without_epsilon(full_table, ax):
    with pytest.raises(ValueError, match="epsilon: expected a number in every row of attack 'pgd'"):
        plot_accuracy_curve(full_table.assign(epsilon=float("nan")), ax, "pgd")


def test_accuracy_curve_lists_attacks_it_has(full_table, ax):
    with pytest.raises(
        ValueError, match=r"attack: .*'square'; found: 'bim', 'deepfool', 'fgsm', 'pgd', 'uniform_noise'"
    ):
        plot_accuracy_curve(full_table, ax, "square")


def test_curve_leaves_out_what_a_logarithm_cannot_show(full_table, ax):
    plot_curve(full_table, ax, "radial_power", log="xy", x_label="spatial frequency (cycles/pixel)")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    lines = lines_by_label(ax)
    assert list(lines) == ["CutMix", "FMix (isotropic)", "FMix (released)"]  # MixUp's masks have no power
    assert all(line.get_xdata()[0] == 1 / 32 for line in lines.values())  # frequency 0 is in the table


def test_curve_refuses_rows_without_x(full_table, ax):
    with pytest.raises(ValueError, match="x: expected a number in every row of metric 'rate'"):
        plot_curve(full_table, ax, "rate")


def test_histogram_draws_the_mean_and_each_seed(full_table, ax):
    plot_histogram(full_table, ax, "cutmix")
    filled, *seeds = ax.patches
    rows = select_rows(full_table, "kept_fraction_histogram", augmentation="cutmix")
    values, edges, _ = filled.get_data()
    np.testing.assert_allclose(values, rows.groupby("x")["value"].mean())
    np.testing.assert_allclose(edges, np.linspace(0, 1, 21), atol=1e-12)
    assert len(seeds) == 3
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > rows["value"].max()


def test_shared_histogram_axes_hold_the_tallest(full_table):
    figure, _ = panels.draw_histograms(full_table)
    tallest = select_rows(full_table, "kept_fraction_histogram")["value"].max()
    assert all(ax.get_ylim()[1] > tallest for ax in figure.axes)


def test_accuracy_figure_has_a_panel_per_attack_and_one_legend(full_table):
    figure, numbers = panels.draw_accuracy_curves(full_table)
    assert figure.get_figwidth() == DOUBLE_COLUMN
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["FGSM", "BIM", "PGD", "Uniform noise", "DeepFool"]
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()] + figure.legends
    assert len(legends) == 1
    assert [text.get_text() for text in legends[0].get_texts()] == ["Baseline", "MixUp", "CutMix", "FMix (isotropic)"]
    assert len(numbers) == 5 * 4 * 14 * (3 + 1)  # attacks, augmentations, epsilons, seeds and their mean


def test_six_attacks_fill_the_grid_and_the_legend_goes_below(full_table):
    extra = select_rows(full_table, "robust_accuracy", attack="pgd").assign(attack="apgd")
    figure, _ = panels.draw_accuracy_curves(pd.concat([full_table, extra]))
    assert len(figure.legends) == 1


def test_axis_power_shares_its_scale(full_table):
    figure, _ = panels.draw_curves_figure(full_table, ("power_axis0", "power_axis1"), log="y", x_label="frequency bin")
    height, width = figure.axes
    assert height.get_ylim() == width.get_ylim()
    released = {
        title: lines_by_label(ax)["FMix (released)"].get_ydata()[5] for title, ax in (("h", height), ("w", width))
    }
    assert released["w"] < released["h"] / 10


def test_training_figure_has_a_panel_per_model_and_part(full_table):
    figure, numbers = panels.draw_training(full_table)
    assert [ax.get_ylabel() for ax in figure.axes] == ["training loss (nats)", "training loss (nats)", "rate (nats)"]
    assert set(numbers["model"]) == {"small_cnn", "vae"}


def test_a_single_panel_fits_one_column(full_table):
    figure, _ = panels.draw_curves_figure(full_table, ("radial_power",), log="xy")
    assert figure.get_figwidth() == SINGLE_COLUMN


def test_attack_dots_have_a_panel_per_attack(full_table):
    rows = select_rows(full_table, "robust_accuracy", epsilon=0.01).assign(metric="minimum_norm_median", unit="pixels")
    figure, numbers = panels.draw_attack_dots(rows, "minimum_norm_median")
    assert sum(bool(ax.get_title()) for ax in figure.axes) == 5
    assert set(numbers["attack"]) == {"fgsm", "bim", "pgd", "uniform_noise", "deepfool"}


def test_drawing_sets_no_global_state(full_table):
    before = dict(mpl.rcParams)
    panels.draw_dots(full_table, ("rate", "mse"))
    panels.draw_accuracy_curves(full_table)
    assert dict(mpl.rcParams) == before
    assert not mpl._pylab_helpers.Gcf.figs  # no pyplot figure was opened


def test_drawing_leaves_the_table_alone(full_table):
    before = full_table.copy()
    panels.draw_dots(full_table, ("rate", "mse"))
    panels.draw_accuracy_curves(full_table)
    pd.testing.assert_frame_equal(full_table, before)


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


def assert_ticks_are_apart(figure) -> None:
    for ticks in boxes(figure)["ticks"]:
        assert not any(a.overlaps(b) for a, b in itertools.combinations(ticks, 2))


@pytest.mark.parametrize("n_families", [4, 6])
def test_survival_figure_has_room_for_its_label(full_table, n_families):
    """Three panels in a row, and a legend of up to two lines below."""
    rows = select_rows(full_table, "robust_accuracy").assign(metric="survival")
    rows = rows[rows["attack"].isin(["pgd", "bim", "deepfool"])]
    more = [rows[rows["augmentation"] == "fmix"].assign(augmentation=name) for name in ("fmix_released", "fmix+mixup")]
    figure, _ = panels.draw_accuracy_curves(pd.concat([rows, *more[: n_families - 4]]), "survival")
    panel, label = boxes(figure)["labels"][1]
    assert label.y0 >= panel.y0 - 1 and label.y1 <= panel.y1 + 1 and panel.height / figure.dpi > 0.9


@pytest.mark.parametrize("scale", [1.0, 0.2, 0.001])
def test_tick_labels_of_budgets_do_not_collide(full_table, scale):
    """Budgets down to 5e-7, and a decade next to 0."""
    rows = select_rows(full_table, "robust_accuracy")
    figure, _ = panels.draw_accuracy_curves(
        rows.assign(epsilon=rows["epsilon"].where(rows["epsilon"] > 0.1, scale * rows["epsilon"]))
    )
    assert_ticks_are_apart(figure)
    assert all(len(ax.get_xticks()) > 2 for ax in figure.axes if ax.axison)


def test_tick_labels_of_long_numbers_keep_apart(full_table):
    """Values that differ late, as those of a bound at its ceiling."""
    rows = select_rows(full_table, "rate")
    values = np.linspace(8.5049, 8.5159, len(rows))
    close = [rows.assign(metric=name, value=values, low=values, high=values) for name in ("rate", "mse", "info_nce")]
    figure, _ = panels.draw_dots(pd.concat(close), ("rate", "mse", "info_nce"))
    ticks = boxes(figure)["ticks"][0]
    assert len(ticks) > 1 and all(right.x0 - left.x1 > 9 for left, right in itertools.pairwise(ticks))
