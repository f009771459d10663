"""Estimators from samples: against known answers, independent implementations and each other."""

import math

import numpy as np
import pytest
import torch

from msda_analysis.information import METHODS, estimate, neural, residual
from msda_analysis.information.fitting import CriticFit, fit_best
from msda_analysis.information.gaussian import estimate_gaussian, fit_gaussian_ratio, log_det_bias
from msda_analysis.information.neighbors import count_within, estimate_ksg
from msda_analysis.information.neural import (
    OBJECTIVES,
    MovingAverageDv,
    cross_evaluate,
    dv_terms,
    fit_critic,
    info_nce_terms,
    js_loss,
    wrong_pairs,
)
from msda_analysis.information.ranks import NormalScores, normal_scores
from msda_analysis.information.truths import closed_form
from msda_analysis.information.truths.known_answers import answer_samples
from msda_analysis.rng import stream

CASES = {case.name: case for case in closed_form.cases()}
QUICK = CriticFit(hidden=32, max_steps=300, patience=4)


def draw(name, n=1000, seed=0):
    return CASES[name].sample(n, stream(seed, "test"))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "auto"])
def test_every_method_finds_the_information_of_a_normal_pair(method):
    found, truth = estimate(*draw("gaussian_1x1_0.75", n=2000), method, fit=QUICK), CASES["gaussian_1x1_0.75"].truth
    assert found.value == pytest.approx(truth, abs=0.06) and found.low < found.value < found.high
    assert found.unit == "nats" and found.n == 2000 and found.details["method"] == method
    assert found.bound == ("lower" if method in ("nwj", "info_nce", "js") else None)
    if method in ("mine", "nwj", "info_nce", "js", "smile"):
        assert found.details["ceiling_nats"] == pytest.approx(math.log(1000)) and found.details["steps"] > 0
    assert found.details["seconds"] > 0


@pytest.mark.parametrize("method", METHODS)
def test_independent_variables_have_none_and_nothing_is_clamped(method):
    values = [estimate(*draw("independent_1x1", n=600, seed=s), method, seed=s, fit=QUICK).value for s in range(4)]
    assert np.abs(values).max() < 0.08
    if method in ("ksg1", "ksg2", "gaussian"):
        assert min(values) < 0


@pytest.mark.parametrize("variant", [1, 2])
@pytest.mark.parametrize("dims", [(1, 1), (2, 3)])
def test_ksg_matches_a_plain_loop(variant, dims):
    from scipy.special import digamma

    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((150, dims[0])), rng.standard_normal((150, dims[1]))
    z[:, 0] += x[:, 0]
    terms = []
    for i in range(150):
        far_x, far_z = np.abs(x - x[i]).max(axis=1), np.abs(z - z[i]).max(axis=1)
        nearest = np.argsort(np.maximum(far_x, far_z))[1:4]
        if variant == 1:
            radius = max(far_x[nearest[-1]], far_z[nearest[-1]])
            counts = [(far < radius).sum() for far in (far_x, far_z)]  # with the sample itself: n_x + 1
            terms.append(digamma(3) + digamma(150) - digamma(counts[0]) - digamma(counts[1]))
        else:
            counts = [(far <= far[nearest].max()).sum() - 1 for far in (far_x, far_z)]
            terms.append(digamma(3) - 1 / 3 + digamma(150) - digamma(counts[0]) - digamma(counts[1]))
    assert estimate_ksg(x, z, variant=variant).value == pytest.approx(np.mean(terms), abs=1e-12)


def test_ksg_agrees_with_scikit_learn():
    from sklearn.feature_selection import mutual_info_regression

    x, z = (part.numpy() for part in draw("gaussian_1x1_0.95"))
    theirs = mutual_info_regression(x, z[:, 0], n_neighbors=3, random_state=0)[0]
    ours = estimate_ksg(x / x.std(), z / z.std()).value  # theirs scales each variable, and adds noise of 1e-10
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_ksg_warns_of_repeats_and_of_many_dimensions():
    x = np.repeat(np.arange(50.0), 4)[:, None]
    assert "coincide" in estimate_ksg(x, x).warnings[0]
    rng = np.random.default_rng(0)
    (warning,) = estimate_ksg(rng.standard_normal((50, 4)), rng.standard_normal((50, 4))).warnings
    assert "8 dimensions" in warning
    assert count_within(np.array([[0.0], [1.0], [3.0]]), np.array([1.0, 0.5, 2.0])).tolist() == [2, 1, 2]


