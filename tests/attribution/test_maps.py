"""Numbers of maps with known answers."""

import math

import pytest
import torch
from scipy.stats import spearmanr

from msda_analysis.attribution import (
    entropy,
    half_area,
    is_zero,
    measure_agreement,
    measure_maps,
    rank_correlation,
    share_on,
)

CONSTANT, POINT, ZERO = torch.ones(4, 4), torch.zeros(4, 4), torch.zeros(4, 4)
POINT[1, 2] = 3.0
MAPS = torch.stack([CONSTANT, POINT, ZERO])


def test_half_area_of_known_maps():
    steps = torch.tensor([[4.0, 2.0, 1.0, 1.0]])  # half of 8 is the first of four positions
    found = half_area(MAPS)
    assert found[:2].tolist() == [0.5, 0.5 / 16] and found[2].isnan()
    assert half_area(steps).item() == 0.25
    assert half_area(torch.tensor([[1.0, 1.0, 1.0]])).item() == pytest.approx(0.5), "half of the second position"


def test_numbers_do_not_depend_on_scale_or_place():
    maps = torch.rand(5, 3, 6, generator=torch.Generator().manual_seed(0))
    for number in (half_area, entropy):
        assert torch.allclose(number(maps), number(7 * maps.flip(1)), rtol=1e-6)


def test_entropy_of_known_maps():
    assert entropy(MAPS)[0].item() == pytest.approx(math.log(16))
    assert entropy(MAPS)[1].item() == 0
    assert entropy(MAPS, normalized=True)[0].item() == pytest.approx(1)
    halves = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    assert entropy(halves).item() == pytest.approx(math.log(2))
    assert entropy(halves, normalized=True).item() == pytest.approx(0.5)
    assert entropy(MAPS)[2].isnan()


def test_rank_correlation_is_spearmans_with_ties():
    a, b = torch.rand(2, 6, 4, 5, generator=torch.Generator().manual_seed(1))
    a, b = (a - 0.5).relu(), (b - 0.3).relu()  # many ties at zero
    expected = [spearmanr(x.flatten(), y.flatten()).statistic for x, y in zip(a, b, strict=True)]
    assert rank_correlation(a, b).tolist() == pytest.approx(expected)
    assert rank_correlation(a, 2 * a.square()).tolist() == pytest.approx([1.0] * 6)
    assert rank_correlation(MAPS, MAPS).isnan().tolist() == [True, False, True], "constant maps have no ranks"


def test_share_on_a_part():
    left = torch.zeros(3, 4, 4)
    left[..., :2] = 1
    found = share_on(MAPS, left)
    assert found[:2].tolist() == [0.5, 0.0] and found[2].isnan()


def test_zero_maps_are_counted_and_in_no_mean():
    assert is_zero(MAPS).tolist() == [False, False, True]
    numbers = {each.metric: each for each in measure_maps(MAPS, "features")}
    area, zero = numbers["attribution_area"].estimate, numbers["attribution_zero"].estimate
    assert area.value == pytest.approx((0.5 + 0.5 / 16) / 2) and area.n == 2
    assert area.warnings == ("1 of 3 images are left out, whose maps are zero everywhere or constant",)
    assert zero.value == pytest.approx(1 / 3) and zero.n == 3 and 0 < zero.low < 1 / 3 < zero.high < 1
    assert {each.label for each in numbers.values()} == {"features (4 x 4)"}


def test_a_mean_of_nothing_is_no_number_and_says_why():
    numbers = {each.metric: each.estimate for each in measure_maps(torch.zeros(2, 3))}
    assert math.isnan(numbers["attribution_area"].value) and numbers["attribution_area"].n == 0
    assert "2 of 2 images" in numbers["attribution_area"].warnings[0] and numbers["attribution_zero"].value == 1


def test_agreement_of_several_pairs_is_their_mean_by_image():
    a, b, c = torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(2))
    found = measure_agreement([(a, b), (a, c)], "baseline", "other seeds")
    expected = (rank_correlation(a, b) + rank_correlation(a, c)) / 2
    assert found.estimate.value == pytest.approx(expected.mean().item()) and found.estimate.n == 7
    assert (found.reference, found.label) == ("baseline", "other seeds")
    a[0] = 0  # an image without a map in every pair is left out
    assert measure_agreement([(a, b), (a, c)], "baseline").estimate.n == 6


@pytest.mark.parametrize(
    "number, arguments, message",
    [
        (half_area, (torch.tensor([[-1.0, 2.0]]),), "maps: expected float"),
        (half_area, (torch.tensor([[float("inf"), 2.0]]),), "maps"),
        (rank_correlation, (torch.ones(2, 3), torch.ones(2, 4)), "others: expected the shape of maps"),
        (share_on, (torch.ones(2, 3), torch.ones(2, 4)), "parts: expected the shape of maps"),
    ],
)
def test_bad_maps_are_refused(number, arguments, message):
    with pytest.raises(ValueError, match=message):
        number(*arguments)
