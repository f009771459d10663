"""Information between two encoders: pairs of linear-Gaussian encoders of one source, whose answer is a determinant."""

import math

import numpy as np
import pytest
import torch

from msda_analysis.information import between
from msda_analysis.information.between import between_encoders
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.truths.closed_form import gaussian_information
from msda_analysis.information.truths.linear_encoders import linear_pair, pair_cases
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
    # through InfoNCE, so below ln K whatever the codes hold: a fitted marginal in its place would be no bound
    assert lower.value <= lower.details["ceiling_nats"] == pytest.approx(math.log(4000))
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


FEW = CriticFit(hidden=8, max_steps=4, check_every=2, batch_size=50)


def test_exchanging_the_codes_changes_no_number():
    base, augmented, _ = encoder_pair(2.0, n=200)
    augmented = tuple(part[:, :3] for part in augmented)
    one, other = (between_encoders(*pair, 3, fit=FEW, flow=FEW) for pair in ((base, augmented), (augmented, base)))
    for name in ("upper", "lower", "info_nce", "difference"):
        assert (one[name].value, one[name].low) == (other[name].value, other[name].low), name
        assert name == "upper" or one[name].details["gap_nats"] == other[name].details["gap_nats"] > 0, name


def test_both_ways_are_averaged_and_their_gap_given(monkeypatch):
    ways = iter([1.0, 2.0])

    def one_way(base, target, marginal, seed, fit):
        value = next(ways) + 0.1 * np.random.default_rng(0).standard_normal(len(base))
        return between._Values(value - 1, value - 0.5, value, {"steps": 1.0, "seconds": 2.0})

    monkeypatch.setattr(between, "_one_way", one_way)
    base, augmented, _ = encoder_pair(1.0, n=100)
    found = between_encoders(base, augmented, flow=None)["difference"]
    assert found.value == pytest.approx(1.5, abs=0.05) and found.details["gap_nats"] == pytest.approx(1.0)
    assert "the two ways round differ by 1 nats" in found.warnings[1] and found.details["steps"] == 2


def test_codes_of_unequal_information_keep_their_roles():
    generator = torch.Generator().manual_seed(0)
    sources = torch.randn(3000, 4, generator=generator, dtype=torch.float64)
    weights = torch.cat([6 * torch.eye(4), 0.7 * torch.eye(4)[:2]]).double()
    codes = sources @ weights.T
    truth = gaussian_information((weights @ weights.T).numpy() + np.eye(6), 4)
    base, augmented = ((part, torch.zeros_like(part)) for part in codes.split([4, 2], dim=1))
    found = between_encoders(base, augmented, fit=QUICK, flow=None)
    assert found["difference"].value == pytest.approx(truth, abs=0.05) and found["upper"].value < truth + 0.1
    assert found["lower"].low < truth and found["difference"].details["gap_nats"] < 0.05


def test_densities_are_judged_on_images_that_they_were_not_fitted_on(monkeypatch):
    fit_density, fitted_on, judged = between._fit_density, [], []

    def spy(base, target, seed, fit):
        density, notes = fit_density(base, target, seed, fit)
        fitted_on.append(set(target.loc[:, 0].tolist()))
        expected = density.expected_log_density
        density.expected_log_density = lambda z, loc, var: (
            judged.append(set(loc[:, 0].tolist())) or expected(z, loc, var)
        )
        return density, notes

    monkeypatch.setattr(between, "_fit_density", spy)
    base, augmented, _ = encoder_pair(1.0, n=131)
    between_encoders(base, augmented, fit=FEW, flow=None)
    assert len(fitted_on) == len(judged) == 4
    for trained, seen in zip(fitted_on, judged, strict=True):
        assert not trained & seen and len(trained) + len(seen) == 131