def test_ksg_knows_its_ceiling():
    from scipy.special import digamma

    x = np.random.default_rng(0).standard_normal((200, 1))
    for variant, ceiling in ((1, digamma(200) - digamma(3)), (2, digamma(200) - digamma(3) - 1 / 3)):
        copied = estimate_ksg(x, x, variant=variant)
        assert copied.value == pytest.approx(ceiling) == copied.details["ceiling_nats"]
        assert "near its ceiling" in copied.warnings[0] and "200 samples" in copied.warnings[0]
    assert not estimate_ksg(x, np.random.default_rng(1).standard_normal((200, 1))).warnings


@pytest.mark.parametrize("method", ["auto", "ksg1", "mine", "gaussian", "gaussian_copula"])
def test_variables_that_are_not_continuous_are_warned_of(method):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, generator=generator)
    found = estimate((z > 0).long(), z + torch.randn(200, generator=generator), method, fit=QUICK)
    assert "x: 100% of the samples repeat another's value in column 0" in found.warnings[0]
    twice = torch.randn(100, 2, generator=generator).repeat(2, 1)
    found = estimate(twice, twice[:, 0] + 0.1 * torch.randn(200, generator=generator), method, fit=QUICK)
    assert found.warnings[0].startswith("x: ") and not any(text.startswith("z: ") for text in found.warnings)
    assert not any("repeat" in text for text in estimate(*draw("gaussian_1x1_0.3", n=200), method, fit=QUICK).warnings)


def test_one_variable_may_come_as_a_vector_of_any_real_type():
    x, z = draw("gaussian_1x1_0.75", n=500)
    expected = estimate(x, z, "gaussian").value
    assert estimate(x[:, 0], z[:, 0], "gaussian").value == expected
    assert estimate(x.float(), z.float(), "gaussian").value == pytest.approx(expected, abs=1e-5)


def test_gaussian_correction_is_unbiased_where_the_plain_value_is_not():
    covariance = closed_form.sparse_covariance(10, [0.5] * 5)
    case, values, plain = closed_form.gaussian_case("", covariance), [], []
    for seed in range(60):
        x, z = (part.numpy() for part in case.sample(100, stream(seed, "test")))
        values.append(estimate_gaussian(x, z).value)
        plain.append(fit_gaussian_ratio(x, z).nats)
    assert np.mean(values) == pytest.approx(case.truth, abs=5 * np.std(values) / math.sqrt(60))
    assert np.mean(plain) > case.truth + 0.4
    # 20000 draws of the log determinant itself
    rng = np.random.default_rng(0)
    draws = np.linalg.slogdet(_covariances(rng))[1]
    assert draws.mean() == pytest.approx(log_det_bias(12, 3), abs=5 * draws.std() / math.sqrt(len(draws)))


def _covariances(rng):
    samples = rng.standard_normal((20_000, 12, 3))
    samples -= samples.mean(axis=1, keepdims=True)
    return np.einsum("nij,nik->njk", samples, samples) / 12


def test_gaussian_intervals_cover():
    for name in ("gaussian_1x1_0.75", "independent_5x5"):
        found = [estimate(*draw(name, n=500, seed=s), "gaussian") for s in range(60)]
        hits = sum(each.low <= CASES[name].truth <= each.high for each in found)
        assert hits >= 60 * (0.95 - 5 * math.sqrt(0.95 * 0.05 / 60)), (name, hits)


def test_normal_scores_ignore_monotone_maps_and_keep_order_beyond_the_ends():
    x = np.random.default_rng(0).standard_normal((200, 2))
    np.testing.assert_allclose(normal_scores(x), normal_scores(np.exp(x)))
    scores = NormalScores(x)
    np.testing.assert_allclose(scores(x), normal_scores(x), atol=1e-12)
    line = np.linspace(-10, 10, 400)[:, None].repeat(2, axis=1)
    assert (np.diff(scores(line), axis=0) > 0).all()


