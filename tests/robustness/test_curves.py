import numpy as np
import pytest
import torch

from msda_analysis.robustness import Outcome, compare_claims, compare_curves, curve_values, working_budgets
from msda_analysis.robustness.statistics import nested_difference

EPSILONS = (0.0, 0.1, 0.2)


def make_outcome(share, seed, *, attacks=("deepfool", "pgd"), clean=0.9, n=400):
    """Images that are right with chance `clean`, and survive each attack with chance `share` at 0.1 and its square at 0.2."""
    generator = torch.Generator().manual_seed(seed)
    correct = torch.rand(n, generator=generator) < clean
    draw = torch.rand(len(attacks), n, generator=generator)
    survived = torch.stack([(draw <= 1) & correct, (draw < share) & correct, (draw < share**2) & correct], dim=1)
    return Outcome(~survived, torch.zeros(len(attacks), n), correct, attacks, EPSILONS, "linf", seed)


def make_outcomes(shares, n_seeds=3, **settings):
    return {
        name: [make_outcome(share, 10 * i + seed, **settings) for seed in range(n_seeds)]
        for i, (name, share) in enumerate(shares.items())
    }


def test_budgets_are_those_at_which_the_reference_is_partly_broken():
    correct = torch.ones(100, dtype=torch.bool)
    kept = torch.tensor([100, 95, 60, 20, 2])
    success = (torch.arange(100) >= kept[:, None])[None]
    outcome = Outcome(success, torch.zeros(1, 100), correct, ("pgd",), (0.0, 0.1, 0.2, 0.3, 0.4), "linf", 0)
    assert working_budgets([outcome], "pgd") == [2, 3]
    extreme = Outcome(success[:, [0, 1, 4]], torch.zeros(1, 100), correct, ("pgd",), (0.0, 0.1, 0.4), "linf", 0)
    assert working_budgets([extreme], "pgd") == [1], "45 from half, not 48"


def test_curve_values_average_the_budgets():
    outcome = make_outcome(0.6, 0)
    survived = (~outcome.success[1]).double().mean(1)
    mean = float(survived[1:].mean())
    assert curve_values([outcome], "pgd", [1, 2]).mean() == pytest.approx(mean)
    assert curve_values([outcome], "pgd", [1, 2], "kept").mean() == pytest.approx(mean / outcome.clean_accuracy)


def test_kept_has_the_standard_error_of_a_ratio():
    """Linearized values have the spread that repeating the whole experiment shows."""
    outcomes = [make_outcome(0.5, seed, clean=0.6, n=200) for seed in range(400)]
    ratios = [curve_values([outcome], "pgd", [1, 2], "kept").mean() for outcome in outcomes]
    claimed = [curve_values([outcome], "pgd", [1, 2], "kept").std() / 200**0.5 for outcome in outcomes]
    assert np.mean(claimed) == pytest.approx(np.std(ratios), rel=0.1)


def test_groups_of_attacks():
    outcome = make_outcome(0.6, 0, attacks=("deepfool", "pgd", "apgd_ce"))
    assert torch.equal(outcome.broken_by("worst_case"), outcome.success.any(0))
    assert torch.equal(outcome.broken_by("strong_gradient"), outcome.success[1] | outcome.success[2])
    assert torch.equal(outcome.broken_by("pgd"), outcome.success[1])
    with pytest.raises(ValueError, match="attack: expected one of deepfool, pgd, apgd_ce or a group"):
        outcome.broken_by("square")


def test_compare_curves_finds_the_more_robust_and_corrects_over_the_table():
    table = compare_curves(make_outcomes({"baseline": 0.5, "mixup": 0.8, "cutmix": 0.5}))
    assert len(table) == 3 * 3 * 2 and set(table["attack"]) == {"deepfool", "pgd", "worst_case"}
    verdicts = {(row.a, row.b): row.verdict for row in table[table["attack"] == "worst_case"].itertuples()}
    assert verdicts == {("baseline", "mixup"): "b", ("baseline", "cutmix"): "undecided", ("mixup", "cutmix"): "a"}
    assert (table["p_holm"] >= table["p_value"]).all()


