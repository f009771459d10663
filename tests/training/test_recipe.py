"""The parts of a fast recipe: smoothing, the linear schedule, rates of biases, lookahead, whitening; none changes older work."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from msda_analysis import ClassifierFit, CutMix, FMix, VaeFit, fit_classifier
from msda_analysis.data import iterate_batches
from msda_analysis.mixing import Mixed
from msda_analysis.models import load_checkpoint, save_checkpoint
from msda_analysis.models.fast_cnn import whitening_filters
from msda_analysis.settings import from_settings, to_settings
from msda_analysis.training import FAST_CLASSIFIER_FIT
from msda_analysis.training.averaging import Lookahead
from msda_analysis.training.classifier import cross_entropy
from msda_analysis.training.loop import train
from msda_analysis.training.schedule import lr_factor

TINY = replace(FAST_CLASSIFIER_FIT, model="fast_cnn(widths=(8, 8, 8))", batch_size=12, epochs=2, lr=0.02)
#: As 7d373ba wrote it.
OLD = {
    "kind": "ClassifierFit", "epochs": 15, "batch_size": 128, "lr": 0.1, "schedule": "cosine", "drops": [], "augment": "none",
    "precision": "float32", "model": "small_cnn", "momentum": 0.9, "weight_decay": 0.0005, "nesterov": True,
}  # fmt: skip


def test_later_settings_at_their_defaults_are_not_written():
    """So finished cells keep their names, and states of trainings their settings."""
    assert to_settings(ClassifierFit()) == OLD and from_settings(OLD, ClassifierFit) == ClassifierFit()
    assert set(to_settings(VaeFit())) == {*OLD, "latent", "output_std"} - {
        "model",
        "momentum",
        "weight_decay",
        "nesterov",
    }
    assert to_settings({"fit": [ClassifierFit(warm_up=0.1)]}) == {"fit": [OLD | {"warm_up": 0.1}]}


def test_later_settings_come_back():
    written = json.loads(json.dumps(to_settings(FAST_CLASSIFIER_FIT)))
    assert from_settings(written, ClassifierFit) == FAST_CLASSIFIER_FIT


def test_linear_by_hand():
    fit = ClassifierFit(epochs=10, schedule="linear", warm_up=0.2)
    found = [lr_factor(fit, epoch) for epoch in (0, 1, 2, 6, 10)]
    assert found == pytest.approx([0.2, 0.6, 1, 0.535, 0.07])
    assert [lr_factor(replace(fit, schedule="decay"), epoch) for epoch in (0, 4, 10)] == pytest.approx([1, 0.6, 0])


def test_the_warm_up_of_cosine_is_a_setting():
    assert lr_factor(ClassifierFit(epochs=10, schedule="cosine", warm_up=0.0), 0) == 1
    assert lr_factor(ClassifierFit(epochs=10, schedule="cosine", warm_up=0.5), 5) == pytest.approx(1)
    assert lr_factor(ClassifierFit(epochs=10, schedule="cosine", warm_up=0.5), 2.5) == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("change, words", [
    ({"label_smoothing": 1.5}, r"label_smoothing: expected a number in \[0\.0, 1\.0\], got 1\.5"),
    ({"bias_lr": 0.0}, r"bias_lr: expected a finite number > 0, got 0\.0"),
    ({"warm_up": -0.1}, r"warm_up: expected a number in \[0\.0, 1\.0\], got -0\.1"),
    ({"averaging": "swa"}, "averaging: expected one of 'none', 'lookahead'; got 'swa'"),
])  # fmt: skip
def test_bad_settings(change, words):
    with pytest.raises(ValueError, match=words):
        ClassifierFit(**change)


@pytest.mark.parametrize("family", [None, CutMix()], ids=str)
def test_the_loss_is_that_of_smoothed_labels(tiny_dataset, family):
    """Cross-entropy with the weights of both labels, of which a fifth is spread over all classes."""
    seen = []

    def compute_loss(model, images, batch, mixed, noise):
        logits = model(images)
        soft = functional.one_hot(batch.labels, 3).float() if mixed is None else mixed.soft_labels(3)
        expected = -((0.8 * soft + 0.2 / 3) * logits.log_softmax(1)).sum(1).mean()
        found, _ = cross_entropy(model, images, batch, mixed, noise, label_smoothing=0.2)
        seen.append((float(found.detach()), float(expected.detach())))
        return found, {}

    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    train(net, optimizer, tiny_dataset, family, settings=replace(TINY, epochs=1), compute_loss=compute_loss, seed=0)
    assert len(seen) == 4
    for found, expected in seen:
        assert found == pytest.approx(expected, rel=1e-5)


def test_fit_classifier_smooths_what_it_is_told_to(tiny_dataset):
    losses = [
        fit_classifier(tiny_dataset, FMix(), replace(TINY, epochs=1, lr=1e-9, label_smoothing=share))[1].epochs[0][
            "loss"
        ]
        for share in (0.0, 1.0)
    ]
    assert losses[0] != losses[1]


def test_biases_have_a_rate_of_their_own_and_the_same_decay(tiny_dataset, monkeypatch):
    seen = []
    real = torch.optim.SGD.step

    def step(self, *args):
        seen.append([(group["lr"], group["weight_decay"], len(group["params"])) for group in self.param_groups])
        return real(self, *args)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    fit = ClassifierFit(epochs=1, batch_size=48, lr=0.01, schedule="constant", weight_decay=0.1, bias_lr=4.0)
    fit_classifier(tiny_dataset, None, fit, network=network, progress=False)
    fit_classifier(tiny_dataset, None, replace(fit, bias_lr=1.0), network=network, progress=False)
    assert seen == [[(0.01, 0.1, 3), (0.04, 0.025, 3)], [(0.01, 0.1, 6)]]


def test_lookahead_written_out():
    """Over 12 steps: averages after 5, 10 and the last one; what stands there goes on from the average."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    look, slow, fast = Lookahead(model), 1.0, 1.0
    for n_done in range(1, 13):
        with torch.no_grad():
            model.weight += n_done  # a step of the optimizer
        fast += n_done
        look.after_step(model, n_done, 12)
        if n_done in (5, 10, 12):
            kept = 0.95**5 * (n_done / 12) ** 3
            slow = kept * slow + (1 - kept) * fast
            fast = slow
        assert float(model.weight.detach()) == pytest.approx(fast, rel=1e-6)


