"""Bounds on I(X; Z) of Gaussian encoders: the linear case, whose information is a determinant, and mixtures."""

import math

import numpy as np
import pytest
import torch

from msda_analysis.information.encoder_bounds import encoder_bounds, find_active_units, rate_per_dimension
from msda_analysis.information.linear_encoders import encoder_cases, linear_encoder
from msda_analysis.information.vae import rate_per_image
from msda_analysis.rng import stream


def draw_code(nats, *, n=8000, latent=64, spread=0.0, seed=0):
    return linear_encoder(nats, latent=latent, spread=spread).sample(n, stream(seed, "test"))


def test_linear_encoders_hold_what_they_say():
    for case in encoder_cases():
        loc, log_std = case.sample(20_000, stream(0, "test"))
        gram = (loc.T @ loc / len(loc)).numpy()  # W W' of the weights, up to sampling error
        held = 0.5 * np.linalg.slogdet(np.eye(case.latent) + gram)[1]
        assert loc.shape == (20_000, case.latent) and not log_std.any()
        assert held == pytest.approx(case.truth, rel=0.02, abs=0.05), case.name


def assert_tight(estimate, truth):
    """At most 2 % or 0.3 nats above, and not below by more than the interval."""
    half = (estimate.high - estimate.low) / 2
    assert -half <= estimate.value - truth <= max(0.02 * truth, 0.3), f"{estimate} for {truth}"


