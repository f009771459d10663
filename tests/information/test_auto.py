"""The default estimator's choice, on evidence made up here: thresholds, intervals and warnings, each at its edge."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from msda_analysis.estimate import Estimate
from msda_analysis.information.auto import Evidence, combine
from msda_analysis.information.blocks import find_blocks
from msda_analysis.information.gaussian import estimate_gaussian
from msda_analysis.information.student import estimate_student
from msda_analysis.information.truths import closed_form
from msda_analysis.information.truths.known_answers import known_cases
from msda_analysis.information.truths.scoring_cases import scored_cases
from msda_analysis.rng import stream


def number(value, width=0.0):
    return Estimate(value, "nats", value - width / 2, value + width / 2, 2000)


def evidence(*, copula=0.5, gain=0.0, width=0.0, half=0.01, ksg=None, ksg_width=0.0, student=None, dim=2):
    details = {"half_width": half, "ceiling_nats": 6.0, "steps": 10.0}
    neighbors = None if ksg is None else number(ksg, ksg_width)
    student = None if student is None else number(student)
    return Evidence(number(copula, 0.04), student, replace(number(gain, width), details=details), neighbors, dim)


def choose(dim=2, **found):
    block = evidence(dim=dim, **found)
    return combine(block.copula, [block], dim)


def test_nothing_more_keeps_the_copula():
    found = choose(gain=0.019, ksg=0.529)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.48, 0.52))
    assert found.details["method"] == "gaussian_copula" and not found.warnings and found.bound is None


@pytest.mark.parametrize(
    ("below", "above", "method"),
    [
        ({"gain": 0.0199}, {"gain": 0.0201}, "copula+critic"),
        ({"gain": 0.149, "width": 0.1}, {"gain": 0.151, "width": 0.1}, "copula+critic"),
        ({"gain": -0.0199}, {"gain": -0.0201}, "copula+critic"),
        ({"ksg": 0.5299}, {"ksg": 0.5301}, "ksg1"),
        ({"ksg": 0.574, "ksg_width": 0.1}, {"ksg": 0.576, "ksg_width": 0.1}, "ksg1"),
        ({"student": 0.7, "gain": 0.219}, {"student": 0.7, "gain": 0.231}, "copula+critic"),
        ({"student": 0.7, "ksg": 0.729}, {"student": 0.7, "ksg": 0.731}, "ksg1"),
    ],
)
def test_thresholds(below, above, method):
    assert choose(**below).details["method"] == ("student_copula" if "student" in below else "gaussian_copula")
    assert choose(**above).details["method"] == method


def test_the_larger_of_critic_and_neighbors_is_given():
    assert choose(gain=0.3, ksg=0.79).details["method"] == "copula+critic"
    assert choose(gain=0.3, ksg=0.81).details["method"] == "ksg1"


def test_intervals_are_those_of_what_was_chosen():
    critic, neighbors = choose(gain=0.3, half=0.07), choose(ksg=0.9, ksg_width=0.1)
    assert (critic.value, critic.low, critic.high) == pytest.approx((0.8, 0.73, 0.87))
    assert (neighbors.value, neighbors.low, neighbors.high) == pytest.approx((0.9, 0.85, 0.95))
    assert "sampling error" in critic.details["interval"] and "bias" in critic.details["interval"]


def test_blocks_add_to_the_copula_of_all():
    blocks = [evidence(copula=0.2, ksg=0.5, ksg_width=0.06), evidence(copula=0.3, gain=0.4, half=0.08)]
    found = combine(number(0.55, 0.1), blocks, 4)
    assert found.value == pytest.approx(0.55 + 0.3 + 0.4)
    # variances: of the two chosen, and what the copula of all has beyond those of the blocks
    half = math.sqrt(0.03**2 + 0.08**2 + 0.05**2 - 2 * 0.02**2)
    assert (found.high - found.value, found.value - found.low) == pytest.approx((half, half))
    assert found.details["method"] == "ksg1; copula+critic" and found.details["blocks"] == 2
    assert "ksg1_nats" not in found.details and found.details["critic_nats"] == pytest.approx(0.95)


def test_more_than_four_dimensions_are_always_warned_of():
    assert not choose(dim=4).warnings
    (kept,) = choose(dim=5).warnings
    assert "5 dimensions: nothing was found against a Gaussian copula, which is no evidence for one" in kept
    (changed,) = choose(dim=5, gain=0.4).warnings
    assert "tends to fall short" in changed
    # also where the block itself is small
    assert combine(number(0.5), [evidence()], 20).warnings


def test_disagreement_and_the_ceiling_are_warned_of():
    assert not choose(gain=0.30, ksg=0.89).warnings and "methods disagree" in choose(gain=0.30, ksg=0.91).warnings[0]
    assert not choose(copula=4.79).warnings and "too much information" in choose(copula=4.81).warnings[0]
    assert choose(copula=4.7, gain=0.3).details["reason"] == "more information than a critic can check"


def test_blocks_are_found_and_irrelevant_variables_left_out():
    uniform = closed_form.uniform_noise_case(0.3)
    nothing = closed_form.gaussian_case("", np.eye(4))
    x, z = closed_form.stacked_case("", nothing, uniform, uniform).sample(1000, stream(0, "test"))
    found = [(a.tolist(), b.tolist()) for a, b in find_blocks(x.numpy(), z.numpy())]
    assert found == [([2], [2]), ([3], [3])]
    # a parabola has no correlation, but even functions of both have
    x, noise = torch.randn(2, 1000, 2, generator=stream(0, "test"), dtype=torch.float64).numpy()
    assert find_blocks(x, noise) == []
    ((first, second),) = find_blocks(x, noise + 2 * np.stack([x[:, 1] ** 2, 0 * x[:, 0]], axis=1))
    assert (first.tolist(), second.tolist()) == ([1], [0])


def test_student_copula_finds_what_a_gaussian_misses_and_is_not_seen_where_it_is_not():
    case = closed_form.student_case(5, 3, closed_form.dense_covariance(5, 0.5))
    x, z = (part.numpy() for part in case.sample(2000, stream(0, "test")))
    found = estimate_student(np.cbrt(x), z, float(estimate_gaussian(x, z, ranks=True).details["correction_nats"]))
    assert found.value == pytest.approx(case.truth, abs=3 * (found.high - found.value))
    assert found.details["degrees"] == pytest.approx(3, abs=1) and estimate_gaussian(x, z, ranks=True).value < 0.7
    normal = closed_form.gaussian_case("", closed_form.dense_covariance(5, 0.5))
    assert all(estimate_student(*(p.numpy() for p in normal.sample(1000, stream(s, "test")))) is None for s in range(5))


def test_scoring_cases_are_many_and_no_threshold_saw_them():
    found = scored_cases()
    assert len(found) >= 40 and len({case.name for case in found}) == len(found)
    assert not {case.name for case in found} & {case.name for case in closed_form.cases()}
    dims = [case.dim_x + case.dim_z for case in found]
    assert min(dims) == 2 and max(dims) == 50 and sum(dim > 4 for dim in dims) >= 25
    for case in found:
        x, z = case.sample(30, stream(0, "test"))
        assert x.shape == (30, case.dim_x) and z.shape == (30, case.dim_z), case.name
        assert torch.isfinite(x).all() and torch.isfinite(z).all() and case.truth >= 0, case.name
    assert list(known_cases("scored")) == [case.name for case in found]


@pytest.mark.parametrize(
    "name",
    ["spread_1x1_0.5", "spread_1x1_1", "parabola_1x1", "sine_1x1", "ring_radius_3", "clusters_2_1x1"],
)
def test_scoring_truths_agree_with_neighbors(name):
    from msda_analysis.information.neighbors import estimate_ksg
    from msda_analysis.information.ranks import normal_scores

    case = known_cases("scored")[name]
    found = estimate_ksg(*(normal_scores(part.numpy()) for part in case.sample(4000, stream(0, "test"))))
    assert found.value == pytest.approx(case.truth, abs=0.04)