def test_lookahead_averages_running_statistics_and_no_counters():
    look = Lookahead(nn.BatchNorm1d(2))
    assert set(look.slow) == {"weight", "bias", "running_mean", "running_var"}


def test_averaging_is_of_the_training(tiny_dataset):
    fits = [replace(TINY, averaging=each) for each in ("none", "lookahead")]
    plain, averaged = (fit_classifier(tiny_dataset, None, fit, progress=False)[0] for fit in fits)
    assert not torch.equal(plain.network.linear.weight, averaged.network.linear.weight)


def test_the_first_layer_is_made_of_the_training_images_and_kept_in_the_checkpoint(make_dataset, tmp_path):
    dataset = make_dataset(24, channels=3)
    model, _ = fit_classifier(dataset, FMix(), TINY, progress=False)
    filters = whitening_filters(dataset.normalize(dataset.images), 2).float()
    torch.testing.assert_close(model.network.whiten.weight[:12], filters, rtol=1e-4, atol=1e-4)
    save_checkpoint(model, tmp_path / "m.safetensors")
    again, _ = load_checkpoint(tmp_path / "m.safetensors")
    images = dataset.unit_images()
    torch.testing.assert_close(again(images), model(images), rtol=1e-4, atol=1e-5)
    assert torch.equal(again.network.whiten.weight, model.network.whiten.weight)


def test_a_network_of_yours_keeps_its_own_first_layer(make_dataset):
    dataset = make_dataset(24, channels=3)
    network = fit_classifier(dataset, None, TINY, progress=False)[0].network
    before = network.whiten.weight.clone()
    fit_classifier(make_dataset(24, channels=3, seed=1), None, TINY, network=network, progress=False)
    assert torch.equal(network.whiten.weight, before)


