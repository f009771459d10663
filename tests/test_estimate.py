"""Estimates: Student's and Wilson's intervals against independent references."""

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from msda_analysis.estimate import Estimate, mean_estimate, share_over_seeds, wilson_interval

finite = st.floats(-1e6, 1e6)


@settings(deadline=None, max_examples=30)
@given(st.lists(finite, min_size=2, max_size=30))
def test_mean_agrees_with_scipy(values):
    found = mean_estimate(values, "nats")
    scale = max(1.0, float(np.abs(values).max()))
    assert found.value == pytest.approx(np.mean(values), abs=1e-12 * scale)
    error = float(stats.sem(values))
    if error > 1e-9 * scale:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9 * scale)
    assert found.n == len(values) and found.low <= found.value <= found.high


def test_two_values_by_hand():
    # half-width = t(0.975, 1) * |a - b| / 2 and t(0.975, 1) = tan(0.475 pi), the Cauchy quantile
    found = mean_estimate([1.0, 3.0], "nats", bound="upper", warnings=["few"])
    assert found.value == 2.0 and found.bound == "upper" and found.warnings == ("few",)
    assert found.high - 2 == pytest.approx(math.tan(0.475 * math.pi), rel=1e-12)


def test_one_value_has_no_interval():
    found = mean_estimate([2.5], "pixels", bound="lower")
    assert (found.value, found.low, found.high, found.n, found.bound) == (2.5, None, None, 1, "lower")


def test_no_value_is_an_error():
    with pytest.raises(ValueError, match=r"^values: expected at least one number, got none$"):
        mean_estimate([], "nats")


def test_nan_stays_nan():
    found = mean_estimate([1.0, math.nan], "nats")
    assert math.isnan(found.value) and math.isnan(found.low)


def test_the_mean_does_not_lose_small_values_between_large_ones():
    assert mean_estimate([1e16, 1.0, -1e16], "nats").value == pytest.approx(1 / 3)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 5000), st.data())
def test_wilson_agrees_with_scipy(n, data):
    successes = data.draw(st.integers(0, n))
    low, high = wilson_interval(successes, n)
    reference = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert 0 <= low <= successes / n <= high <= 1


def test_wilson_ends_are_exact():
    assert all(wilson_interval(0, n)[0] == 0.0 and wilson_interval(n, n)[1] == 1.0 for n in (1, 3, 7, 1000))


@pytest.mark.parametrize("successes, n", [(0, 0), (-1, 5), (6, 5), (0, -1)])
def test_wilson_refuses(successes, n):
    with pytest.raises(ValueError, match=f"expected 0 <= successes <= n with n >= 1, got {successes} of {n}"):
        wilson_interval(successes, n)


def test_an_estimate_speaks():
    assert str(Estimate(41.63, "nats", 41.2, 42.0, 100, "upper")) == "41.63 nats [41.2, 42], n = 100 (upper bound)"
    assert str(Estimate(0.5, "accuracy")) == "0.5 accuracy, n = 1"


def test_an_estimate_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Estimate(1.0, "nats").value = 2.0  # type: ignore[misc]
    assert Estimate(1.0, "nats").details is not Estimate(1.0, "nats").details


def test_a_share_over_seeds_is_wilsons_of_the_images_where_all_seeds_agree_exactly_right():
    assert share_over_seeds([1.0, 1.0, 1.0], 200).low == pytest.approx(wilson_interval(200, 200)[0])
    assert share_over_seeds([0.7], 200).high == pytest.approx(
        share_over_seeds([0.7, 0.7, 0.7], 200).high
    )  # seeds that agree add nothing to what the images leave open


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 500).map(lambda k: k / 500), min_size=1, max_size=6), st.integers(1, 500))
def test_a_share_over_seeds_stays_a_share_and_holds_its_value(shares, n):
    found = share_over_seeds(shares, n)
    assert 0 <= found.low <= found.value <= found.high <= 1 and found.high > found.low


def test_a_share_over_seeds_widens_with_their_spread_and_refuses_what_is_none():
    def width(shares):
        found = share_over_seeds(shares, 500)
        return found.high - found.low

    assert width([0.7, 0.8, 0.9]) > 3 * width([0.8, 0.8, 0.8])
    for shares, n in (([], 10), ([1.1], 10), ([0.5], 0)):
        with pytest.raises(ValueError, match="shares"):
            share_over_seeds(shares, n)