def test_monotone_maps_do_not_change_an_estimate():
    x, z = draw("gaussian_1x1_0.75", n=500)
    for method in ("ksg1", "gaussian_copula"):
        assert estimate(x.exp(), z**3, method).value == pytest.approx(estimate(x, z, method).value, abs=1e-9)
    assert estimate(x.exp(), z**3, "gaussian").value < estimate(x, z, "gaussian").value - 0.02


def test_same_seed_same_number():
    pair = draw("student_1x1_df1", n=200)
    first, again, other = (estimate(*pair, "mine", seed, fit=QUICK) for seed in (0, 0, 1))
    assert first.value == again.value != other.value
    torch.rand(3)  # global randomness plays no part
    assert estimate(*pair, "mine", 0, fit=QUICK).value == first.value


@pytest.mark.parametrize("method", ["mine", "nwj", "js", "info_nce"])
def test_lower_bounds_stay_below_and_name_their_ceiling(method):
    case = closed_form.gaussian_case("", closed_form.sparse_covariance(20, [0.97] * 20))
    found = estimate(*case.sample(400, stream(0, "test")), method, fit=QUICK)
    assert found.value < case.truth
    if method == "info_nce":
        assert found.value < found.details["ceiling_nats"] == pytest.approx(math.log(200))


@pytest.mark.parametrize("value", [3.4, 40.0, math.nan])
def test_critics_warn_near_their_ceiling(value):
    x = np.zeros((64, 1))
    notes = {"steps": 1.0, "seconds": 0.0}
    found = cross_evaluate(x, x, lambda train, test, seed: (torch.full((32,), value), notes), seed=0)
    assert "near its ceiling ln K = 3.466 nats for K = 32 samples" in found.warnings[0]
    assert found.details["steps"] == 2
    assert not cross_evaluate(x, x, lambda train, test, seed: (torch.ones(32), notes), seed=0).warnings


def test_linearized_terms_average_to_the_bounds():
    generator = torch.Generator().manual_seed(0)
    joint, product = torch.randn(50, generator=generator), torch.randn(50, 7, generator=generator)
    expected = joint.mean() - product.exp().mean().log()
    torch.testing.assert_close(dv_terms(joint, product).mean(), expected)
    scores = torch.randn(20, 20, generator=generator)
    expected = scores.log_softmax(dim=1).diagonal().mean() + math.log(20)
    torch.testing.assert_close(info_nce_terms(scores).mean(), expected)


def test_moving_average_loss_has_the_gradient_of_mine():
    loss, product = MovingAverageDv(rate=0.5), torch.tensor([0.0, 1.0], requires_grad=True)
    loss(torch.zeros(2), torch.full((2,), 2.0))
    average = 0.5 * math.exp(2) + 0.5 * (1 + math.e) / 2
    loss(torch.zeros(2), product).backward()
    torch.testing.assert_close(product.grad, torch.tensor([1.0, math.e]) / 2 / average)


@pytest.mark.parametrize("method", ["mine", "smile"])
def test_donsker_varadhan_values_are_called_estimates_because_they_may_lie_above(method):
    # the exact log ratio as critic, judged by as few wrong pairs as the estimator takes: still above the truth
    generator, dim, rho = torch.Generator().manual_seed(0), 20, 0.9
    x = torch.randn(400, dim, generator=generator, dtype=torch.float64)
    z = rho * x + math.sqrt(1 - rho**2) * torch.randn(400, dim, generator=generator, dtype=torch.float64)
    truth = -0.5 * dim * math.log(1 - rho**2)

    def ratio(a, b):
        return truth + ((rho * a * b - rho**2 * (a**2 + b**2) / 2) / (1 - rho**2)).sum(dim=1)

    product = torch.stack([ratio(x, z[row]) for row in wrong_pairs(400, 20, seed=0)], dim=1)
    assert dv_terms(ratio(x, z), product).mean() > truth + 0.5
    assert OBJECTIVES[method].bound is None and OBJECTIVES["nwj"].bound == "lower"


