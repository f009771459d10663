"""Ranks, tails, corrections and intervals of the information estimators, each against its definition."""

import math

import numpy as np
import pytest
import torch

from msda_analysis.information import flows
from msda_analysis.information.blocks import find_blocks
from msda_analysis.information.encoder_bounds import pairwise_values
from msda_analysis.information.fitting import CriticFit, fit_best
from msda_analysis.information.gaussian import estimate_gaussian
from msda_analysis.information.marginals import Codes, fit_full
from msda_analysis.information.neural import OBJECTIVES, info_nce_terms
from msda_analysis.information.ranks import NormalScores, normal_scores, uniform_scores
from msda_analysis.information.student import estimate_student
from msda_analysis.rng import derive_key, numpy_from_key


def make_codes(n, latent=3, std=1.0):
    rng = numpy_from_key(derive_key(0, "test codes"))
    return Codes(rng.standard_normal((n, latent)), np.full((n, latent), std**2))


def test_scores_stand_in_the_middle_of_their_rank_and_are_odd():
    assert uniform_scores(np.array([[3.0], [1.0], [9.0], [4.0]]))[:, 0].tolist() == [0.375, 0.125, 0.875, 0.625]
    values = make_codes(9).loc
    np.testing.assert_allclose(normal_scores(-values), -normal_scores(values), atol=1e-12)


def test_far_tails_end_within_a_few_units():
    scores = NormalScores(make_codes(500, 1).loc)
    far = scores(np.array([[-1e9], [-10.0], [10.0], [1e9]]))[:, 0]
    assert (np.diff(far) > 0).all() and np.abs(far).max() < 3.1 + math.log(1e10)


def test_gaussian_interval_of_independent_variables_holds_the_chance_correlations():
    x, z = make_codes(200).loc, numpy_from_key(5).standard_normal((200, 4))
    found = estimate_gaussian(x, z)
    # 2 n times the information is chi-square with 3 x 4 degrees of freedom: variance 24
    assert found.high - found.value >= 1.96 * math.sqrt(24) / 400


def test_student_copula_takes_the_correction_it_is_given():
    rng = numpy_from_key(3)
    scale = np.sqrt(rng.chisquare(2, size=(400, 1)) / 2)
    x, z = rng.standard_normal((400, 2)) / scale, rng.standard_normal((400, 2)) / scale
    plain, corrected = estimate_student(x, z), estimate_student(x, z, -0.25)
    assert corrected.value == pytest.approx(plain.value - 0.25) and corrected.high == pytest.approx(plain.high - 0.25)


def test_independent_variables_have_no_links():
    rng = numpy_from_key(7)
    found = [find_blocks(*rng.standard_normal((2, 300, 8))) for _ in range(5)]
    assert found == [[]] * 5


def test_info_nce_terms_are_the_jackknife_of_the_bound():
    """What the bound gains per weight that an image gets, as itself and as the contrast of all others."""
    scores = torch.randn(7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def bound(weights):
        return weights @ (scores.diagonal() - (scores.exp() @ weights).log())

    even = torch.full((7,), 1 / 7, dtype=torch.float64)
    terms, step = info_nce_terms(scores), 1e-6
    gains = [
        (bound((1 - step) * even + step * unit) - bound((1 + step) * even - step * unit)) / (2 * step)
        for unit in torch.eye(7, dtype=torch.float64)
    ]
    torch.testing.assert_close(terms - terms.mean(), torch.stack(gains), rtol=0, atol=1e-6)
    assert terms.mean().item() == pytest.approx(bound(even).item())


def test_pairwise_terms_are_the_jackknife_too():
    codes = make_codes(20)
    z = codes.sample(numpy_from_key(derive_key(4, "encoder_bounds/pairs")), n_each=1)[0]
    log_q = -0.5 * np.square(z[:, None] - codes.loc).sum(axis=2)
    expected = info_nce_terms(torch.as_tensor(log_q)).numpy()
    np.testing.assert_allclose(pairwise_values(codes, 4)["info_nce"], expected, atol=1e-9)


def test_flow_is_fitted_without_the_held_out_images(monkeypatch):
    codes, sizes = make_codes(100), []
    monkeypatch.setattr(
        flows, "fit_best", lambda flow, loss, score, *, n, fit, seed: sizes.append(n) or {"best_step": 1}
    )
    density = flows.fit_flow(codes, 0)
    assert sizes == [80]
    np.testing.assert_array_equal(density.base.factor, fit_full(codes[np.arange(20, 100)]).factor)


def test_flow_sees_codes_with_their_own_spread(monkeypatch):
    seen = []
    monkeypatch.setattr(flows.Flow, "log_gain", lambda self, points: seen.append(points) or points.sum(1))
    monkeypatch.setattr(
        flows, "fit_best", lambda flow, loss, score, *, n, fit, seed: loss(torch.arange(n)) and {"best_step": 1}
    )
    flows.fit_flow(make_codes(1000, std=0.1), 0)
    # white as a whole: the means spread by nearly all of it, the noise adds a hundredth
    assert seen[-1].var(0).numpy() == pytest.approx(np.ones(3), abs=0.15)


def test_training_ends_at_a_copy_of_the_best_weights_on_its_way():
    module, weights = torch.nn.Linear(1, 1), []
    scores = iter([0.0, 1.0, 0.5, 0.4, 0.3, 0.2])

    def score():
        weights.append(module.weight.clone())
        return next(scores)

    fit = CriticFit(batch_size=2, max_steps=4, check_every=1, patience=9)
    notes = fit_best(module, lambda rows: -module(torch.ones(2, 1)).sum(), score, n=8, fit=fit, seed=0)
    assert (
        notes["best_step"] == 1 and torch.equal(module.weight, weights[1]) and not torch.equal(weights[1], weights[4])
    )


def test_terms_are_those_of_the_published_bounds():
    generator = torch.Generator().manual_seed(2)
    joint, product = torch.randn(6, generator=generator), 6 * torch.randn(6, 5, generator=generator)
    expected = {
        "nwj": joint - (product - 1).exp().mean(1),
        "js": joint + 1 - product.exp().mean(1),
        "mine": joint - product.exp().mean().log() + 1 - product.exp().mean(1) / product.exp().mean(),
    }
    for name, terms in expected.items():
        torch.testing.assert_close(OBJECTIVES[name].terms(joint, product), terms)
    clipped = product.clamp(-5, 5).exp()
    assert (product.abs() > 5).any()
    smile = joint.mean() - clipped.mean().log()
    torch.testing.assert_close(OBJECTIVES["smile"].terms(joint, product).mean(), smile)


def test_a_student_copula_is_not_seen_by_chance_alone():
    """In half of such samples of independent normals some degrees of freedom fit better, by less than chance allows."""
    samples = [numpy_from_key(seed).standard_normal((2, 64, 1)) for seed in range(20)]
    assert [estimate_student(*sample) for sample in samples] == [None] * 20
