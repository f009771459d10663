"""Information between two encoders: pairs of linear-Gaussian encoders of one source, whose answer is a determinant."""

import math

import numpy as np
import pytest
import torch

from msda_analysis.information.between import between_encoders
from msda_analysis.information.closed_form import gaussian_information
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.linear_encoders import linear_pair, pair_cases
from msda_analysis.rng import stream

QUICK = CriticFit(hidden=32, max_steps=100, patience=2)


def encoder_pair(strength, *, n=4000):
    """The codes of a linear pair, and I(Z_a; Z_b) in nats."""
    case = linear_pair(strength)
    return *case.sample(n, stream(0, "test")), case.truth


def test_pairs_hold_what_they_say():
    for case in pair_cases():
        codes = [code[0] for code in case.sample(50_000, stream(0, "test"))]
        joint = torch.cat(codes, dim=1)
        covariance = (joint.T @ joint / len(joint)).numpy() + np.eye(2 * case.latent)
        assert gaussian_information(covariance, case.latent) == pytest.approx(case.truth, rel=0.02, abs=0.1), case.name


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0, 20.0])
def test_linear_pairs_are_bracketed_and_the_difference_follows(strength):
    base, augmented, truth = encoder_pair(strength)
    found = between_encoders(base, augmented, fit=QUICK, flow=None)
    upper, lower, info_nce, difference = (found[name] for name in ("upper", "lower", "info_nce", "difference"))
    assert upper.bound == "upper" and upper.high >= truth
    for bound in (lower, info_nce):
        assert bound.bound == "lower" and bound.low <= truth
    assert difference.value == pytest.approx(truth, abs=0.02 * truth + 3 * (difference.high - difference.low))
    assert difference.bound is None and "bounds nothing" in difference.warnings[0]
    assert info_nce.value < info_nce.details["ceiling_nats"] == pytest.approx(math.log(2000))
    if strength == 1.0:
        assert lower.value == pytest.approx(truth, abs=0.1) and info_nce.value == pytest.approx(truth, abs=0.1)


def test_network_finds_what_a_regression_misses():
    # the second code sees only the square of the first one's source
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 1, generator=generator, dtype=torch.float64)
    base, augmented = (x, torch.full_like(x, -2.0)), (x.square(), torch.full_like(x, -1.0))
    regression = between_encoders(base, augmented, fit=CriticFit(learning_rate=1e-12, max_steps=1), flow=None)
    network = between_encoders(base, augmented, fit=CriticFit(hidden=32, max_steps=600), flow=None)
    assert regression["difference"].value < 0.1 and network["difference"].value > 0.6
    assert network["info_nce"].value > 0.6 and network["info_nce"].low < network["upper"].value


def test_reconstruction_route_is_labelled_as_no_bound():
    base, augmented, _ = encoder_pair(1.0, n=400)
    route = between_encoders(base, augmented, reconstructed=augmented, fit=QUICK, flow=None)["through_reconstruction"]
    assert route.bound is None and "neither way" in route.warnings[0]


def test_errors_say_what_was_expected():
    base, augmented, _ = encoder_pair(1.0, n=100)
    with pytest.raises(ValueError, match="codes of the same images, got 100 and 99"):
        between_encoders(base, tuple(part[1:] for part in augmented))
    with pytest.raises(ValueError, match="base: images: expected an integer >= 64, got 50"):
        between_encoders(tuple(part[:50] for part in base), tuple(part[:50] for part in augmented))
    with pytest.raises(ValueError, match=r"one shape \[n, latent\]"):
        between_encoders((base[0], base[1][:1]), augmented)
