"""A linear classifier knows its distances: attacks must break an image exactly when the budget exceeds its distance."""

import pytest
import torch
from robustness_cases import Linear

from msda_analysis.attacks.apgd import ApgdSettings, apgd, attack_losses, checkpoint_windows
from msda_analysis.attacks.deepfool import DeepFoolSettings, deepfool
from msda_analysis.attacks.perturbation import clip_to_budget, is_misclassified, perturbation_norms
from msda_analysis.robustness import create_attack, evaluate
from msda_analysis.robustness.evidence import TrustSettings

NO_TRUST = TrustSettings(images=0)
NORMS = ["linf", "l2"]


@pytest.mark.parametrize("norm", NORMS)
def test_deepfool_finds_the_exact_distance_of_a_linear_classifier(linear, gray_images, norm):
    labels = linear(gray_images).argmax(1)
    distances = linear.distances(gray_images, norm)
    found = deepfool(linear, gray_images, labels, norm=norm, settings=DeepFoolSettings(overshoot=1e-4))
    lengths = perturbation_norms(found - gray_images, norm).double()
    assert is_misclassified(linear, found, labels).all()
    # one step lands at distance + 1e-4, times the overshoot; a second step is only needed when rounding stops it short
    assert torch.allclose(lengths, 1.0001 * (distances + 1e-4), atol=2e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["fgsm", "pgd", "apgd_ce", "apgd_dlr", "deepfool"])
def test_no_attack_breaks_an_image_beyond_the_budget(linear, gray_images, norm, name):
    labels = linear(gray_images).argmax(1)
    distances = linear.distances(gray_images, norm)
    epsilon = float(distances.median())
    outcome = evaluate(linear, gray_images, labels, [name], [epsilon], norm, trust=NO_TRUST)
    broken = outcome.success[0, 0]
    assert broken.any() and (distances[broken] < epsilon * 1.001).all()
    if name in ("apgd_dlr", "deepfool"):  # these see every class; the others follow the sum over classes
        assert broken[distances < 0.97 * epsilon].double().mean() > 0.95


EXACT = [create_attack(name, norm, **settings) for norm in NORMS for name, settings in [
    ("fgsm", {}), ("bim", {}), ("apgd_ce", {}), ("deepfool", {"overshoot": 1e-4}),
    ("pgd", {"steps": 100}),  # the default 40 steps of epsilon / 30 cannot cross the ball from a bad random start
]]  # fmt: skip


@pytest.mark.parametrize("attack", EXACT, ids=lambda attack: f"{attack.name}-{attack.norm}")
def test_two_classes_are_broken_exactly_within_the_budget(gray_images, attack):
    linear = Linear(classes=2)
    labels = linear(gray_images).argmax(1)
    distances = linear.distances(gray_images, attack.norm)
    epsilon = float(distances.median())
    clear = (distances / epsilon - 1).abs() > 2e-3
    outcome = evaluate(linear, gray_images, labels, [attack], [epsilon], attack.norm, trust=NO_TRUST)
    assert torch.equal(outcome.success[0, 0][clear], (distances < epsilon)[clear])
    assert clear.sum() >= 36


@pytest.mark.parametrize("norm", NORMS)
def test_fgsm_lowers_the_margin_of_two_classes_as_far_as_any_step_can(gray_images, norm):
    linear, epsilon = Linear(classes=2).eval(), 0.01
    labels = linear(gray_images).argmax(1)
    attack = create_attack("fgsm", norm)
    found = clip_to_budget(gray_images, attack.run(linear, gray_images, labels, epsilon, 0), epsilon=epsilon, norm=norm)
    before, after = (attack_margin(linear, images, labels) for images in (gray_images, found))
    normal = linear.weight[0] - linear.weight[1]
    dual = normal.abs().sum() if norm == "linf" else normal.norm()
    assert torch.allclose(before - after, epsilon * dual.expand_as(before), rtol=1e-3)


def attack_margin(model, images, labels):
    logits = model(images).detach()
    own = logits.gather(1, labels[:, None])
    return (own - logits.gather(1, 1 - labels[:, None])).squeeze(1)


def test_margin_loss_ignores_the_scale_of_the_logits():
    logits = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.arange(20) % 6
    assert torch.allclose(attack_losses(logits, labels, "dlr"), attack_losses(1000 * logits, labels, "dlr"))
    # equation 6 by hand: label 1 has the highest logit 3, then 2, then 1
    by_hand = attack_losses(torch.tensor([[2.0, 3.0, 1.0]]), torch.tensor([1]), "dlr")
    assert by_hand.item() == pytest.approx(-(3 - 2) / (3 - 1))


def test_checkpoints_are_those_of_the_published_attack():
    # 0, 0.22, 0.22 + 0.19, ... of 100 steps
    assert checkpoint_windows(100)[:6] == [22, 19, 16, 13, 10, 7]
    assert set(checkpoint_windows(100)[6:]) == {6}
    assert checkpoint_windows(1) == [1]


@pytest.mark.parametrize("norm", NORMS)
def test_apgd_stays_within_budget_and_box_and_keeps_the_loss_it_found(trained, patterns, norm):
    images, labels = patterns
    epsilon = 0.02 if norm == "linf" else 0.3
    found = apgd(trained, images, labels, epsilon=epsilon, key=3, norm=norm, settings=ApgdSettings(steps=20))
    assert perturbation_norms(found - images, norm).max() <= epsilon * (1 + 1e-5)
    assert found.min() >= 0 and found.max() <= 1
    with torch.no_grad():
        gain = attack_losses(trained(found), labels, "ce") - attack_losses(trained(images), labels, "ce")
    right = trained(images).argmax(1) == labels  # the others count as broken wherever the start puts them
    assert right.sum() > 30 and (gain[right] >= 0).all() and (gain[right] > 0).double().mean() > 0.9


def test_errors_of_the_native_attacks(linear, gray_images):
    labels = linear(gray_images).argmax(1)
    with pytest.raises(ValueError, match="norm: expected one of 'linf', 'l2'; got 'l1'"):
        deepfool(linear, gray_images, labels, norm="l1")
    with pytest.raises(ValueError, match="norm: expected one of 'linf', 'l2'; got 'l1'"):
        apgd(linear, gray_images, labels, epsilon=0.1, key=0, norm="l1")
    with pytest.raises(ValueError, match="at least 2 logits"):
        deepfool(lambda images: images.flatten(1)[:, :1], gray_images, labels)
    with pytest.raises(ValueError, match="at least 3 classes for 'dlr', got 2; use 'ce'"):
        attack_losses(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64), "dlr")
    with pytest.raises(ValueError, match="candidates: expected an integer >= 2"):
        DeepFoolSettings(candidates=1)
    with pytest.raises(ValueError, match="loss: expected one of 'ce', 'dlr'"):
        ApgdSettings(loss="cw")
