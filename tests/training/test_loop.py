"""Learning-rate schedules and settings."""

import math
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from msda_analysis import ClassifierFit, FMix, VaeFit, fit_classifier
from msda_analysis.data import iterate_batches
from msda_analysis.mixing import Mixed
from msda_analysis.training import PAPER_CLASSIFIER_FIT, PAPER_VAE_FIT
from msda_analysis.training.classifier import cross_entropy
from msda_analysis.training.loop import lr_factor, train
from msda_analysis.training.settings import LoopSettings


def test_steps_drop_at_the_named_epochs():
    fit = LoopSettings(epochs=100, batch_size=2, lr=1.0, schedule="steps", drops=(40, 80))
    expected = {0: 1, 39.99: 1, 40: 0.1, 79.99: 0.1, 80: 0.01, 99.99: 0.01}
    assert {epoch: pytest.approx(lr_factor(fit, epoch)) for epoch in expected} == expected


def test_constant_stays():
    fit = LoopSettings(epochs=3, batch_size=2, lr=1.0)
    assert {lr_factor(fit, epoch) for epoch in (0, 1.5, 2.9)} == {1.0}


def test_cosine_by_hand():
    fit = LoopSettings(epochs=100, batch_size=2, lr=1.0, schedule="cosine")
    assert lr_factor(fit, 5) == pytest.approx(1.0)
    assert lr_factor(fit, 52.5) == pytest.approx(0.5)
    assert lr_factor(fit, 100) == pytest.approx(0.0, abs=1e-12)
    assert lr_factor(fit, 5 + 95 / 3) == pytest.approx(0.5 * (1 + math.cos(math.pi / 3)))
    assert 0 < lr_factor(fit, 0) < 0.05


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1))
def test_cosine_rises_then_falls_within_its_peak(epochs, a, b):
    fit = LoopSettings(epochs=epochs, batch_size=2, lr=1.0, schedule="cosine")
    early, late = sorted((a, b))
    first, second = lr_factor(fit, early * epochs), lr_factor(fit, late * epochs)
    assert min(first, second) >= 0 and max(first, second) <= 1
    if late < 0.05:
        assert first <= second + 1e-12
    if early > 0.05:
        assert first >= second - 1e-12


def test_the_loop_uses_the_schedule(make_dataset):
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    rates = []

    def compute_loss(*arguments):
        rates.append(optimizer.param_groups[0]["lr"])
        return cross_entropy(*arguments)

    fit = ClassifierFit(epochs=3, batch_size=12, lr=0.02, schedule="steps", drops=(1, 2))
    train(net, optimizer, make_dataset(24), None, settings=fit, compute_loss=compute_loss, seed=0)
    assert rates == pytest.approx([0.02] * 2 + [0.002] * 2 + [0.0002] * 2)


@pytest.mark.parametrize("kind", [VaeFit, ClassifierFit])
@pytest.mark.parametrize(
    "change, words",
    [
        ({"epochs": 0}, "epochs: expected an integer >= 1, got 0"),
        ({"epochs": 1.5}, r"epochs: expected an integer >= 1, got 1\.5"),
        ({"batch_size": 1}, "batch_size: expected an integer >= 2, got 1"),
        ({"lr": 0.0}, r"lr: expected a finite number > 0, got 0\.0"),
        ({"lr": math.nan}, "lr: expected a finite number > 0, got nan"),
        ({"schedule": "line"}, r"schedule: expected one of 'constant', 'steps', 'cosine', 'linear', 'decay'; got 'line'"),
        ({"augment": "rotate"}, r"augment: expected one of 'none', .*; got 'rotate'"),
        ({"precision": "float16"}, r"precision: expected one of 'float32', 'bfloat16'; got 'float16'"),
        ({"schedule": "steps", "drops": (-1,)}, r"drops: expected an integer >= 1, got -1"),
        ({"schedule": "steps", "drops": (2.5,)}, r"drops: expected an integer >= 1, got 2\.5"),
    ],
)  # fmt: skip
def test_bad_settings(kind, change, words):
    with pytest.raises(ValueError, match=words):
        kind(**change)


@pytest.mark.parametrize(
    "kind, change, words",
    [
        (VaeFit, {"latent": 0}, "latent: expected an integer >= 1, got 0"),
        (VaeFit, {"output_std": 0.0}, r"output_std: expected a finite number > 0, got 0\.0"),
        (ClassifierFit, {"model": "vae"}, r"model: expected one of .*'small_cnn'.*; got 'vae'"),
        (ClassifierFit, {"model": "resnet"}, "model: expected one of .*'preact_resnet18'"),
        (ClassifierFit, {"momentum": 1.1}, r"momentum: expected a number in \[0\.0, 1\.0\], got 1\.1"),
        (ClassifierFit, {"weight_decay": -1e-4}, r"weight_decay: expected a number in \[0\.0, 1\.0\], got -0\.0001"),
    ],
)
def test_bad_settings_of_one_kind(kind, change, words):
    with pytest.raises(ValueError, match=words):
        kind(**change)


def test_the_papers_settings():
    assert (PAPER_VAE_FIT.epochs, PAPER_VAE_FIT.lr, PAPER_VAE_FIT.drops, PAPER_VAE_FIT.latent) == (
        100,
        0.05,
        (40, 80),
        64,
    )
    fit = PAPER_CLASSIFIER_FIT
    assert (fit.model, fit.epochs, fit.lr, fit.drops, fit.weight_decay) == (
        "preact_resnet18",
        200,
        0.1,
        (100, 150),
        1e-4,
    )


