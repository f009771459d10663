"""Argument checks: what passes, and the words of what does not."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from msda_analysis import checks

NAN, INF = math.nan, math.inf


def test_choice():
    checks.check_choice("mode", "a", ("a", "b"))
    with pytest.raises(ValueError, match=r"^mode: expected one of 'a', 'b'; got 'c'$"):
        checks.check_choice("mode", "c", iter(("a", "b")))


@pytest.mark.parametrize("value", [1, 0.5, 1e-300, 1e300])
def test_positive_passes(value):
    checks.check_positive("lr", value)


@pytest.mark.parametrize("value", [0, -1, NAN, INF, -INF, "1", None, True, torch.tensor(1.0)], ids=repr)
def test_positive_refuses(value):
    with pytest.raises(ValueError, match=r"^lr: expected a finite number > 0, got "):
        checks.check_positive("lr", value)


@settings(deadline=None, max_examples=50)
@given(st.floats(), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_range_is_closed_and_refuses_nan(value, low, high):
    if low <= value <= high:
        checks.check_in_range("p", value, low, high)
    else:
        with pytest.raises(ValueError, match=r"^p: expected a number in \["):
            checks.check_in_range("p", value, low, high)


@pytest.mark.parametrize("value", ["0.5", None, False])
def test_range_refuses_what_is_no_number(value):
    with pytest.raises(ValueError, match=r"^p: expected a number in \[0, 1\], got "):
        checks.check_in_range("p", value, 0, 1)


@pytest.mark.parametrize("value", [0, -3, 1.0, True, "2", None], ids=repr)
def test_count_refuses(value):
    with pytest.raises(ValueError, match=r"^n: expected an integer >= 1, got "):
        checks.check_count("n", value)


def test_count_passes():
    checks.check_count("n", 1)
    checks.check_count("n", 0, minimum=0)
    with pytest.raises(ValueError, match="expected an integer >= 2, got 1"):
        checks.check_count("n", 1, minimum=2)


@pytest.mark.parametrize("size", [(1,), (32, 32), [3, 4, 5], torch.Size((2, 2))], ids=repr)
def test_size_passes(size):
    checks.check_size("size", size)


@pytest.mark.parametrize("size", [(), (1, 2, 3, 4), 32, "32", None], ids=repr)
def test_size_refuses_other_than_one_to_three_lengths(size):
    with pytest.raises(ValueError, match=r"^size: expected 1, 2 or 3 lengths such as \(32, 32\), got "):
        checks.check_size("size", size)


@pytest.mark.parametrize("size", [(0,), (32, -1), (4.0, 4)], ids=repr)
def test_size_refuses_bad_lengths(size):
    with pytest.raises(ValueError, match=r"^size \(.*\): expected an integer >= 1, got "):
        checks.check_size("size", size)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_finite_says_how_many_and_where(bad):
    images = torch.zeros(2, 3, 4)
    images[1, 0, 2] = images[1, 2, 3] = bad
    with pytest.raises(
        ValueError, match=r"^images: expected finite values, got 2 NaN or infinite, the first at \(1, 0, 2\)$"
    ):
        checks.check_finite("images", images)


def test_finite_is_not_fooled_by_cancelling_infinities_or_overflow():
    with pytest.raises(ValueError, match="got 2 NaN or infinite"):
        checks.check_finite("x", torch.tensor([INF, -INF]))
    checks.check_finite("x", torch.full((4,), 3e38))  # the sum overflows, the values do not
    checks.check_finite("x", torch.tensor([1, 2]))
    checks.check_finite("x", torch.ones(2, requires_grad=True))


@pytest.mark.parametrize("shape", [(2, 3, 9), (2, 3, 8, 8), (2, 1, 4, 4, 4)], ids=str)
def test_image_batch_passes(shape):
    checks.check_image_batch(torch.zeros(shape))


@pytest.mark.parametrize(
    "images, kind, words",
    [
        ([[0.0]], TypeError, r"^images: expected a torch.Tensor, got list$"),
        (torch.zeros(3, 8), ValueError, r"expected \[n, channel, length\].*, got shape \(3, 8\)"),
        (torch.zeros(1, 1, 1, 1, 1, 1), ValueError, r"got shape \(1, 1, 1, 1, 1, 1\)"),
        (
            torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
            TypeError,
            r"got torch.uint8; convert with images.float\(\) / 255",
        ),
        (torch.zeros(0, 3, 8, 8), ValueError, "expected at least 1 samples, got 0"),
        (torch.zeros(2, 3, 0, 8), ValueError, r"expected no empty axis, got shape \(2, 3, 0, 8\)"),
    ],
)
def test_image_batch_refuses(images, kind, words):
    with pytest.raises(kind, match=words):
        checks.check_image_batch(images)


def test_image_batch_minimum_and_name():
    with pytest.raises(ValueError, match=r"^x: expected at least 2 samples, got 1$"):
        checks.check_image_batch(torch.zeros(1, 3, 8, 8), minimum=2, name="x")


def test_unit_range():
    checks.check_unit_range("images", torch.tensor([0.0, 1.0]))
    with pytest.raises(
        ValueError, match=r"^images: expected values in \[0, 1\], got \[0, 255\]; give raw pixels divided by 255"
    ):
        checks.check_unit_range("images", torch.tensor([0.0, 255.0]))
    with pytest.raises(ValueError, match=r"got \[-0.001, 1\]"):
        checks.check_unit_range("images", torch.tensor([-0.001, 1.0]))
    with pytest.raises(ValueError, match="expected finite values"):
        checks.check_unit_range("images", torch.tensor([NAN, 0.5]))


def test_labels_pass():
    checks.check_labels(torch.tensor([0, 2]), 2, num_classes=3)
    checks.check_labels(torch.tensor([0, 99]), 2)  # the range is not looked at
    checks.check_labels(torch.full((2, 3), 1 / 3), 2, num_classes=3)
    checks.check_labels(torch.tensor([], dtype=torch.int64), 0, num_classes=3)


@pytest.mark.parametrize(
    "labels, kind, words",
    [
        ([0, 1], TypeError, "expected a torch.Tensor, got list"),
        (torch.zeros(2), TypeError, r"expected int64 \[n\] or float \[n, classes\], got torch.float32 of shape \(2,\)"),
        (torch.zeros(2, dtype=torch.int32), TypeError, ".* got torch.int32"),
        (torch.zeros(2, 3, dtype=torch.int64), TypeError, r".* got torch.int64 of shape \(2, 3\)"),
        (torch.tensor([0, 1, 2]), ValueError, "expected 2 labels, one per image, got 3"),
        (torch.zeros(2, 4), ValueError, "expected 3 columns, one per class, got 4"),
        (torch.tensor([0, 3]), ValueError, r"expected classes in 0\.\.2, got 0\.\.3"),
        (torch.tensor([-1, 2]), ValueError, r"expected classes in 0\.\.2, got -1\.\.2"),
    ],
)
def test_labels_refuse(labels, kind, words):
    with pytest.raises(kind, match=f"^labels: {words}"):
        checks.check_labels(labels, 2, num_classes=3)


@pytest.mark.parametrize("shape", [(2, 3, 9), (0, 3, 8, 8), (2, 1, 4, 4, 4)], ids=str)
def test_pixels_pass(shape):
    checks.check_pixels(torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize(
    "images, kind, words",
    [
        ([[0]], TypeError, "x: expected a uint8 torch.Tensor, got list; use torch.from_numpy"),
        (
            torch.zeros(2, 3, 8),
            TypeError,
            r"x: expected uint8 pixels in 0\.\.255, got torch.float32; convert with \(x \* 255",
        ),
        (torch.zeros(2, 3, dtype=torch.uint8), ValueError, r"x: expected \[n, channel, \*size\] .*, got \[2, 3\]"),
        (torch.zeros(1, 1, 1, 1, 1, 1, dtype=torch.uint8), ValueError, r"got \[1, 1, 1, 1, 1, 1\]"),
        (torch.zeros(2, 0, 8, dtype=torch.uint8), ValueError, r"at least 1, got \[2, 0, 8\]"),
    ],
)
def test_pixels_refuse(images, kind, words):
    with pytest.raises(kind, match=words):
        checks.check_pixels(images, name="x")


def test_sides():
    checks.check_sides(torch.zeros(1, 3, 7, 9), 7, model="net")
    for shape in ((1, 3, 6, 9), (1, 3, 9, 6), (3, 9, 9), (1, 3, 9, 9, 9)):
        with pytest.raises(
            ValueError, match=r"images: net expects .* at least 7 pixels on each side, got \[.*; enlarge"
        ):
            checks.check_sides(torch.zeros(shape), 7, model="net")


def test_statistics():
    checks.check_statistics((0.5, 0.5), (0.1, 2.0))
    checks.check_statistics((-1.0, 0.5), (0.1, 2.0), 2)
    for mean, std, channels in (((), (), None), ((0.5,), (0.1, 0.2), None), ((0.5,), (0.1,), 3)):
        with pytest.raises(ValueError, match="mean, std: expected one number per channel in each"):
            checks.check_statistics(mean, std, channels)
    for bad in (0.0, -1.0, NAN, INF):
        with pytest.raises(ValueError, match="std: expected a finite number > 0"):
            checks.check_statistics((0.5,), (bad,))
    for bad in (NAN, INF):
        with pytest.raises(ValueError, match="mean: expected finite values"):
            checks.check_statistics((bad,), (1.0,))
