"""The same code in one and in three dimensions: training, attacks, information."""

import numpy as np
import pytest
import torch

from msda_analysis import CutMix, FMix, MixUp, VaeFit, fit_classifier, fit_vae, load_dataset, models
from msda_analysis.data import Dataset
from msda_analysis.information import encode_once, encoder_bounds, vae_information
from msda_analysis.mixing import ResizeMix
from msda_analysis.models import load_checkpoint, save_checkpoint
from msda_analysis.models.vae import VAE
from msda_analysis.robustness import evaluate
from msda_analysis.training import ClassifierFit

DATA = {1: "waveforms(n=128, n_test=64, length=64)", 3: "voxels(n=96, n_test=48)"}


@pytest.fixture(scope="module", params=DATA, ids=["signals", "volumes"])
def splits(request):
    return load_dataset(DATA[request.param]), load_dataset(DATA[request.param], "test")


@pytest.mark.parametrize("family", [None, MixUp(), FMix(), CutMix(), ResizeMix()], ids=str)
def test_everything_is_trained(splits, family):
    train, test = splits
    settings = ClassifierFit(epochs=1, batch_size=32)
    classifier, history = fit_classifier(train, family, settings, progress=False)
    again, _ = fit_classifier(train, family, settings, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(classifier.parameters(), again.parameters(), strict=True))
    with torch.no_grad():
        assert classifier(test.unit_images()).shape == (len(test), len(test.classes))
    assert np.isfinite(history.epochs[0]["loss"])


def test_a_classifier_learns(splits):
    train, test = splits
    settings = ClassifierFit(epochs=6, batch_size=32, lr=0.05)
    classifier, _ = fit_classifier(train, None, settings, progress=False)
    with torch.no_grad():
        correct = (classifier(test.unit_images()).argmax(1) == test.labels).double().mean()
    chance = 1 / len(test.classes)
    assert float(correct) > chance + 4 * (chance * (1 - chance) / len(test)) ** 0.5


def test_attacks_and_information(splits, tmp_path):
    train, test = splits
    few = test.take(6)
    classifier, _ = fit_classifier(train, FMix(), ClassifierFit(epochs=1, batch_size=32), progress=False)
    outcome = evaluate(classifier, few.unit_images(), few.labels, ("fgsm", "pgd", "uniform_noise"), (0.0, 0.1))
    assert outcome.success.shape == (3, 2, 6) and len(outcome.table())
    vae, history = fit_vae(train, FMix(), VaeFit(epochs=1, batch_size=32, latent=3), progress=False)
    assert history.epochs[0]["loss"] == pytest.approx(history.epochs[0]["distortion"] + history.epochs[0]["rate"])
    test = test.take(32)
    found = vae_information(encode_once(vae, test.normalize(test.images)))
    assert found and all(np.isfinite(estimate.value) for estimate in found.values())
    bounds = encoder_bounds(*vae.encode(test.normalize(test.images)), seed=0)
    assert np.isfinite(bounds["rate"].value)
    for model in (classifier, vae):
        save_checkpoint(model, tmp_path / "model.safetensors", {})
        loaded = load_checkpoint(tmp_path / "model.safetensors")[0]
        for name, value in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name


@pytest.mark.parametrize("size", [(16,), (45,), (16, 17), (16, 20, 33)], ids=str)
def test_a_vae_of_any_size_rebuilds_it(size):
    vae = VAE(2, latent=3, image_size=size).eval()
    images = torch.rand(2, 2, *size)
    assert vae.decode(vae.encode(images).loc).shape == images.shape
    with pytest.raises(ValueError, match=r"images: expected \[n, 2, 16"):
        VAE(2, image_size=(16, 16)).encode(torch.rand(2, 2, 16))


def test_a_vae_names_sizes_that_are_too_small():
    with pytest.raises(ValueError, match=r"image_size \(16, 8, 16\): expected an integer >= 16, got 8"):
        VAE(1, image_size=(16, 8, 16))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_small_cnn_by_number_of_axes(axes):
    network = models.create("small_cnn", 5, 2, seed=0, **({} if axes == 2 else {"axes": axes})).eval()
    assert network(torch.rand(3, 2, *[16] * axes)).shape == (3, 5)
    with pytest.raises(ValueError, match="images: small_cnn expects"):
        network(torch.rand(3, 2, *[16] * (axes % 3 + 1)))
    assert set(network.state_dict()) == set(models.create("small_cnn", 5, 2).state_dict())


def test_networks_for_pictures_say_so():
    signals = Dataset.from_arrays(np.zeros((4, 1, 32), np.uint8), [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"model: expected 'small_cnn' for images of 1 axes, .*got 'preact_resnet18'"):
        fit_classifier(signals, None, ClassifierFit(model="preact_resnet18", epochs=1), progress=False)
    with pytest.raises(ValueError, match=r"augment: expected 'none' for images that are not"):
        fit_classifier(signals, None, ClassifierFit(epochs=1, augment="flip"), progress=False)
