"""Bounds on I(X; Z) of Gaussian encoders: the linear case, whose information is a determinant, and mixtures."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from msda_analysis.information.cross_fit import MarginalTerms, fit_marginals
from msda_analysis.information.encoder_bounds import encoder_bounds
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.flows import Flow
from msda_analysis.information.marginals import Gaussian, fit_full
from msda_analysis.information.truths.linear_encoders import encoder_cases, linear_encoder
from msda_analysis.information.truths.shaped_encoders import (
    SOURCES,
    ring_encoder,
    ring_information,
    shaped_cases,
    source_encoder,
    source_information,
)
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
    bounds = encoder_bounds(*draw_code(nats, spread=spread), components=(), flow=None)
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
    bounds = encoder_bounds(*draw_code(nats, spread=1.0), flow=None)
    assert_tight(bounds["fitted"], nats)
    assert_tight(bounds["fitted_mixture"], nats)


def test_tightness_check_can_fail():
    bounds = encoder_bounds(*draw_code(40.0, n=2000), components=(), flow=None)
    with pytest.raises(AssertionError):
        assert_tight(bounds["rate"], 40.0)


def test_mixture_finds_clusters_that_a_gaussian_misses():
    # two well separated clusters of a code that carries nothing else: I = ln 2; a Gaussian sees a wide blob
    generator = torch.Generator().manual_seed(0)
    cluster = torch.randint(2, (2000, 1), generator=generator) * 2.0 - 1
    loc = torch.cat([cluster * 6, torch.zeros(2000, 2)], dim=1)
    bounds = encoder_bounds(loc, torch.zeros(2000, 3), components=(2, 4), flow=None)
    assert bounds["fitted_full"].value > 1.5
    assert bounds["fitted"].value == pytest.approx(math.log(2), abs=0.05)
    assert bounds["fitted"].details["marginal_1"] == "2 components"
    assert bounds["leave_one_out"].value == pytest.approx(math.log(2), abs=0.05)
    assert bounds["info_nce"].value == pytest.approx(math.log(2), abs=0.05)


def test_prior_is_kept_when_it_fits_best():
    # q(z) is exactly N(0, I), and 40 images cannot estimate 30 moments as well
    loc = 0.6 * torch.randn(40, 15, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    bounds = encoder_bounds(loc, torch.full((40, 15), math.log(0.8), dtype=torch.float64), components=(), flow=None)
    assert bounds["fitted"].details["marginal_1"] == "rate"
    assert bounds["fitted"].value <= bounds["fitted_full"].value


def test_pairwise_bounds_match_a_plain_sum():
    generator = torch.Generator().manual_seed(1)
    loc, log_std = torch.randn(601, 3, generator=generator), 0.3 * torch.randn(601, 3, generator=generator) - 1
    bounds = encoder_bounds(loc, log_std, components=(), flow=None, seed=5)
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
        bounds = encoder_bounds(*draw_code(truth, n=1000, latent=2, seed=seed), components=(), flow=None)
        for name in hits:
            hits[name] += bounds[name].low <= truth <= bounds[name].high
    # 95 % of 40, five standard errors of slack
    assert all(count >= 40 * (0.95 - 5 * math.sqrt(0.95 * 0.05 / 40)) for count in hits.values()), hits


def test_dimension_that_never_moves_changes_nothing():
    loc, log_std = draw_code(3.0, n=400, latent=4)
    wide = [torch.cat([part, torch.zeros(400, 1)], dim=1) for part in (loc, log_std)]
    narrow_bounds, wide_bounds = (
        encoder_bounds(loc, log_std, components=(), flow=None),
        encoder_bounds(*wide, components=(), flow=None),
    )
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


QUICK_FLOW = CriticFit(hidden=32, learning_rate=1e-2, batch_size=512, max_steps=200, check_every=25, patience=4)


@pytest.mark.parametrize("case", shaped_cases(), ids=lambda case: case.name)
def test_shaped_encoders_hold_what_they_say(case):
    # E ln q(z|x) / q(z) with q(z) the mixture over many other images, where few nats make that mixture exact
    if case.truth > 5:
        pytest.skip("more nats than a mixture of images can show; the same integrals as the others")
    bounds = encoder_bounds(*case.sample(4000, stream(0, "test")), components=(), flow=None)
    assert bounds["info_nce"].low - 0.05 <= case.truth <= bounds["leave_one_out"].high + 0.05


@pytest.mark.parametrize("source", ["gaussian", "uniform", "laplace", "two_points"])
def test_information_of_a_source_matches_a_double_integral(source):
    scale, step = 1.3, 0.01
    points = np.arange(-12, 12, step) + step / 2
    weights = {
        "gaussian": lambda s: stats.norm.pdf(s),
        "uniform": lambda s: (np.abs(s) < math.sqrt(3)) / math.sqrt(12),
        "laplace": lambda s: stats.laplace.pdf(s, scale=math.sqrt(0.5)),
        "two_points": lambda s: (np.abs(np.abs(s) - 1) < step) / (4 * step),
    }[source](points)
    density = stats.norm.pdf(points[:, None] - scale * points) @ (weights / weights.sum())
    entropy = -(density * np.log(np.maximum(density, 1e-300))).sum() * step
    assert source_information(source, scale) == pytest.approx(entropy - 0.5 * math.log(2 * math.pi * math.e), abs=2e-3)
    sources = SOURCES[source](50_000, 1, stream(0, "test"))
    assert sources.mean().item() == pytest.approx(0, abs=0.03) and sources.var().item() == pytest.approx(1, abs=0.05)


def test_ring_holds_nothing_at_its_center_and_the_length_of_the_curve_far_out():
    assert ring_information(0.0) == pytest.approx(0, abs=1e-6)
    straight = math.log(2 * math.pi * 20) - 0.5 * math.log(2 * math.pi * math.e)  # a line of that length, locally
    assert ring_information(20.0) == pytest.approx(straight, abs=1e-3)


@pytest.mark.parametrize(
    "case",
    [
        source_encoder("uniform", 6.0, latent=4),
        source_encoder("laplace", 6.0, latent=4),
        source_encoder("two_points", 2.0, latent=4),
        ring_encoder(5.0, rings=2),
    ],
    ids=["uniform", "laplace", "clusters", "rings"],
)
def test_flow_is_closer_where_codes_are_not_normal_and_never_below(case):
    bounds = encoder_bounds(*case.sample(2000, stream(0, "test")), components=(), flow=QUICK_FLOW)
    flow, full, fitted = bounds["flow"], bounds["fitted_full"], bounds["fitted"]
    assert flow.bound == "upper" and flow.high >= case.truth
    # at least a third of the way from the Gaussian to the truth
    assert full.value - flow.value > (full.value - case.truth) / 3
    gap = flow.details["gap_nats"]
    assert gap == pytest.approx(fitted.value - flow.value)
    assert flow.details["gap_low"] < gap < flow.details["gap_high"]
    assert "an upper bound, the flow's, lies lower by" in fitted.warnings[0] and not flow.warnings


def test_flow_of_a_normal_code_is_its_gaussian_and_shows_no_looseness():
    bounds = encoder_bounds(*draw_code(4.0, n=1000, latent=4), components=(), flow=QUICK_FLOW)
    assert_tight(bounds["flow"], 4.0)
    assert bounds["flow"].value >= 4.0 - (bounds["flow"].high - bounds["flow"].low)
    assert not bounds["fitted"].warnings


def test_flow_is_a_density_and_starts_as_the_identity():
    flow = Flow(2, 8, seed=0)
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(flow(points)[0], points) and not flow(points)[1].any() and not flow.log_gain(points).any()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in flow.parameters():
            part += 0.1 * torch.randn(part.shape, generator=generator)  # larger ones bend within a step of the grid
        line = torch.linspace(-12, 12, 241)
        grid = torch.cartesian_prod(line, line)
        log_density = flow.log_gain(grid) - 0.5 * grid.square().sum(dim=1) - math.log(2 * math.pi)
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0][0], points[0])
    assert log_density.exp().sum().item() * (24 / 240) ** 2 == pytest.approx(1, abs=0.01)
    assert flow(points[:1])[1].item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-5)


def test_flow_judges_images_that_it_was_not_fitted_on(monkeypatch):
    code, fitted_on, judged = draw_code(2.0, n=200, latent=3), [], []

    class Spy(Gaussian):
        def expected_log_density(self, codes, seed=0):
            judged.append(codes.loc[:, 0])
            return super().expected_log_density(codes, seed)

    def spy(codes, seed, fit):
        fitted_on.append(codes.loc[:, 0])
        gaussian = fit_full(codes)
        return Spy(gaussian.mean, gaussian.factor)

    monkeypatch.setattr("msda_analysis.information.cross_fit.fit_flow", spy)
    encoder_bounds(*code, components=(), flow=QUICK_FLOW)
    assert len(fitted_on) == len(judged) == 2
    for fitted, seen in zip(fitted_on, judged, strict=True):
        assert not set(fitted.tolist()) & set(seen.tolist()) and len(fitted) + len(seen) == 200


def test_marginals_that_are_there_are_not_fitted_again(monkeypatch):
    code = draw_code(2.0, n=200, latent=3)
    fitted = fit_marginals(code, 3, components=(2,), flow=None)
    expected = encoder_bounds(*code, 3, components=(2,), flow=None)
    monkeypatch.setattr("msda_analysis.information.cross_fit.fit_full", None)
    assert encoder_bounds(*code, 3, marginals=fitted) == expected
    with pytest.raises(ValueError, match="marginals: expected terms of the 199 images of loc"):
        encoder_bounds(code[0][1:], code[1][1:], marginals=fitted)


def test_tightest_is_the_smallest_whatever_mixtures_say():
    values = {"rate": np.full(4, 3.0), "fitted_full": np.full(4, 2.0), "fitted_mixture": np.full(4, 1.0)}
    fitted = MarginalTerms(values | {"fitted": values["fitted_mixture"]}, {})
    assert fitted.tightest() is values["fitted_full"]


def test_a_mixture_that_one_half_is_too_small_for_is_left_out():
    # 53 images leave 40 to score two components with, 52 leave 39
    generator = torch.Generator().manual_seed(0)
    fitted = fit_marginals((torch.randn(105, 2, generator=generator), torch.zeros(105, 2)), components=(2,), flow=None)
    assert "fitted_mixture" not in fitted.values and "fitted_mixture" not in fitted.notes
    assert all(np.isfinite(terms).all() for terms in fitted.values.values())
