"""Noise and MixUp directions search nothing: each budget stands for itself, and the worst of many draws is named so."""

import pytest
import torch

from msda_analysis.robustness import Outcome, TrustSettings, create_attack, evaluate, mixup_direction_attack

NO_TRUST = TrustSettings(images=0)


@pytest.mark.parametrize("mode", ["cascade", "independent"])
def test_noise_at_a_budget_does_not_depend_on_the_other_budgets(trained, patterns, mode):
    attacks = ["uniform_noise", "gaussian_noise", mixup_direction_attack(patterns[0])]
    alone, many = (
        evaluate(trained, *patterns, attacks, epsilons, mode=mode, trust=NO_TRUST).success[:, -1]
        for epsilons in ([0.5], [0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5])
    )
    assert torch.equal(alone, many) and alone.any() and not alone.all()


def test_a_search_still_keeps_what_a_smaller_budget_broke(trained, patterns):
    success = evaluate(trained, *patterns, ["uniform_noise", "fgsm"], [0.1, 0.5, 1.0], trust=NO_TRUST).success
    assert not (success[1, :-1] & ~success[1, 1:]).any()
    assert (success[0, :-1] & ~success[0, 1:]).any(), "a draw may lose what another found"


def test_the_worst_of_many_draws_has_a_name_of_its_own():
    names = [create_attack("uniform_noise", repeats=repeats).name for repeats in (1, 20)]
    assert names == ["uniform_noise", "uniform_noise_worst_of_20"]
    assert create_attack("uniform_noise", repeats=20).is_blind and not create_attack("square").is_blind


def test_the_worst_case_of_a_cascade_keeps_what_noise_broke():
    success = torch.tensor([[[1, 0, 0], [0, 1, 0]], [[0, 0, 0], [0, 0, 1]]]).bool()
    for mode, expected in (("cascade", [[1, 1, 1], [1, 0, 0]]), ("independent", [[0, 1, 1], [1, 0, 0]])):
        outcome = Outcome(
            success[:, [1, 0]], torch.zeros(2, 3), torch.ones(3).bool(),
            ("uniform_noise", "pgd"), (0.2, 0.1), "linf", 0, mode,
        )  # fmt: skip
        assert outcome.worst_case().int().tolist() == expected
