"""The squares of the Square attack: their sizes by the published schedule, and where they may lie."""

import pytest
import torch

from msda_analysis.attacks import square
from msda_analysis.attacks.square import SquareSettings, square_attack


def test_areas_are_halved_at_the_published_times():
    """10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000 of 10,000 queries."""
    settings = SquareSettings(queries=10_000)
    times = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
    for k, time in enumerate(times):
        assert square._area(time, settings) == pytest.approx(0.8 / 2**k)
        assert square._area(time + 1, settings) == pytest.approx(0.8 / 2 ** (k + 1))
    assert square._area(5, SquareSettings(queries=10_000, first_area=0.1)) == 0.1


def test_the_search_uses_shrinking_squares(trained, patterns, monkeypatch):
    """Sides seen during a search of 100: the first is past two halvings, sqrt(0.2 * 144) = 5 pixels; the last is one."""
    sides, draw = [], square._draw_boxes

    def watch(images, active, *, area, key):
        change = draw(images, active, area=area, key=key)
        inside = (change != 0).any(1).any(1)  # [active, width]
        sides.append(set(inside.sum(1).tolist()))
        return change

    monkeypatch.setattr(square, "_draw_boxes", watch)
    images, labels = patterns[0][:4], patterns[1][:4]
    square_attack(trained, images, labels, epsilon=1e-4, key=0, settings=SquareSettings(queries=100))
    assert all(len(found) == 1 for found in sides)
    found = [next(iter(side)) for side in sides]
    assert list(dict.fromkeys(found)) == [5, 4, 3, 2, 1] and found == sorted(found, reverse=True)
    assert found.index(4) == 2 and found.index(1) == 20, "after 2 % and 20 % of the queries"


def test_boxes_lie_everywhere_and_carry_one_sign_per_channel():
    images = torch.zeros(2000, 2, 6, 6)
    change = square._draw_boxes(images, torch.arange(2000), area=0.25, key=3)
    assert set(change.unique().tolist()) == {-1.0, 0.0, 1.0}
    flat = change.flatten(2)
    assert ((flat == 0).sum(2) == 27).all() and (flat.sum(2).abs() == 9).all(), "boxes of 3 by 3, one sign each"
    covered = (change[:, 0] != 0).double().mean(0)
    assert covered[0, 0].item() == pytest.approx(1 / 16, abs=0.02)  # 4 by 4 places, one of which covers a corner
    assert covered[2, 2].item() == pytest.approx(9 / 16, abs=0.04)
    share = (flat[:, 0].sum(1) > 0).double().mean().item()
    assert share == pytest.approx(0.5, abs=0.04)
    agree = (flat[:, 0].sum(1).sign() == flat[:, 1].sum(1).sign()).double().mean().item()
    assert agree == pytest.approx(0.5, abs=0.04), "channels are drawn apart"