def test_every_critic_is_judged_on_the_half_that_it_was_not_trained_on(monkeypatch):
    x, z = (part.numpy() for part in draw("gaussian_1x1_0.75", n=131))  # halves of 66 and 65
    seen = []

    def spy(score, critic, train, test, loss, objective, seed, fit):
        trained = fit_critic(score, critic, train, test, loss, objective, seed, fit)
        assert len(trained[0]) == len(test[0])
        seen.append((len(train[0]), len(test[0]), {*train[1][:, 0].tolist()} & {*test[1][:, 0].tolist()}))
        return trained

    for module in (neural, residual):
        monkeypatch.setattr(module, "fit_critic", spy)
    shapes = []
    monkeypatch.setattr(neural, "info_nce_terms", lambda s: shapes.append(len(s)) or info_nce_terms(s))
    few = CriticFit(hidden=8, max_steps=2, batch_size=26)
    neural.estimate_neural(x, z, "mine", 0, few)
    residual.estimate_with_residual(x, z, 0, few)
    assert [sizes for *sizes, _ in seen] == [[66, 65], [65, 66]] * 2
    assert not any(shared for *_, shared in seen[:2])
    neural.estimate_neural(x, z, "info_nce", 0, few)
    judged = [size for size in shapes if size in (65, 66)]
    assert judged == [65, 66]


def test_the_residual_critic_gains_on_the_half_that_it_was_not_trained_on(monkeypatch):
    x, z = (part.numpy() for part in draw("gaussian_1x1_0.75", n=131))
    judged = []
    monkeypatch.setattr(residual, "dv_terms", lambda j, p: judged.append(j.shape + p.shape[:1]) or dv_terms(j, p))
    residual.estimate_with_residual(x, z, 0, CriticFit(hidden=8, max_steps=2, batch_size=26))
    assert judged == [(65, 65), (66, 66)]


def test_fit_critic_trains_on_one_part_and_judges_the_other():
    train, test = ((torch.full((n, 1), value), torch.arange(float(n))[:, None]) for n, value in ((40, 0.0), (30, 1.0)))
    seen = []

    def score(data, partner):
        seen.append((torch.is_grad_enabled(), data[0].unique().tolist(), len(data[0])))
        return critic(data[1] if partner is None else data[1][partner])[:, 0]

    critic = torch.nn.Linear(1, 1)
    terms, _ = fit_critic(score, critic, train, test, js_loss, "js", 0, CriticFit(max_steps=3, batch_size=8))
    assert len(terms) == 30
    assert all(values == [0.0] for training, values, _ in seen if training)
    # held out are the training part's first fifth (8 rows); the value itself comes from the test part alone
    assert {(values[0], n) for training, values, n in seen if not training} == {(0.0, 8), (1.0, 30)}


def test_wrong_pairs_never_meet_themselves():
    partners = wrong_pairs(9, 20, seed=0)
    assert partners.shape == (8, 9)
    assert (partners != torch.arange(9)).all() and (partners.sort(dim=1).values == torch.arange(9)).all()


def test_early_stopping_keeps_a_copy_of_the_best_weights():
    # the score falls with every step, so the untrained weights are best and must come back
    module = torch.nn.Linear(1, 1)
    before = [weight.clone() for weight in module.parameters()]
    fit = CriticFit(batch_size=2, max_steps=30, check_every=1, patience=5)
    steps = iter(range(100))
    notes = fit_best(module, lambda rows: -module(torch.ones(2, 1)).sum(), lambda: -next(steps), n=8, fit=fit, seed=0)
    assert notes["best_step"] == 0 and 5 <= notes["steps"] < 10 and notes["best_score"] == 0
    assert all(torch.equal(*pair) for pair in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "method"),
    [("gaussian_sparse_5x5", "gaussian_copula"), ("cube_root_1x1", "gaussian_copula"), ("uniform_noise_0.4", "ksg1")],
)
def test_auto_says_what_it_chose(name, method):
    found = estimate(*draw(name, n=2000), "auto", fit=QUICK)
    assert found.value == pytest.approx(CASES[name].truth, abs=0.1)
    assert found.details["method"] == method and found.details["reason"] and found.bound is None
    assert {"copula_nats", "critic_nats", "ksg1_nats", "ceiling_nats"} <= set(found.details)


