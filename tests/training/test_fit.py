"""fit_vae and fit_classifier: reproducible, seeded, learning, and clear when they cannot."""

from dataclasses import replace
from importlib import import_module

import pytest
import torch
from torch import nn

from msda_analysis import Alternate, ClassifierFit, CutMix, FMix, MixUp, VaeFit, fit_classifier, fit_vae
from msda_analysis.models import VAE, Normalized
from msda_analysis.models.pyramidnet import PyramidNet
from msda_analysis.training import TrainingDivergedError, negative_elbo
from msda_analysis.training.classifier import cross_entropy
from msda_analysis.training.loop import train

VAE_FIT = VaeFit(epochs=2, batch_size=12, latent=3)
CLASSIFIER_FIT = ClassifierFit(epochs=2, batch_size=12)
FITS = [(fit_vae, VAE_FIT), (fit_classifier, CLASSIFIER_FIT)]
both = pytest.mark.parametrize("fit, settings", FITS, ids=["vae", "classifier"])


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


def numbers(history) -> list[dict[str, float]]:
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in history.epochs]


@both
def test_the_same_seed_gives_the_same_weights_whatever_ran_before(tiny_dataset, quiet_random_state, fit, settings):
    settings = replace(settings, augment="jitter_flip")
    first, first_history = fit(tiny_dataset, FMix(), settings, seed=5)
    fit(tiny_dataset, MixUp(), replace(settings, epochs=1), seed=6)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)  # the global generators stand elsewhere the second time
        second, second_history = fit(tiny_dataset, FMix(), settings, seed=5)
    assert torch.equal(weights(first), weights(second))
    assert numbers(first_history) == numbers(second_history)


@both
def test_family_and_seed_make_a_difference(tiny_dataset, fit, settings):
    settings = replace(settings, epochs=1)
    runs = [fit(tiny_dataset, family, settings)[0] for family in (None, MixUp(), CutMix(), FMix(), FMix(alpha=0.2))]
    runs.append(fit(tiny_dataset, None, settings, seed=1)[0])
    found = [weights(run) for run in runs]
    assert not any(torch.equal(a, b) for i, a in enumerate(found) for b in found[:i])


def test_the_vae_learns(tiny_dataset):
    vae, history = fit_vae(tiny_dataset, None, replace(VAE_FIT, epochs=10))
    assert isinstance(vae, VAE) and not vae.training
    losses = [entry["loss"] for entry in history.epochs]
    assert len(losses) == 10 and losses[-1] < losses[0]
    for entry in history.epochs:
        assert entry["loss"] == pytest.approx(entry["rate"] + entry["distortion"], rel=1e-4)
    with torch.no_grad():
        normal = tiny_dataset.normalize(tiny_dataset.images)
        error = (vae.decode(vae.encode(normal).loc) - normal).square().mean()
    assert float(error) < 0.7, "the mean image alone leaves an error of 1"


@pytest.mark.parametrize("family", [None, MixUp(), FMix()], ids=str)
def test_the_classifier_learns(tiny_dataset, family):
    classifier, history = fit_classifier(tiny_dataset, family, replace(CLASSIFIER_FIT, epochs=8))
    assert isinstance(classifier, Normalized) and not any(module.training for module in classifier.modules())
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"] and history.seconds > 0
    with torch.no_grad():
        accuracy = (classifier(tiny_dataset.unit_images()).argmax(1) == tiny_dataset.labels).float().mean()
    assert float(accuracy) > 0.9


def test_settings_have_defaults(make_dataset, monkeypatch):
    for fit, kind in ((fit_classifier, ClassifierFit), (fit_vae, VaeFit)):
        monkeypatch.setattr(import_module(fit.__module__), "train", lambda *a, settings, **k: settings)
        assert fit(make_dataset(8), None)[1] == kind()


def test_the_dataset_is_left_alone(make_dataset):
    dataset = make_dataset(12)
    images, labels = dataset.images.clone(), dataset.labels.clone()
    fit_classifier(dataset, FMix(), replace(CLASSIFIER_FIT, epochs=1, augment="crop_flip"))
    assert torch.equal(dataset.images, images) and torch.equal(dataset.labels, labels)


def test_colour_and_sizes_that_are_not_square(make_dataset):
    dataset = make_dataset(12, channels=3, side=20)
    dataset = replace(dataset, images=dataset.images[..., :17].contiguous())
    vae, _ = fit_vae(dataset, CutMix(), replace(VAE_FIT, epochs=1))
    assert vae.decode(torch.zeros(2, 3)).shape == (2, 3, 20, 17)
    classifier, _ = fit_classifier(dataset, FMix(), replace(CLASSIFIER_FIT, epochs=1))
    assert classifier(dataset.unit_images()).shape == (12, 3)


def test_bfloat16_keeps_the_weights_in_float32(tiny_dataset):
    classifier, history = fit_classifier(tiny_dataset, None, replace(CLASSIFIER_FIT, epochs=1, precision="bfloat16"))
    assert all(p.dtype == torch.float32 for p in classifier.parameters())
    full, full_history = fit_classifier(tiny_dataset, None, replace(CLASSIFIER_FIT, epochs=1))
    assert history.epochs[0]["loss"] == pytest.approx(full_history.epochs[0]["loss"], rel=0.05)
    assert not torch.equal(weights(classifier), weights(full))


