"""Each flag is raised by a model built to raise it, and none by a healthy one."""

import dataclasses
import importlib

import pytest
import torch
from robustness_cases import Linear, make_patterns
from torch import nn

from msda_analysis.robustness import Attack, TrustSettings, create_attack, evaluate
from msda_analysis.robustness.evidence import Evidence
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


@pytest.mark.parametrize("attacks, epsilons", [
    (["fgsm"], (0.02,)), (["fgsm"], (0.0, 0.01, 0.02, 0.05)), (["pgd", "deepfool"], (0.02, 0.05)),
])  # fmt: skip
@pytest.mark.parametrize("mode", ["cascade", "independent"])
def test_the_checks_take_at_most_a_quarter_of_an_evaluation_of_200_images(trained, attacks, epsilons, mode):
    """Counted in images passed forward, as every image passed backward was passed forward first."""
    images, labels = make_patterns(200, 1)
    passed = []
    handle = trained.register_forward_hook(lambda module, inputs, output: passed.append(len(inputs[0])))
    try:
        without = evaluate(trained, images, labels, attacks, epsilons, mode=mode, trust=TrustSettings(images=0))
        alone = sum(passed)
        passed.clear()
        evaluate(trained, images, labels, attacks, epsilons, mode=mode)
    finally:
        handle.remove()
    assert without.clean_accuracy > 0.7
    assert alone < sum(passed) <= 1.25 * alone


def test_a_resumed_evaluation_is_checked_as_hard_as_a_fresh_one(trained, tmp_path, monkeypatch):
    images, labels = make_patterns(48, 1)
    seen = []
    module = importlib.import_module("msda_analysis.robustness.evaluate")  # the package holds the function of that name
    monkeypatch.setattr(module, "trust_flags", lambda *args, passes, **options: seen.append(passes) or ())
    for _ in range(2):
        evaluate(trained, images, labels, ["fgsm", "pgd"], [0.02], folder=tmp_path)
    assert seen[0] == seen[1] > 48


def test_the_checks_look_at_a_random_balanced_part(trained, monkeypatch):
    """Sorted by class, the first images are of one class only."""
    images, labels = make_patterns(200, 1)
    order, looked = labels.argsort(), []
    monkeypatch.setattr(
        "msda_analysis.robustness.trust._outputs", lambda evidence: looked.append(evidence.labels) or iter(())
    )
    for seed in (0, 0, 1):
        evaluate(trained, images[order], labels[order], ["fgsm"], [0.02], seed=seed)
    counts = looked[0].bincount(minlength=5)
    assert counts.min() >= 3 and counts.max() <= 4 and len(looked[0]) == 16
    assert torch.equal(looked[0], looked[1])


def test_one_image_by_chance_raises_nothing():
    """Of 16 images, 3 are needed at a threshold of 2 %, 4 at 5 %, 6 at 10 %; of 200, 10 at 2 %."""
    evidence = Evidence(None, None, None, None, (), None, TrustSettings(), 0)
    least = {
        (n, share): next(count for count in range(n + 1) if evidence.is_above(count, n, share))
        for n, share in ((16, 0.02), (16, 0.05), (16, 0.1), (200, 0.02), (10, 0.0))
    }
    assert list(least.values()) == [3, 4, 6, 10, 1]


def test_noise_that_is_drawn_again_does_not_fall(gray_images):
    """Ten seeds of noise: what one draw breaks, the next may not."""
    for seed in range(10):
        for mode in ("cascade", "independent"):
            outcome = run(
                Linear(), gray_images, ["uniform_noise", "bim"], (0.0, 0.01, 0.02, 0.03), seed=seed, mode=mode
            )
            assert "success_falls" not in names(outcome)


def test_a_budget_too_small_to_tell_does_not_raise_never_breaks(gray_images):
    lazy = Attack("lazy", "linf", lambda model, images, labels, epsilon, key: images)
    assert "never_breaks" not in names(run(Linear(), gray_images, [lazy], (0.0, 0.001)))
    assert "never_breaks" not in names(run(Linear(), gray_images[:8], [lazy], (0.0, 0.05)))
    assert "never_breaks" in names(run(Linear(), gray_images, [lazy], (0.0, 0.05)))