def mixes(make_dataset, *, seed: int = 0, **settings) -> list[Mixed]:
    """What the loop mixed, in order: two epochs of two steps."""
    net, seen = nn.Sequential(nn.Flatten(), nn.Linear(256, 3)), []

    def compute_loss(model, images, batch, mixed, noise):
        seen.append(mixed)
        return cross_entropy(model, images, batch, mixed, noise)

    train(
        net, torch.optim.SGD(net.parameters(), lr=0.01), make_dataset(24), FMix(),
        settings=ClassifierFit(epochs=2, batch_size=12), compute_loss=compute_loss, seed=seed, **settings,
    )  # fmt: skip
    return seen


def test_every_step_epoch_seed_and_rank_draws_its_own_masks_and_pairs(make_dataset):
    runs = [mixes(make_dataset), mixes(make_dataset, seed=1), mixes(make_dataset, rank=1), mixes(make_dataset, rank=2)]
    assert [len(run) for run in runs] == [4] * 4
    drawn = [mixed for run in runs for mixed in run]
    for name in ("lam", "permutation", "images"):
        assert len({getattr(mixed, name).numpy().tobytes() for mixed in drawn}) == 16, name
    for mixed, again in zip(runs[2], mixes(make_dataset, rank=1), strict=True):
        assert torch.equal(mixed.images, again.images)


def test_the_first_rank_draws_what_one_process_draws(make_dataset):
    for mixed, again in zip(mixes(make_dataset), mixes(make_dataset, rank=0), strict=True):
        assert torch.equal(mixed.images, again.images) and torch.equal(mixed.lam, again.lam)


def test_ranks_draw_their_own_noise_and_layers(make_dataset):
    net, drawn = nn.Sequential(nn.Flatten(), nn.Linear(256, 3)), []

    def compute_loss(model, images, batch, mixed, noise):
        drawn.append((float(torch.rand((), generator=noise)), float(torch.rand(()))))
        return cross_entropy(model, images, batch, mixed, noise)

    for rank in (0, 1, 2):
        train(
            net, torch.optim.SGD(net.parameters(), lr=0.01), make_dataset(24), None, rank=rank,
            settings=ClassifierFit(epochs=2, batch_size=12), compute_loss=compute_loss, seed=0,
        )  # fmt: skip
    assert [len(set(numbers)) for numbers in zip(*drawn, strict=True)] == [12, 12]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_images_that_are_not_finite_are_named(make_dataset, value):
    dataset = make_dataset(24)
    images = dataset.images.float() / 255
    images[7, 0, 3, 2] = value
    object.__setattr__(dataset, "images", images)  # past the door, which takes uint8 alone
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
    words = r"dataset.images: expected finite values, got 1 NaN or infinite, the first at \(7, 0, 3, 2\)"
    with pytest.raises(ValueError, match=words):
        train(
            net, torch.optim.SGD(net.parameters(), lr=0.01), dataset, None,
            settings=ClassifierFit(epochs=1, batch_size=12), compute_loss=cross_entropy, seed=0,
        )  # fmt: skip


@pytest.mark.parametrize("settings, nesterov", [
    (ClassifierFit(), True), (ClassifierFit(momentum=0.0), False), (ClassifierFit(nesterov=False), False),
    (PAPER_CLASSIFIER_FIT, False),
])  # fmt: skip
def test_momentum_is_nesterovs_unless_told_otherwise(make_dataset, monkeypatch, settings, nesterov):
    seen = []
    module = import_module("msda_analysis.training.classifier")
    monkeypatch.setattr(module, "train", lambda model, optimizer, *a, **k: seen.append(optimizer))
    fit_classifier(make_dataset(8), None, replace(settings, model="small_cnn"))
    assert [group["nesterov"] for group in seen[0].param_groups] == [nesterov] * len(seen[0].param_groups)


def test_the_loop_is_the_loop_written_out(make_dataset):
    """Rates within an epoch, fresh gradients, each batch once: against a few lines by hand."""
    dataset, fit = make_dataset(24), ClassifierFit(epochs=2, batch_size=8, lr=0.05, schedule="cosine")
    found, expected = (nn.Sequential(nn.Flatten(), nn.Linear(256, 3)) for _ in range(2))
    for net in (found, expected):
        nn.init.zeros_(net[1].weight)
        nn.init.zeros_(net[1].bias)
    optimizer = torch.optim.SGD(found.parameters(), lr=1.0)
    history = train(found, optimizer, dataset, None, settings=fit, compute_loss=cross_entropy, seed=3)
    for epoch in range(2):
        losses = []
        for batch in iterate_batches(dataset, 8, seed=3, epoch=epoch):
            loss = nn.functional.cross_entropy(expected(batch.images), batch.labels)
            for weight, slope in zip(
                expected.parameters(), torch.autograd.grad(loss, list(expected.parameters())), strict=True
            ):
                weight.data -= 0.05 * lr_factor(fit, epoch + batch.step / 3) * slope
            losses.append(float(loss.detach()))
        assert history.epochs[epoch]["loss"] == pytest.approx(sum(losses) / 3, rel=1e-5)
    torch.testing.assert_close(found[1].weight, expected[1].weight, rtol=1e-5, atol=1e-7)