def test_each_image_is_seen_both_ways_in_two_epochs(make_dataset):
    """A random half is mirrored in the first epoch, the other in the second, and so on."""
    dataset = make_dataset(40)
    images = torch.zeros_like(dataset.images)
    images[..., :8] = torch.arange(1, 41, dtype=torch.uint8).view(40, 1, 1, 1)  # left half
    dataset = replace(dataset, images=images, mean=(0.0,), std=(1 / 255,))
    runs = []
    for epoch in range(4):
        mirrored = {}
        for batch in iterate_batches(dataset, 10, seed=3, epoch=epoch, augment="shift_flip"):
            for image in batch.images:
                mirrored[round(float(image.max()))] = bool(image[0, 8, 2] == 0)
        runs.append([mirrored[i] for i in range(1, 41)])
    assert sum(runs[0]) == 20 and runs[0] != [i % 2 == 0 for i in range(40)]
    assert runs[1] == [not each for each in runs[0]] and runs[2] == runs[0] and runs[3] == runs[1]


def test_shifts_bring_in_reflections(make_dataset):
    """Every shifted image is a window of the image padded by reflection, and all 25 places occur."""
    dataset = replace(make_dataset(200), mean=(0.0,), std=(1 / 255,))
    (batch,) = iterate_batches(dataset, 200, seed=0, augment="shift_flip")
    (plain,) = iterate_batches(dataset, 200, seed=0)
    padded = functional.pad(plain.images, (2,) * 4, mode="reflect")
    windows = torch.stack([padded[..., i : i + 16, j : j + 16] for i in range(5) for j in range(5)])
    is_window = [(windows == images).flatten(2).all(2) for images in (batch.images, batch.images.flip(-1))]
    assert (is_window[0] | is_window[1]).any(0).all()
    assert (is_window[0] | is_window[1]).any(1).all()


def test_mixed_defaults_to_no_smoothing():
    labels, logits = torch.tensor([0, 1]), torch.randn(2, 3)
    mixed = Mixed(torch.zeros(2, 1, 2, 2), labels, labels.flip(0), torch.tensor([0.3, 0.9]), None)
    assert torch.equal(mixed.loss(logits), mixed.loss(logits, label_smoothing=0.0))


class Plain(nn.Module):
    """Without batch statistics: parts of a batch have the gradient of the whole."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)
        for i, weight in enumerate(self.parameters()):
            nn.init.normal_(weight, generator=torch.Generator().manual_seed(i))

    def forward(self, images):
        return self.linear(torch.relu(self.conv(images)).mean((2, 3)))


@pytest.mark.parametrize("family", [None, FMix()], ids=str)
@pytest.mark.parametrize("parts", [2, 5, 100])
def test_parts_of_a_batch_add_up_to_it(tiny_dataset, family, parts):
    """Weights after two epochs are those of whole batches within rounding, and the model never sees more than a part."""
    sizes, found = [], []
    fit = ClassifierFit(epochs=2, batch_size=12, lr=0.1, label_smoothing=0.1)
    for accumulate in (1, parts):
        network = Plain()
        network.register_forward_hook(lambda module, inputs, out: sizes.append(len(inputs[0])))
        _, history = fit_classifier(
            tiny_dataset, family, replace(fit, accumulate=accumulate), network=network, progress=False
        )
        found.append((torch.cat([p.detach().flatten() for p in network.parameters()]), history.epochs[-1]["loss"]))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-5, atol=1e-6)
    assert found[1][1] == pytest.approx(found[0][1], rel=1e-5)
    assert not torch.equal(found[0][0], torch.cat([p.detach().flatten() for p in Plain().parameters()]))
    assert sizes[:8] == [12] * 8 and max(sizes[8:]) == -(-12 // min(parts, 12)) and sum(sizes[8:]) == 96