def test_readings_part_where_only_clean_accuracy_differs():
    outcomes = {
        "baseline": [make_outcome(0.6, seed, clean=0.95) for seed in range(4)],
        "mixup": [make_outcome(0.6, 20 + seed, clean=0.6) for seed in range(4)],
    }
    table = compare_curves(outcomes).set_index(["attack", "reading"])
    assert table.loc[("deepfool", "accuracy"), "verdict"] == "a"
    assert table.loc[("deepfool", "kept"), "verdict"] == "undecided"


def test_claims_have_wider_intervals_than_single_comparisons():
    outcomes = make_outcomes({"baseline": 0.5, "mixup": 0.7}, attacks=("deepfool", "uniform_noise", "pgd", "bim"))
    claims = compare_claims(outcomes)
    assert list(dict.fromkeys(claims["attack"])) == ["deepfool", "uniform_noise", "strong_gradient"]
    assert set(claims["a"]) == {"mixup"} and (claims["low"] > 0).all()
    single = compare_curves(outcomes).set_index(["attack", "reading"]).loc[("deepfool", "accuracy")]
    claim = claims.set_index(["attack", "reading"]).loc[("deepfool", "accuracy")]
    assert claim["value"] == pytest.approx(-single["value"])
    assert claim["high"] - claim["low"] > 1.2 * (single["high"] - single["low"])


def test_the_claims_budgets_are_chosen_by_the_baseline():
    """At 0.2 the baseline keeps 4 % and MixUp 64 %: chosen from MixUp's side, that budget would count."""
    outcomes = make_outcomes({"baseline": 0.2, "mixup": 0.8}, attacks=("deepfool",), clean=1.0)
    assert set(compare_claims(outcomes)["epsilons"]) == {(0.1,)}
    assert set(compare_claims(outcomes, "baseline", "mixup")["epsilons"]) == {(0.1, 0.2)}
    assert set(compare_curves(outcomes)["epsilons"]) == {(0.1,)}
    swapped = dict(reversed(outcomes.items()))
    assert set(compare_curves(swapped)["epsilons"]) == {(0.1,)}, "whichever comes first"


def test_intervals_of_all_claims_hold_together():
    """No true difference: some interval misses 0 in at most 5 % of 200 studies, plus three standard errors."""
    missed = 0
    for trial in range(200):
        outcomes = {
            name: [make_outcome(0.5, 1000 * trial + 100 * i + s, attacks=("deepfool", "uniform_noise"), n=60) for s in range(2)]
            for i, name in enumerate(("baseline", "mixup"))
        }  # fmt: skip
        claims = compare_claims(outcomes)
        missed += bool(((claims["low"] > 0) | (claims["high"] < 0)).any())
    assert missed / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_one_seed_speaks_of_images_only():
    a, b = np.random.default_rng(0).random((2, 1, 50))
    estimate, p_value = nested_difference(a, b)
    error = (a - b).std(ddof=1) / 50**0.5
    assert estimate.high - estimate.low == pytest.approx(2 * 2.0096 * error, rel=1e-4)  # Student's t, 49 degrees
    assert 0 < p_value < 1 and "one training seed" in estimate.warnings[0]


def test_errors():
    outcomes = make_outcomes({"baseline": 0.5, "mixup": 0.6})
    with pytest.raises(ValueError, match="augmentation: expected one of"):
        compare_claims(outcomes, "fmix")
    with pytest.raises(ValueError, match="reading: expected one of"):
        curve_values(outcomes["mixup"], "pgd", [1], "lost")
    blind = make_outcome(0.5, 0, clean=0.0)
    with pytest.raises(ValueError, match="got one that never is"):
        curve_values([blind], "pgd", [1], "kept")
    clean_only = Outcome(blind.success[:, :1], blind.minimum_norms, blind.is_correct, blind.attacks, (0.0,), "linf", 0)
    with pytest.raises(ValueError, match="epsilons: expected at least one above 0"):
        working_budgets([clean_only], "pgd")
