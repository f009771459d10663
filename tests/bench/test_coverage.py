"""Intervals over few seeds: the simulation knows the truth, and sees an interval that is too narrow."""

import numpy as np
import pytest

from msda_analysis.bench import coverage


@pytest.fixture(scope="module")
def rows():
    made = coverage.bench_rows(repeats=400, seeds=(3, 10), accuracies=(0.95,), spreads=(0.01,), n_images=200)
    return {(row["name"], row["family"]): row for row in made}


def test_intervals_over_images_and_seeds_hold_the_truth(rows):
    held = [row["high"] for (name, _), row in rows.items() if name.endswith("images_and_seeds")]
    assert len(held) == 4 and min(held) > 0.95


def test_an_interval_over_seeds_alone_misses_an_accuracy_that_other_images_would_give(rows):
    assert rows["accuracy_student_over_seeds", "10 seeds"]["high"] < 0.85


def test_the_true_accuracy_and_the_spread_between_seeds_are_those_asked_for():
    sides = coverage._draw_sides(np.random.default_rng(0), 2000, 500, 0.8, 0.03)
    right = next(sides).mean(1)
    assert right.mean() == pytest.approx(0.8, abs=0.02)
    assert right.std() == pytest.approx((0.03**2 + 0.8 * 0.2 * 0.3 / 500) ** 0.5, abs=0.01)


def test_it_refuses_too_few_studies():
    with pytest.raises(ValueError, match="repeats"):
        coverage.bench_rows(repeats=1)
