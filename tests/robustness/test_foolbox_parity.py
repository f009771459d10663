"""The same answers as foolbox: our DeepFool, the adapter, and the released experiment under the same seed."""

import foolbox
import numpy as np
import pytest
import torch

from msda_analysis.bench.robustness import compare_deepfool
from msda_analysis.robustness import PAPER_EPSILONS, create_attack, evaluate, evaluate_released
from msda_analysis.robustness.evidence import TrustSettings
from msda_analysis.robustness.released import RELEASED_ATTACKS

NO_TRUST = TrustSettings(images=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_deepfool_agrees_with_foolbox(trained, patterns, norm):
    rows = {row["name"]: row["value"] for row in compare_deepfool(trained, *patterns, norm=norm)}
    assert rows[f"deepfool_{norm}_same_success"] >= 0.995
    assert rows[f"deepfool_{norm}_norm_difference"] <= 1e-3


def test_deepfool_agrees_with_foolbox_on_its_sample_images(trained):
    wrapped = foolbox.PyTorchModel(trained, bounds=(0, 1), device="cpu")
    images, _ = foolbox.samples(wrapped, dataset="cifar10", batchsize=20, data_format="channels_first", bounds=(0, 1))
    images = torch.nn.functional.avg_pool2d(images, 3)[:, :, :10, :10]
    images = torch.nn.functional.interpolate(images, size=12)
    labels = trained(images).argmax(1)
    rows = {row["name"]: row["value"] for row in compare_deepfool(trained, images, labels, norm="linf")}
    assert rows["deepfool_linf_same_success"] >= 0.995
    assert rows["deepfool_linf_norm_difference"] <= 1e-3


def test_released_success_is_foolbox_under_the_same_seed(trained, patterns):
    """The released script's loop, written out: attacks outermost, batches in order, foolbox's own success."""
    images, labels = (part[-24:] for part in patterns)
    outcome = evaluate_released(trained, images, labels, seed=11, batch_size=10, epsilons=PAPER_EPSILONS[::3])
    attacks = foolbox.attacks
    listed = [
        attacks.FGSM(), attacks.LinfPGD(), attacks.LinfBasicIterativeAttack(),
        attacks.LinfAdditiveUniformNoiseAttack(), attacks.LinfDeepFoolAttack(),
    ]  # fmt: skip
    expected = np.zeros((5, len(PAPER_EPSILONS[::3]), len(images)), dtype=bool)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        wrapped = foolbox.PyTorchModel(trained, bounds=(0, 1), device="cpu")
        for i, attack in enumerate(listed):
            for start in range(0, len(images), 10):
                part = slice(start, start + 10)
                _, _, success = attack(wrapped, images[part], labels[part], epsilons=list(PAPER_EPSILONS[::3]))
                expected[i][:, part] = success.numpy()
    assert outcome.attacks == RELEASED_ATTACKS
    assert np.array_equal(outcome.success.numpy(), expected)
    assert 0.05 < expected.mean() < 0.95  # not a comparison of constants


@pytest.mark.parametrize("name, norm, make", [
    ("fgsm", "linf", foolbox.attacks.LinfFastGradientAttack),
    ("bim", "l2", foolbox.attacks.L2BasicIterativeAttack),
    ("foolbox_deepfool", "l2", foolbox.attacks.L2DeepFoolAttack),
])  # fmt: skip
def test_independent_mode_scores_as_foolbox_does(trained, patterns, name, norm, make):
    images, labels = patterns
    epsilons = [0.0, 0.01, 0.03, 0.1] if norm == "linf" else [0.0, 0.1, 0.3, 1.0]
    outcome = evaluate(trained, images, labels, [name], epsilons, norm, mode="independent", trust=NO_TRUST)
    wrapped = foolbox.PyTorchModel(trained, bounds=(0, 1), device="cpu")
    _, _, success = make()(wrapped, images, labels, epsilons=epsilons)
    correct = outcome.is_correct
    assert torch.equal(outcome.success[0][:, correct], success[:, correct])


def test_released_leaves_global_random_state_alone_and_refuses_other_attacks(trained, patterns):
    before = torch.random.get_rng_state()
    evaluate_released(trained, *patterns, attacks=["uniform_noise"], epsilons=[0.1])
    assert torch.equal(before, torch.random.get_rng_state())
    with pytest.raises(ValueError, match="attacks: expected one of 'fgsm', 'pgd', 'bim'"):
        evaluate_released(trained, *patterns, attacks=["square"])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_gaussian_noise_exists_in_both_norms(trained, patterns, norm):
    images, labels = patterns
    attack = create_attack("gaussian_noise", norm)
    noise = attack.run(trained, images, labels, 0.01, 5) - images
    kurtosis = (noise**4).mean() / (noise**2).mean() ** 2
    assert kurtosis == pytest.approx(3.0, abs=0.15)  # uniform noise has 1.8