@both
def test_a_diverged_run_is_an_error_that_says_when(tiny_dataset, fit, settings):
    with pytest.raises(
        TrainingDivergedError, match=r"^the loss is (nan|inf) at epoch 0, step [1-3]; lower the learning rate \(lr\)"
    ):
        fit(tiny_dataset, None, replace(settings, lr=1e30, schedule="constant"))


@both
@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images(make_dataset, fit, settings, n):
    with pytest.raises(ValueError, match=f"dataset: expected at least 2 images to train on, got {n}"):
        fit(_first(make_dataset(4), n), MixUp(), settings)


def _first(dataset, n):
    return replace(dataset, images=dataset.images[:n], labels=dataset.labels[:n])


@both
def test_two_images_are_enough(make_dataset, fit, settings):
    _, history = fit(_first(make_dataset(4), 2), FMix(), replace(settings, epochs=1))
    assert len(history.epochs) == 1


def test_labels_out_of_range(make_dataset):
    dataset = make_dataset(12)
    for bad in (3, -1):
        labels = dataset.labels.clone()
        labels[4] = bad
        with pytest.raises(ValueError, match=r"labels: expected classes in 0\.\.2, got "):
            fit_classifier(replace(dataset, labels=labels), None, CLASSIFIER_FIT)


def test_labels_that_were_changed_in_place_are_still_checked(make_dataset):
    dataset = make_dataset(12)
    dataset.labels[4] = 3
    with pytest.raises(ValueError, match=r"labels: expected classes in 0\.\.2, got 0\.\.3"):
        fit_classifier(dataset, None, CLASSIFIER_FIT)


def test_images_that_are_no_pictures_are_named(make_dataset):
    dataset = make_dataset(12)
    signals, settings = (
        replace(dataset, images=dataset.images.reshape(12, 1, 256)),
        replace(CLASSIFIER_FIT, model="vgg11_bn"),
    )
    with pytest.raises(ValueError, match=r"model: expected 'small_cnn' for images of 1 axes, .*got 'vgg11_bn'"):
        fit_classifier(signals, None, settings)


def test_images_too_small_for_the_classifier(make_dataset):
    with pytest.raises(ValueError, match=r"images: small_cnn expects .* at least 7 pixels on each side"):
        fit_classifier(make_dataset(12, side=3), None, CLASSIFIER_FIT)


def test_images_too_small_for_the_vae(make_dataset):
    with pytest.raises(ValueError, match="image_size"):
        fit_vae(make_dataset(12, side=8), None, VAE_FIT)


@both
def test_what_is_no_family_is_refused(tiny_dataset, fit, settings):
    with pytest.raises(TypeError, match=r"family: expected one of MixUp\(\), .*, or Alternate\(...\); got 'fmix'"):
        fit(tiny_dataset, "fmix", settings)


def test_layers_that_draw_are_seeded(make_dataset, quiet_random_state):
    """ShakeDrop draws from torch's default generator: the loop must decide what stands there."""

    def run(seed):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            net = PyramidNet(3, 1, depth=11, alpha=3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        settings = ClassifierFit(epochs=1, batch_size=4, schedule="constant")
        train(net, optimizer, make_dataset(8, side=8), None, settings=settings, compute_loss=cross_entropy, seed=seed)
        return weights(net)

    first = run(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(77)
        assert torch.equal(run(0), first)
    assert not torch.equal(run(1), first)


def test_negative_elbo_by_hand(tiny_dataset):
    """-log p(x|z) summed over pixels plus the closed-form KL, with the loss's own z."""
    vae, _ = fit_vae(tiny_dataset, None, replace(VAE_FIT, epochs=1))
    images = tiny_dataset.normalize(tiny_dataset.images[:4])
    with torch.no_grad():
        loss, parts = negative_elbo(vae, images, None, None, torch.Generator().manual_seed(3))  # type: ignore[arg-type]
        code = vae.encode(images)
        mean, _ = vae(images, torch.Generator().manual_seed(3))
    prior = torch.distributions.Normal(0.0, 1.0)
    posterior = torch.distributions.Normal(code.loc, code.log_std.exp())
    rate = torch.distributions.kl_divergence(posterior, prior).sum(1).mean()
    distortion = -torch.distributions.Normal(mean, 1.0).log_prob(images).sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(parts["rate"], rate, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts["distortion"], distortion, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss, rate + distortion, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n, batch_size", [(48, 12), (36, 12)], ids=["even steps", "odd steps"])
def test_alternate_takes_turns_across_epochs(make_dataset, n, batch_size):
    """MixUp's images have values between those of its pair everywhere, CutMix's are copies: told by the label weights."""
    seen = []

    def compute_loss(model, images, batch, mixed, noise):
        seen.append("mixup" if len(torch.unique(mixed.lam)) == 1 else "cutmix")
        return cross_entropy(model, images, batch, mixed, noise)

    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
    family = Alternate(MixUp(per_batch=True), CutMix())
    settings = ClassifierFit(epochs=3, batch_size=batch_size)
    train(
        net, torch.optim.SGD(net.parameters(), lr=0.01), make_dataset(n), family,
        settings=settings, compute_loss=compute_loss, seed=0,
    )  # fmt: skip
    assert seen == [("mixup", "cutmix")[i % 2] for i in range(3 * n // batch_size)]
