"""The known answers themselves: against brute-force integrals, sample means of the exact log ratio, and each other."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from msda_analysis.information.truths import closed_form
from msda_analysis.rng import stream


def test_every_case_has_its_shape_and_a_finite_truth():
    found = closed_form.cases()
    assert len(found) >= 40 and len({case.name for case in found}) == len(found)
    for case in found:
        x, z = case.sample(30, stream(0, "test"))
        assert x.shape == (30, case.dim_x) and z.shape == (30, case.dim_z), case.name
        assert x.dtype == z.dtype == torch.float64 and torch.isfinite(torch.cat([x, z], dim=1)).all(), case.name
        assert math.isfinite(case.truth) and case.truth >= -1e-12, case.name
        again, _ = case.sample(30, stream(0, "test"))
        assert torch.equal(x, again), case.name


def test_gaussian_truth_matches_the_pairwise_formula():
    covariance = closed_form.sparse_covariance(4, [0.3, 0.8])
    expected = -0.5 * (math.log(1 - 0.09) + math.log(1 - 0.64))
    assert closed_form.gaussian_information(covariance, 4) == pytest.approx(expected)


@pytest.mark.parametrize("half_width", [0.1, 0.5, 0.75, 2.0])
def test_uniform_noise_truth_matches_an_integral_of_the_output_entropy(half_width):
    def density(z):
        return max(min(z + half_width, 1) - max(z - half_width, 0), 0) / (2 * half_width)

    def term(z):
        return -density(z) * math.log(density(z)) if density(z) > 0 else 0

    breaks = sorted({-half_width, half_width, 1 - half_width, 1 + half_width})
    entropy = sum(integrate.quad(term, *ends)[0] for ends in pairwise(breaks))
    expected = entropy - math.log(2 * half_width)
    assert closed_form.uniform_noise_information(half_width) == pytest.approx(expected, abs=1e-6)


def test_noisy_uniform_truth_matches_the_sample_mean_of_the_log_ratio_and_its_limits():
    half_width, noise_std, n = 0.75, 0.5, 200_000
    rng = np.random.default_rng(0)
    x, width = rng.random(n), 2 * half_width
    z = x + half_width * (2 * rng.random(n) - 1) + noise_std * rng.standard_normal(n)

    def density(gap):  # of both noises together
        return (stats.norm.cdf((gap + half_width) / noise_std) - stats.norm.cdf((gap - half_width) / noise_std)) / width

    grid = (np.arange(2000) + 0.5) / 2000  # midpoints of x: the average density of z, on a fine grid of z
    points = np.linspace(z.min(), z.max(), 2000)
    marginal = np.interp(z, points, density(points[:, None] - grid).mean(axis=1))
    terms = np.log(density(z - x) / marginal)
    found = closed_form.noisy_uniform_information(half_width, noise_std)
    assert found == pytest.approx(terms.mean(), abs=5 * terms.std() / math.sqrt(n))
    without_noise = closed_form.uniform_noise_information(half_width)
    assert found < 0.8 * without_noise
    assert closed_form.noisy_uniform_information(half_width, 1e-4) == pytest.approx(without_noise, abs=1e-3)


@pytest.mark.parametrize(("dim", "degrees"), [(1, 1), (2, 3), (3, 10)])
def test_student_truth_matches_the_sample_mean_of_the_log_ratio(dim, degrees):
    covariance = closed_form.dense_covariance(dim, 0.5)
    case = closed_form.student_case(dim, degrees, covariance)
    x, z = (part.numpy() for part in case.sample(50_000, stream(0, "test")))
    part = covariance[:dim, :dim]
    log_ratio = (
        stats.multivariate_t.logpdf(np.hstack([x, z]), shape=covariance, df=degrees)
        - stats.multivariate_t.logpdf(x, shape=part, df=degrees)
        - stats.multivariate_t.logpdf(z, shape=part, df=degrees)
    )
    assert log_ratio.mean() == pytest.approx(case.truth, abs=5 * log_ratio.std() / math.sqrt(50_000))


def test_linear_encoder_truth_matches_the_joint_determinant():
    weights = np.random.default_rng(0).standard_normal((3, 5))
    joint = np.block([[np.eye(5), weights.T], [weights, weights @ weights.T + 0.25 * np.eye(3)]])
    expected = closed_form.gaussian_information(joint, 5)
    assert closed_form.linear_encoder_information(weights, 0.5) == pytest.approx(expected)


def test_maps_can_be_undone():
    values = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    for one_to_one in (closed_form.cube_root, closed_form.wiggly):
        assert (one_to_one(values).diff() > 0).all()
    points = torch.randn(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turned = closed_form.spiral(points)
    torch.testing.assert_close(turned.norm(dim=1), points.norm(dim=1))
    torch.testing.assert_close(closed_form.spiral(turned, speed=-1 / 3), points)
    rolled = closed_form.swiss_roll(points[:, :1])
    angle = 1.5 * math.pi * (1 + 2 * torch.special.ndtr(points[:, 0]))
    torch.testing.assert_close(rolled.norm(dim=1) * 21, angle)


def test_stacked_information_adds_up_and_more_correlation_is_more():
    pair = closed_form.gaussian_case("", closed_form.dense_covariance(1, 0.5))
    assert closed_form.stacked_case("two", pair, pair).truth == pytest.approx(2 * pair.truth)
    truths = [closed_form.gaussian_case("", closed_form.dense_covariance(3, rho)).truth for rho in (0, 0.2, 0.5, 0.9)]
    assert truths == sorted(truths) and truths[0] == pytest.approx(0)


def test_cases_know_whether_their_copula_is_gaussian():
    kinds = {case.name: case.gaussian_copula for case in closed_form.cases()}
    assert sum(kinds.values()) == 26 and sum(not kind for kind in kinds.values()) == 17
    for name in ("gaussian_dense_5x5", "cube_root_sparse_5x5", "wiggly_1x1", "independent_cubes_3x3"):
        assert kinds[name], name
    for name in ("spiral_2x2", "swiss_roll_2x1", "student_2x2_df2", "asinh_student_1x1_df1", "additivity_2x2"):
        assert not kinds[name], name
