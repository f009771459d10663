"""Each flag is raised by a model built to raise it, and none by a healthy one."""

import dataclasses

import pytest
import torch
from robustness_cases import Linear
from torch import nn

from msda_analysis.robustness import Attack, TrustSettings, create_attack, evaluate
from msda_analysis.robustness.trust import CHECKS

EPSILONS = (0.0, 0.01, 0.02, 0.05)


def names(outcome):
    return {flag.name for flag in outcome.flags}


def run(model, images, attacks=("bim",), epsilons=EPSILONS, labels=None, **options):
    model.eval()
    if labels is None:
        with torch.no_grad():
            labels = model(images).argmax(1)
    return evaluate(model, images, labels, list(attacks), epsilons, **options)


@pytest.mark.parametrize("mode", ["cascade", "independent"])
def test_a_healthy_model_under_a_sound_attack_raises_none(linear, gray_images, mode):
    outcome = run(linear, gray_images, ["deepfool", "apgd_dlr", "square"], (0, 0.002, 0.005, 0.1, 0.5), mode=mode)
    assert outcome.flags == ()
    assert set(outcome.table()["flags"]) == {""}


class Wrapped(nn.Module):
    """The linear classifier with something done to its logits."""

    def __init__(self, change, **modules):
        super().__init__()
        self.linear, self.change = Linear(), change
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, images):
        return self.change(self.linear(images))


def test_random_model(gray_images):
    generator = torch.Generator().manual_seed(0)
    noisy = Wrapped(lambda logits: logits + 0.01 * torch.randn(logits.shape, generator=generator))
    assert "random_model" in names(run(noisy, gray_images))


class AlwaysTraining(nn.Dropout):
    def train(self, mode=True):
        return super().train(True)


def test_train_mode_that_stays_and_train_mode_as_it_came(gray_images):
    stubborn = Wrapped(lambda logits: logits, dropout=AlwaysTraining())
    flag = next(flag for flag in run(stubborn, gray_images).flags if flag.name == "train_mode")
    assert flag.value == 1 and "stay in train mode" in flag.message
    model = Linear().train()
    outcome = evaluate(model, gray_images, model(gray_images).argmax(1), ["bim"], EPSILONS)
    assert any(flag.name == "train_mode" and "attacked in eval mode" in flag.message for flag in outcome.flags)
    assert model.training


def test_probabilities(gray_images):
    flags = names(run(Wrapped(lambda logits: logits.softmax(1)), gray_images))
    assert "probabilities" in flags
    assert "probabilities" not in names(run(Wrapped(lambda logits: logits.log_softmax(1)), gray_images))


def test_zero_gradients_of_a_quantized_model(gray_images):
    class Quantized(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = Linear()

        def forward(self, images):
            return self.linear((images * 255).round() / 255)

    flags = names(run(Quantized(), gray_images))
    assert {"zero_gradients", "never_breaks"} <= flags


def test_gradients_that_are_cut_off_altogether_count_as_zero(gray_images):
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = Linear()

        def forward(self, images):
            return self.linear(images.detach()) + 0.0 * images.sum() * 0.0

    assert "zero_gradients" in names(run(Cut(), gray_images))


def test_saturated_softmax(gray_images):
    flags = names(run(Wrapped(lambda logits: 3000 * logits), gray_images))
    assert {"saturated_softmax", "zero_gradients"} <= flags


def band_model():
    """Broken by moving up by 0.2, not by 0.4."""

    class Band(nn.Module):
        def forward(self, images):
            score = 0.1 - (images[:, 0].flatten(1).mean(1) - 0.7).abs()
            return torch.stack([torch.zeros_like(score), score], 1)

    return Band()


@pytest.mark.parametrize("mode", ["cascade", "independent"])
def test_success_that_falls(mode):
    up = Attack("up", "linf", lambda model, images, labels, epsilon, key: images + epsilon)
    outcome = run(band_model(), torch.full((10, 3, 4, 4), 0.5), [up], (0.05, 0.2, 0.4), mode=mode)
    flag = next(flag for flag in outcome.flags if flag.name == "success_falls")
    assert flag.attack == "up" and flag.value == 1.0
    assert outcome.table()["flags"].str.contains("success_falls").all()


def test_never_breaks_at_all_and_not_enough_at_a_budget_that_reaches_gray(gray_images):
    lazy = Attack("lazy", "linf", lambda model, images, labels, epsilon, key: images)
    assert "never_breaks" in names(run(Linear(), gray_images, [lazy]))

    def half(model, images, labels, epsilon, key):
        return torch.where(
            torch.arange(len(images))[:, None, None, None] % 2 == 0, images, 1 - labels_to_image(model, images)
        )

    def labels_to_image(model, images):
        weight = model.weight[model(images).argmax(1)].detach().reshape(images.shape)
        return (weight > 0).float()

    assert "never_breaks" in names(run(Linear(), gray_images, [Attack("half", "linf", half)], (0.0, 0.5)))
    outcome = run(Linear(), gray_images, [Attack("half", "linf", half)], (0.0, 0.1), trust=TrustSettings(images=0))
    assert "never_breaks" not in names(outcome)


def test_noise_is_not_expected_to_break_anything(gray_images):
    assert "never_breaks" not in names(run(Linear(), gray_images, ["uniform_noise"], (0.0, 0.001)))


class Masked(nn.Module):
    """Right gradients nowhere: the backward pass sees a different, useless function."""

    def __init__(self):
        super().__init__()
        self.linear = Linear()

    def forward(self, images):
        decoy = images.flatten(1).sum(1, keepdim=True) * torch.arange(5.0)
        return decoy - decoy.detach() + self.linear(images).detach()


@pytest.mark.parametrize("attacks", [("bim", "square"), ("bim",)])
def test_black_box_beats_white_box(gray_images, attacks):
    outcome = run(Masked(), gray_images, attacks, (0.0, 0.005, 0.01, 0.02))
    flags = [flag for flag in outcome.flags if flag.name == "black_box_wins"]
    assert [flag.attack for flag in flags] == ["square"]


def test_more_steps_still_help(gray_images):
    weak = dataclasses.replace(create_attack("pgd", steps=1, rel_stepsize=0.02), name="weak")
    outcome = run(Linear(), gray_images, [weak], (0.0, 0.005, 0.01, 0.05))
    assert "more_steps_help" in names(outcome)
    assert "more_steps_help" not in names(run(Linear(), gray_images, ["apgd_dlr"], (0.0, 0.005, 0.01, 0.05)))


def test_a_model_that_is_never_right_is_still_looked_at(gray_images):
    saturated = Wrapped(lambda logits: 3000 * logits).eval()
    wrong = (saturated(gray_images).argmax(1) + 1) % 5
    outcome = run(saturated, gray_images, labels=wrong)
    assert outcome.clean_accuracy == 0 and outcome.success.all()
    assert "saturated_softmax" in names(outcome)


def test_settings():
    with pytest.raises(ValueError, match=r"fall_share: expected a number in \[0.0, 1.0\], got 2"):
        TrustSettings(fall_share=2)
    with pytest.raises(ValueError, match=r"more_steps_share: expected a number in"):
        TrustSettings(more_steps_share=-1)
    with pytest.raises(ValueError, match="images: expected an integer >= 0"):
        TrustSettings(images=-1)
    assert len(set(CHECKS)) == 10
