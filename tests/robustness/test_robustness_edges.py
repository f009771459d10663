"""Where a number turns: order statistics, corrected levels, shares on a threshold, directions taken backwards."""

from types import SimpleNamespace

import pytest
import torch
from robustness_cases import make_patterns
from test_curves import make_outcomes

from msda_analysis.robustness import (
    Attack,
    Outcome,
    TrustSettings,
    compare_claims,
    curve_values,
    evaluate,
    median_norm,
    working_budgets,
)
from msda_analysis.robustness.evidence import Evidence
from msda_analysis.robustness.mixup_likeness import cosine_rows
from msda_analysis.robustness.statistics import nested_difference


def outcome_of(broken, n=100):
    """An outcome of one attack that breaks the first `broken[k]` of n correct images at budget k."""
    success = (torch.arange(n) < torch.tensor(broken)[:, None])[None]
    epsilons = tuple(k / 10 for k in range(len(broken)))
    return Outcome(success, torch.zeros(1, n), torch.ones(n, dtype=torch.bool), ("pgd",), epsilons, "linf", 0)


def test_median_lies_between_the_order_statistics_of_the_table():
    """Of 100 values, the 40th and the 61st: binomial chances of 0.0176 on either side, and of 0.0284 with one less."""
    found = median_norm(torch.arange(1.0, 101.0).flip(0))
    assert (found.low, found.value, found.high) == (40.0, 50.5, 61.0)


def test_every_claim_and_reading_has_its_part_of_the_level():
    outcomes = make_outcomes({"baseline": 0.5, "mixup": 0.6}, attacks=("deepfool", "uniform_noise"))
    claims = compare_claims(outcomes, level=0.05).set_index(["attack", "reading"])
    budgets = working_budgets(outcomes["baseline"], "deepfool")
    sides = [curve_values(outcomes[name], "deepfool", budgets) for name in ("mixup", "baseline")]
    alone = nested_difference(*sides, level=0.05 / 4)[0]  # two attacks, two readings
    assert claims.loc[("deepfool", "accuracy"), "low"] == pytest.approx(alone.low, abs=1e-12)
    assert claims.loc[("deepfool", "accuracy"), "high"] == pytest.approx(alone.high, abs=1e-12)


def test_working_budgets_are_those_that_leave_ten_to_ninety_percent():
    assert working_budgets([outcome_of([0, 9, 10, 50, 85, 90, 91])], "pgd") == [2, 3, 4, 5]


def test_a_step_away_from_its_partner_has_a_cosine_below_zero():
    images = make_patterns(20, 3)[0]
    away = images - images.roll(-7, 0)
    rows = {row.metric: row.estimate.value for row in cosine_rows(images, away, [7], torch.ones(20).bool(), "away")}
    assert rows["cosine_largest"] == pytest.approx(-1) and rows["cosine_mean_abs"] == pytest.approx(1)


def test_the_checks_attack_again_where_half_of_the_images_are_broken():
    gradient = SimpleNamespace(is_black_box=False)
    outcome = outcome_of([0, 10, 45, 70, 100])
    evidence = Evidence(None, None, None, torch.arange(3), [gradient], outcome, TrustSettings(), 0)
    assert evidence.middle_budget() == 2


@pytest.mark.parametrize(
    "change", [{"epsilons": (0.1, 0.3)}, {"mode": "independent"}, {"batch_size": 20}, {"labels": True}, {"kind": 2}]
)
def test_files_of_other_budgets_modes_batches_labels_or_attacks_are_refused(linear, gray_images, tmp_path, change):
    def run(epsilons=(0.1, 0.2), labels=False, kind=1, **settings):
        spy = Attack("spy", "linf", lambda model, images, labels, epsilon, key: images, settings={"kind": kind})
        given = torch.zeros(40, dtype=torch.int64)  # the first class wherever it is right
        if labels:  # another class that is wrong too
            found = linear(gray_images).argmax(1)
            given = torch.where(found == 0, given, found % 4 + 1)
        return evaluate(
            linear, gray_images, given, [spy], epsilons, folder=tmp_path, trust=TrustSettings(images=0), **settings
        )

    assert run().is_correct.any()
    run()
    with pytest.raises(ValueError, match="other settings"):
        run(**change)
