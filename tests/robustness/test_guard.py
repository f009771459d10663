"""What is no number never becomes an accuracy; what evaluate() cannot use is named."""

import pytest
import torch
from robustness_cases import Linear
from torch import nn

from msda_analysis.robustness import Attack, TrustSettings, create_attack, evaluate, evaluate_released
from msda_analysis.robustness.guard import NotFinite, guarded

NO_TRUST = TrustSettings(images=0)


class Changed(nn.Module):
    """The linear classifier behind something done to its images, before something done to its logits."""

    def __init__(self, before=lambda images: images, after=lambda logits: logits):
        super().__init__()
        self.linear, self.before, self.after = Linear(), before, after

    def forward(self, images):
        return self.after(self.linear(self.before(images)))


def rooted():
    """Its gradient is infinite or NaN wherever a pixel is 0.5; its outputs are finite."""
    return Changed(lambda images: 0.5 + (images - 0.5).abs().sqrt() * (images - 0.5).sign())


@pytest.fixture
def half_gray(gray_images):
    images = gray_images.clone()
    images[:, 0] = 0.5
    return images


@pytest.mark.parametrize("name", ["fgsm", "bim", "deepfool", "fmn"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_gradients_that_are_no_numbers_are_not_robustness(half_gray, name, norm):
    labels = rooted()(half_gray).argmax(1)
    where = rf"attack '{name}' on images 0 to 39: gradients of 40 of 40 images are NaN"
    with pytest.raises(NotFinite, match=where):
        evaluate(rooted(), half_gray, labels, [name], [0.1], norm, trust=NO_TRUST)


def test_logits_that_are_no_numbers_are_not_class_0(gray_images):
    torn = Changed(after=lambda logits: torch.where(torch.arange(len(logits))[:, None] % 8 == 3, torch.nan, logits))
    with pytest.raises(ValueError, match=r"clean images 0 to 15: logits of 2 of 16 images are NaN"):
        evaluate(torn, gray_images, torch.zeros(40, dtype=torch.int64), ["fgsm"], [0.1], batch_size=16)
    with pytest.raises(NotFinite, match="logits of 5 of 40"):
        evaluate_released(torn, gray_images, torch.zeros(40, dtype=torch.int64), attacks=["fgsm"], epsilons=[0.1])


def test_perturbed_images_that_are_no_numbers_are_not_robustness(linear, gray_images):
    broken = Attack("broken", "linf", lambda model, images, labels, epsilon, key: images * torch.nan)
    search = Attack("search", "linf", broken.run, is_minimum_norm=True)
    for attack in (broken, search):
        where = f"attack '{attack.name}' on images 32 to 39: perturbed images of 8 of 8"
        correct = linear(gray_images).argmax(1)
        correct[:32] += 1
        with pytest.raises(NotFinite, match=where):
            evaluate(linear, gray_images, correct % 5, [attack], [0.1], trust=NO_TRUST)


def test_a_class_ruled_out_is_let_through(gray_images):
    shut = Changed(after=lambda logits: logits.masked_fill(torch.arange(5) == 4, -torch.inf))
    labels = shut(gray_images).argmax(1)
    outcome = evaluate(shut, gray_images, labels, ["fgsm", "deepfool", "apgd_ce"], [0.0, 0.02], trust=NO_TRUST)
    assert outcome.success[:, 1].any() and not outcome.success[:, 0].any()


def test_a_check_that_meets_nan_says_so_and_the_numbers_stay(half_gray):
    model = rooted().eval()
    outcome = evaluate(model, half_gray, model(half_gray).argmax(1), ["uniform_noise"], [0.1, 0.3])
    assert [flag.name for flag in outcome.flags] == ["not_finite"]
    assert "gradients of" in outcome.flags[0].message


def test_looking_changes_nothing_and_leaves_nothing(trained, patterns):
    images = patterns[0].clone().requires_grad_()
    plain = trained(images)
    (expected,) = torch.autograd.grad(plain.square().sum(), images)
    with guarded(trained) as work:
        logits = trained(images)
        (gradient,) = torch.autograd.grad(logits.square().sum(), images)
    assert torch.equal(logits, plain) and torch.equal(gradient, expected)
    assert work.passes == 2 * (48 + 8)
    trained(images)
    assert work.passes == 2 * (48 + 8)


@pytest.mark.parametrize("change, error, message", [
    ({"model": lambda images: images}, TypeError, "model: expected a torch.nn.Module, got function"),
    ({"images": torch.rand(40, 3, 4, 4).numpy()}, TypeError, "images: expected a torch.Tensor, got ndarray"),
    ({"images": torch.rand(40, 3, 4, 4).double()}, TypeError, r"images: expected torch.float32, as the model's weights, got torch.float64; use images.to\(torch.float32\)"),
    ({"images": torch.rand(40, 3, 4, 4).requires_grad_()}, ValueError, r"images: expected a tensor without gradients, .* use images.detach\(\)"),
    ({"labels": torch.arange(40)}, ValueError, r"labels: expected classes in 0..4, got 0..39"),
    ({"labels": torch.arange(40) % 5 - 1}, ValueError, r"labels: expected classes in 0..4, got -1..3"),
    ({"model": Changed(after=lambda logits: logits[:, 0])}, ValueError, r"model: expected logits \[40, classes\] for 40 images, got shape \(40,\)"),
    ({"model": Changed(after=lambda logits: logits[:7])}, ValueError, r"for 40 images, got shape \(7, 5\)"),
    ({"model": Changed(after=lambda logits: logits[:, :1])}, ValueError, "model: expected at least 2 logits per image, got 1"),
    ({"model": Changed(after=lambda logits: (logits, logits))}, TypeError, "model: expected to return one tensor of float logits .* got tuple"),
    ({"model": Changed(after=lambda logits: logits.argmax(1))}, TypeError, "one tensor of float logits .* got torch.int64"),
    ({"epsilons": 0.1}, TypeError, r"epsilons: expected a sequence of numbers such as \(0.01, 0.03\), got 0.1"),
    ({"epsilons": "0.1"}, TypeError, "epsilons: expected a sequence of numbers .* got '0.1'"),
    ({"epsilons": [None]}, TypeError, r"epsilons: expected a sequence of numbers .* got \[None\]"),
    ({"attacks": [None]}, TypeError, "attacks: expected names or Attack objects, got None"),
    ({"attacks": [create_attack("fgsm")], "seed": "runs/x"}, TypeError, "seed: expected an integer, got 'runs/x'"),
    ({"progress": "runs/x"}, TypeError, "progress: expected True or False, got 'runs/x'; a folder is given as folder="),
])  # fmt: skip
def test_what_evaluate_cannot_use_is_named(change, error, message):
    given = {"model": Linear(), "images": torch.rand(40, 3, 4, 4, generator=torch.Generator().manual_seed(0)),
             "labels": torch.zeros(40, dtype=torch.int64), "attacks": ["fgsm"], "epsilons": [0.1]}  # fmt: skip
    with pytest.raises(error, match=message):
        evaluate(**(given | change), trust=NO_TRUST)


def test_double_precision_works_where_the_model_has_it(gray_images):
    model, images = Linear().double(), gray_images.double()
    attacks = ["fgsm", "pgd", "deepfool", "apgd_dlr", "square", "uniform_noise"]
    outcome = evaluate(model, images, model(images).argmax(1), attacks, (0.0, 0.05), trust=NO_TRUST)
    assert outcome.success[:5, 1].all()