@pytest.mark.parametrize("spread", [2.0, pytest.param(0.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("nats", [2.0, 10.0, 40.0, 80.0])
def test_fitted_marginal_is_tight_from_8000_samples(nats, spread):
    bounds = encoder_bounds(*draw_code(nats, spread=spread), components=())
    assert_tight(bounds["fitted"], nats)
    assert_tight(bounds["fitted_full"], nats)
    assert bounds["info_nce"].value < min(nats, math.log(8000)) + 0.1 and bounds["info_nce"].bound == "lower"
    if nats >= 40:
        assert bounds["rate"].value > nats + 30 and bounds["leave_one_out"].value > nats + 30
        assert "ln K" in bounds["leave_one_out"].warnings[0] and "near its ceiling" in bounds["info_nce"].warnings[0]
    if nats == 2:
        assert not bounds["leave_one_out"].warnings and not bounds["info_nce"].warnings


@pytest.mark.slow
@pytest.mark.parametrize("nats", [2.0, 10.0, 40.0, 80.0])
def test_mixtures_do_not_loosen_the_chosen_bound(nats):
    bounds = encoder_bounds(*draw_code(nats, spread=1.0))
    assert_tight(bounds["fitted"], nats)
    assert_tight(bounds["fitted_mixture"], nats)


def test_tightness_check_can_fail():
    bounds = encoder_bounds(*draw_code(40.0, n=2000), components=())
    with pytest.raises(AssertionError):
        assert_tight(bounds["rate"], 40.0)


def test_mixture_finds_clusters_that_a_gaussian_misses():
    # two well separated clusters of a code that carries nothing else: I = ln 2; a Gaussian sees a wide blob
    generator = torch.Generator().manual_seed(0)
    cluster = torch.randint(2, (2000, 1), generator=generator) * 2.0 - 1
    loc = torch.cat([cluster * 6, torch.zeros(2000, 2)], dim=1)
    bounds = encoder_bounds(loc, torch.zeros(2000, 3), components=(2, 4))
    assert bounds["fitted_full"].value > 1.5
    assert bounds["fitted"].value == pytest.approx(math.log(2), abs=0.05)
    assert bounds["fitted"].details["marginal_1"] == "2 components"
    assert bounds["leave_one_out"].value == pytest.approx(math.log(2), abs=0.05)
    assert bounds["info_nce"].value == pytest.approx(math.log(2), abs=0.05)


def test_prior_is_kept_when_it_fits_best():
    # q(z) is exactly N(0, I), and 40 images cannot estimate 30 moments as well
    loc = 0.6 * torch.randn(40, 15, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    bounds = encoder_bounds(loc, torch.full((40, 15), math.log(0.8), dtype=torch.float64), components=())
    assert bounds["fitted"].details["marginal_1"] == "rate"
    assert bounds["fitted"].value <= bounds["fitted_full"].value


def test_pairwise_bounds_match_a_plain_sum():
    generator = torch.Generator().manual_seed(1)
    loc, log_std = torch.randn(601, 3, generator=generator), 0.3 * torch.randn(601, 3, generator=generator) - 1
    bounds = encoder_bounds(loc, log_std, components=(), seed=5)
    from msda_analysis.rng import derive_key, numpy_from_key

    noise = numpy_from_key(derive_key(5, "encoder_bounds/pairs")).standard_normal((1, 601, 3))[0]
    loc, std = loc.double(), log_std.double().exp()
    log_q = torch.distributions.Normal(loc, std).log_prob((loc + std * torch.as_tensor(noise))[:, None]).sum(dim=-1)
    own, others = log_q.diagonal(), log_q.clone().fill_diagonal_(-math.inf)
    info_nce = (own - log_q.logsumexp(dim=1)).mean() + math.log(601)
    leave_one_out = (own - others.logsumexp(dim=1)).mean() + math.log(600)
    assert bounds["info_nce"].value == pytest.approx(info_nce.item(), rel=1e-9)
    assert bounds["leave_one_out"].value == pytest.approx(leave_one_out.item(), rel=1e-9)


def test_intervals_cover_the_truth():
    truth, hits = 1.0, {"fitted_full": 0, "info_nce": 0}
    for seed in range(40):
        bounds = encoder_bounds(*draw_code(truth, n=1000, latent=2, seed=seed), components=())
        for name in hits:
            hits[name] += bounds[name].low <= truth <= bounds[name].high
    # 95 % of 40, five standard errors of slack
    assert all(count >= 40 * (0.95 - 5 * math.sqrt(0.95 * 0.05 / 40)) for count in hits.values()), hits


def test_rate_splits_over_dimensions_and_finds_active_units():
    loc, log_std = draw_code(2.0, n=500, latent=6)
    loc, log_std = torch.cat([loc, torch.zeros(500, 2)], dim=1), torch.cat([log_std, torch.zeros(500, 2)], dim=1)
    split = rate_per_dimension(loc, log_std)
    assert split.shape == (8,) and split[6:].tolist() == [0, 0]
    assert split.sum().item() == pytest.approx(rate_per_image(loc, log_std).mean().item())
    assert find_active_units(loc).tolist() == [True] * 6 + [False] * 2
    assert not find_active_units(loc, threshold=100.0).any()


def test_dimension_that_never_moves_changes_nothing():
    loc, log_std = draw_code(3.0, n=400, latent=4)
    wide = [torch.cat([part, torch.zeros(400, 1)], dim=1) for part in (loc, log_std)]
    narrow_bounds, wide_bounds = encoder_bounds(loc, log_std, components=()), encoder_bounds(*wide, components=())
    assert np.isfinite([bound.value for bound in wide_bounds.values()]).all()
    assert wide_bounds["fitted_diagonal"].value == pytest.approx(narrow_bounds["fitted_diagonal"].value, abs=1e-9)


def test_errors_say_what_was_expected():
    loc = torch.zeros(20, 2)
    with pytest.raises(ValueError, match="loc: images: expected an integer >= 16, got 10"):
        encoder_bounds(loc[:10], loc[:10])
    with pytest.raises(ValueError, match="components: expected an integer >= 1, got 0"):
        encoder_bounds(loc, loc, components=(0,))
    with pytest.raises(ValueError, match=r"one shape \[n, latent\]"):
        encoder_bounds(loc, loc[:, :1])
    with pytest.raises(ValueError, match="threshold: expected a number in"):
        find_active_units(loc, threshold=-1)
    with pytest.raises(ValueError, match=r"one shape \[n, latent\]"):
        rate_per_dimension(loc[0], loc[0])
