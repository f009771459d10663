"""Picture grids, through their artists."""

import numpy as np
import pytest

from msda_analysis.report.fitting import texts_outside
from msda_analysis.report.pictures import draw_picture_grid, image_strip, load_classes, load_pictures


def test_rows_are_labelled_and_hold_the_images():
    images = np.linspace(0, 1, 3 * 3 * 4 * 5).reshape(3, 3, 4, 5)
    figure = draw_picture_grid({"original": images, "fmix_released": 1 - images})
    labels = [ax.texts[0].get_text() for ax in figure.axes]
    assert labels == ["Original", "FMix\n(released)"]
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (4, 3 * 5 + 2 * 2, 3)
    np.testing.assert_allclose(shown[:, 7:12], np.moveaxis(images[1], 0, -1))
    np.testing.assert_array_equal(shown[:, 5:7], 1)


def test_columns_are_named_above_the_first_row():
    rows = {"original": np.zeros((3, 4, 4)), "mixup": np.zeros((3, 4, 4))}
    first, second = draw_picture_grid(rows, columns=("cat", "dog", "frog")).axes
    assert [text.get_text() for text in first.texts] == ["Original", "cat", "dog", "frog"]
    assert len(second.texts) == 1
    places = [text.get_position()[0] for text in first.texts[1:]]
    assert places == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    assert texts_outside(first.figure) == []
    box = first.get_position()
    assert box.height * first.figure.get_figheight() == pytest.approx(box.width * 6.9 * 4 / 16), "pixels stay square"


def test_names_too_long_to_read_above_their_column_are_left_out():
    rows = {"original": np.zeros((12, 4, 4))}
    assert len(draw_picture_grid(rows, columns=["automobile"] * 12).axes[0].texts) == 13
    assert len(draw_picture_grid(rows, columns=["a name of a class"] * 12).axes[0].texts) == 1


def test_a_narrow_grid_names_the_columns_that_it_shows():
    rows = {"original": np.zeros((10, 4, 4))}
    texts = draw_picture_grid(rows, columns="0123456789", width=3.3).axes[0].texts
    assert [text.get_text() for text in texts] == ["Original", *"01234"]


def test_classes_are_read_beside_the_rows_and_older_files_have_none(tmp_path):
    np.savez(tmp_path / "new.npz", classes=np.array(["0", "1"]), original=np.zeros((2, 4, 4)))
    np.savez(tmp_path / "old.npz", original=np.zeros((2, 4, 4)))
    assert load_classes(tmp_path / "new.npz") == ("0", "1") and list(load_pictures(tmp_path / "new.npz")) == [
        "original"
    ]
    assert load_classes(tmp_path / "old.npz") == () and list(load_pictures(tmp_path / "old.npz")) == ["original"]


def test_grey_images_use_the_full_range_from_black_to_white():
    figure = draw_picture_grid({"fmix": np.full((2, 8, 8), 0.25)})
    image = figure.axes[0].images[0]
    assert image.get_clim() == (0, 1)
    assert image.get_cmap().name == "gray"
    np.testing.assert_array_equal(image.get_array()[:, :8], 0.25)


def test_every_image_has_a_frame_around_it():
    figure = draw_picture_grid({"cutmix": np.ones((3, 6, 4))})
    corners = [frame.get_xy() for frame in figure.axes[0].patches]
    assert corners == [(-0.5, -0.5), (5.5, -0.5), (11.5, -0.5)]
    assert {(frame.get_width(), frame.get_height()) for frame in figure.axes[0].patches} == {(4, 6)}


def test_pixels_are_square():
    figure = draw_picture_grid({"a": np.zeros((4, 1, 8, 16)), "b": np.zeros((4, 1, 8, 16))})
    box = figure.axes[0].get_position()
    width, height = figure.get_size_inches() * (box.width, box.height)
    assert height / width == pytest.approx(8 / (4 * 16 + 3 * 2), rel=1e-6)


def test_values_outside_the_range_are_drawn_as_the_nearest_and_the_input_is_kept():
    images = np.full((1, 3, 2, 2), 1.5)
    figure = draw_picture_grid({"baseline": images})
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), 1)
    np.testing.assert_array_equal(images, 1.5)


@pytest.mark.parametrize("shape", [(4, 2, 8, 8), (8, 8), (0, 1, 8, 8), (1, 1, 1, 8, 8)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"fmix: expected \[image, height, width\] or .* got shape \("):
        image_strip(np.zeros(shape), "fmix")


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="rows: expected at least one row of images, got none"):
        draw_picture_grid({})


def test_pictures_come_in_figure_order(tmp_path):
    np.savez(tmp_path / "mixed.npz", fmix=np.zeros(1), mixup=np.zeros(1), image_b=np.zeros(1), image_a=np.ones(1))
    pictures = load_pictures(tmp_path / "mixed.npz")
    assert list(pictures) == ["image_a", "image_b", "mixup", "fmix"]
    assert pictures["image_a"] == 1


def test_a_file_that_would_run_code_is_refused(tmp_path):
    np.savez(tmp_path / "masks.npz", fmix=np.array([object()], dtype=object))
    with pytest.raises(
        ValueError, match=r"masks.npz: expected an .npz file of plain arrays, got ValueError: Object arrays"
    ):
        load_pictures(tmp_path / "masks.npz")


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "masks.npz").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(ValueError, match=r"masks.npz: expected an .npz file of plain arrays, got BadZipFile"):
        load_pictures(tmp_path / "masks.npz")