def test_auto_warns_where_it_cannot_be_trusted():
    spiral = estimate(*draw("spiral_5x5"), "auto", fit=QUICK)
    assert any("tends to fall short" in warning for warning in spiral.warnings)
    x = torch.randn(1000, 1, generator=stream(0, "x"))
    much = estimate(x, x + 0.002 * torch.randn(1000, 1, generator=stream(0, "noise")), "auto", fit=QUICK)
    assert any("too much information for the ceiling ln K = 6.215" in warning for warning in much.warnings)
    roll = estimate(*draw("spiral_2x2", n=2000), "auto", fit=CriticFit(max_steps=50, check_every=25))
    assert any("methods disagree" in warning for warning in roll.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_auto_reaches_its_goal_on_the_known_cases(seed):
    answers = [answer_samples(case, "auto", n=4000, seed=seed) for case in CASES.values()]
    small = [answer for answer in answers if answer.truth < 2]
    good = [answer for answer in small if abs(answer.error) <= max(0.1, 0.1 * answer.truth)]
    assert len(small) >= 35 and len(good) >= 0.8 * len(small)
    silent = [answer.case for answer in answers if abs(answer.error) > 0.5 and not answer.found.warnings]
    assert not silent


@pytest.mark.slow
def test_auto_is_consistent_with_itself():
    single, double = draw("uniform_noise_0.75", n=4000), draw("additivity_2x2", n=4000)
    one, two = estimate(*single, "auto"), estimate(*double, "auto")
    assert two.value / one.value == pytest.approx(2, rel=0.35)
    # data processing: noise on z cannot add information
    x, z = single
    noisy = z + 0.5 * torch.randn(z.shape, generator=stream(1, "noise"), dtype=z.dtype)
    assert estimate(x, noisy, "auto").value < one.value


def test_errors_say_what_was_expected():
    x, z = draw("gaussian_1x1_0.3", n=100)
    with pytest.raises(ValueError, match=r"method: expected one of 'auto'.*got 'kde'"):
        estimate(x, z, "kde")
    with pytest.raises(ValueError, match="paired samples, got 100 and 99"):
        estimate(x, z[1:], "auto")
    with pytest.raises(ValueError, match=r"z: expected \[n\] or \[n, dim\], got shape \(100, 1, 1\)"):
        estimate(x, z[..., None], "auto")
    with pytest.raises(ValueError, match="x: expected finite values, got 100"):
        estimate(x * math.nan, z, "auto")
    with pytest.raises(ValueError, match="x: samples: expected an integer >= 64, got 50"):
        estimate(x[:50], z[:50], "auto")
    with pytest.raises(ValueError, match="none is constant or a sum of others"):
        estimate(torch.cat([x, x], dim=1), z, "gaussian")
    with pytest.raises(TypeError, match=r"z: expected real values, got torch.complex128.*two columns"):
        estimate(x, z.to(torch.complex128), "ksg1")
    with pytest.raises(ValueError, match=r"x: expected values whose squares are finite, got up to 1e\+300 in column 0"):
        estimate(torch.cat([x[:99], torch.full((1, 1), 1e300, dtype=torch.float64)]), z, "gaussian")
    with pytest.raises(TypeError, match=r"z: expected a torch.Tensor, got ndarray; convert it with torch.as_tensor"):
        estimate(x, z.numpy(), "auto")
    for method in METHODS:
        with pytest.raises(ValueError, match=r"x: expected variables that vary, got constant columns \[1\]"):
            estimate(torch.cat([x, torch.ones_like(x)], dim=1), z, method)
    for method in ("auto", "gaussian", "gaussian_copula"):
        with pytest.raises(ValueError, match="a canonical correlation of 1 up to rounding"):
            estimate(x, 3 * x - 1, method)
    with pytest.raises(
        ValueError, match=r"expected more samples than dimensions \(41 \+ 2\) for a Gaussian fit, got 40"
    ):
        estimate(x[:80], torch.randn(80, 40, generator=stream(0, "wide")), "auto")
    with pytest.raises(ValueError, match="variant: expected 1 or 2, got 3"):
        estimate_ksg(x.numpy(), z.numpy(), variant=3)
    with pytest.raises(ValueError, match="batch_size: expected an integer >= 2"):
        CriticFit(batch_size=1)
    with pytest.raises(ValueError, match="learning_rate"):
        CriticFit(learning_rate=0)
