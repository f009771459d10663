"""Signals as lines, volumes as slices and surfaces."""

import numpy as np
import pytest

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.report.fitting import fit_texts
from msda_analysis.report.section import picture_grid
from msda_analysis.report.sections.masks import axis_figures, masks_section
from msda_analysis.report.shapes import draw_signal_grid, draw_volume_grid, surface
from msda_analysis.report.style import styled
from msda_analysis.results import Source, to_rows, to_table


def ball(side=16, radius=5.0):
    line = np.arange(side) - (side - 1) / 2
    return (sum(part**2 for part in np.meshgrid(line, line, line)) <= radius**2).astype(float)


def test_a_signal_is_drawn_as_it_is_each_in_its_own_frame():
    signals = np.random.default_rng(0).random((2, 1, 10))
    (ax,) = draw_signal_grid({"image_a": signals}).axes
    drawn = [line for line in ax.lines if len(line.get_xdata()) == 10]
    np.testing.assert_array_equal([line.get_ydata() for line in drawn], signals[:, 0])
    first, second = (line.get_xdata() for line in drawn)
    assert first.min() > 0 and first.max() < 1 < second.min() and ax.get_ylim() == (0, 1)
    assert ax.texts[0].get_text() == "Image A"


def test_what_a_mask_keeps_is_filled_and_nothing_else():
    mask = np.array([0.0, 1, 1, 0, 0.5])
    (ax,) = draw_signal_grid({"fmix": mask[None, None]}, is_mask=True).axes
    (filled,) = ax.collections
    corners = filled.get_paths()[0].vertices
    assert corners[:, 1].max() == 1
    x, y = corners.T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert area == pytest.approx(mask.mean(), abs=1e-6)


def test_a_row_of_volumes_has_slices_in_their_order_and_for_masks_a_surface():
    volumes = np.arange(2 * 6, dtype=float).reshape(2, 1, 6, 1, 1) / 12 + np.zeros((2, 1, 6, 4, 4))
    strip = draw_volume_grid({"fmix": volumes}).axes[0].images[0].get_array()
    tile = strip.shape[0]
    assert strip.shape[1] == 8 * tile + 7 * 2
    middles = [strip[tile // 2, i * (tile + 2) + tile // 2] for i in range(8)]
    assert middles == sorted(middles) and len(set(middles)) == 8 and set(middles) <= set(volumes.ravel())
    masks = (
        draw_volume_grid({"fmix": np.stack([ball(), 1 - ball()])[:, None]}, is_mask=True).axes[0].images[0].get_array()
    )
    tile = masks.shape[0]
    tiles = [masks[:, i * (tile + 2) : i * (tile + 2) + tile] for i in range(8)]
    assert [set(np.unique(part)) == {0, 1} for part in tiles] == [True, True, True, False] * 2


def test_a_ball_is_round_from_everywhere_bright_in_its_middle_and_nothing_has_no_surface():
    seen = surface(ball(), 4)
    assert seen.shape == (64, 64) and seen.min() >= 0 and seen.max() == 1
    inside = seen < 0.97
    rows, columns = np.nonzero(inside)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=3)
    assert inside.sum() == pytest.approx(np.pi * (np.ptp(rows) + 1) ** 2 / 4, rel=0.08)
    assert seen[32, 32] > seen[inside].mean() > seen[32, columns.min() + 2]
    assert (surface(np.zeros((4, 5, 6)), 2) == 1).all()


def test_a_folder_shows_each_kind_of_array_in_its_own_way(tmp_path):
    (tmp_path / "pictures").mkdir()
    for ending, size in (("", (8, 8)), ("_1d", (8,)), ("_3d", (4, 4, 4))):
        np.savez(tmp_path / "pictures" / f"masks{ending}.npz", fmix=np.ones((8, 1, *size)))
    items = picture_grid(tmp_path, "masks", "Masks. How.")
    assert [item.name for item in items] == ["masks", "masks_1d", "masks_3d"]
    assert [len(item.figure().axes[0].collections) for item in items] == [0, 4, 0], "masks of signals are filled"
    assert "surface" in items[2].caption and "filled" in items[1].caption


@pytest.mark.parametrize(
    ("grid", "shape"), [(draw_signal_grid, (4, 8)), (draw_volume_grid, (2, 1, 8, 8)), (draw_signal_grid, (0, 1, 8))]
)
def test_other_shapes_are_refused(grid, shape):
    with pytest.raises(ValueError, match=r"fmix: expected \[(signal|volume), channel, .* got shape \("):
        grid({"fmix": np.zeros(shape)})
    with pytest.raises(ValueError, match="rows: expected at least one row"):
        grid({})


def test_only_of_images_is_it_said_what_is_cut_off(tmp_path):
    (tmp_path / "pictures").mkdir()
    np.savez(tmp_path / "pictures" / "mixed_1d.npz", fmix=np.ones((4, 1, 8)))
    (item,) = masks_section(to_table([]), tmp_path).figures
    assert "black or white" not in item.caption and "Time runs to the right" in item.caption


def test_a_long_name_stays_beside_its_row():
    names = ("mixup", "fmix_released", "fmix(decay_power=1.5)")
    figure = draw_signal_grid({name: np.ones((4, 1, 8)) for name in names})
    styled(fit_texts)(figure)
    for ax in figure.axes:
        name, row = ax.texts[0].get_window_extent(), ax.get_window_extent()
        assert name.height < 1.1 * row.height and name.x0 >= 0, ax.texts[0].get_text()
    assert figure.axes[2].texts[0].get_text().count("\n") == 2, "no line more than the name's parts"


def test_what_rounding_leaves_of_a_constant_is_no_power():
    rows = []
    for i, value in enumerate((3e-15, 0.6, 0.4)):
        share = Measured("power_axis0", Estimate(value, "power", value, value, 100), x=i)
        rows += to_rows(Source("made-up", "masks", "signals", "", "fmix", 0), [share])
    (item,) = axis_figures(to_table(rows))
    assert list(item.numbers["x"]) == [1, 2] and list(item.numbers["value"]) == [0.6, 0.4]
