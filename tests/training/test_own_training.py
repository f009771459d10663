"""Networks of one's own in the training functions."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from msda_analysis import ClassifierFit, CutMix, MixUp, VaeFit, fit_classifier, fit_vae, load_dataset
from msda_analysis.information import encode_images, encode_once, vae_information

FIT = ClassifierFit(epochs=2, batch_size=64, lr=0.05, schedule="constant")


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", train_size=256)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, images):
        return self.body(images)


class PairVae(nn.Module):
    """encode gives (mean, log-variance), as most VAEs on the web do."""

    def __init__(self, latent=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(64, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 64), nn.Unflatten(1, (1, 8, 8)), nn.Upsample(scale_factor=4))

    def encode(self, images):
        return self.encoder(images).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z)


def test_a_module_is_trained_in_place(digits):
    network = Net()
    before = network.body[2].weight.clone()
    model, history = fit_classifier(digits, CutMix(), FIT, network=network, progress=False)
    assert model.network is network and not torch.equal(network.body[2].weight, before)
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    plain, _ = fit_classifier(digits, None, replace(FIT, epochs=8), network=Net(), progress=False)
    assert (plain(digits.images / 255).argmax(1) == digits.labels).double().mean() > 0.7
    with pytest.raises(TypeError, match=r"network: expected a torch.nn.Module, got str"):
        fit_classifier(digits, None, FIT, network="small_cnn", progress=False)


def test_a_network_by_text(digits, tmp_path, monkeypatch):
    (tmp_path / "nets_for_training.py").write_text(
        "from torch import nn\n\ndef build(num_classes, in_channels, width=8):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, width, 4, 4), nn.Flatten(), nn.Linear(64 * width, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = replace(FIT, model="nets_for_training:build(width=2)", epochs=1)
    model, _ = fit_classifier(digits, None, settings, seed=1, progress=False)
    again, _ = fit_classifier(digits, None, settings, seed=1, progress=False)
    assert model.network[0].out_channels == 2 and torch.equal(model.network[2].weight, again.network[2].weight)
    with pytest.raises(ValueError, match="cannot find nets_for_training:nothing"):
        replace(FIT, model="nets_for_training:nothing")


def test_another_vae_is_trained_and_measured(digits):
    network = PairVae()
    settings = VaeFit(epochs=6, batch_size=64, lr=1e-2, schedule="constant", output_std=0.5)
    vae, history = fit_vae(digits, MixUp(), settings, network=network, progress=False)
    assert vae.network is network and vae.normalization == (digits.mean, digits.std) and vae.output_std == 0.5
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    images = digits.normalize(digits.images[:40])
    loc, log_std = encode_images(network, images)
    with torch.no_grad():
        mean, log_variance = network.encode(images)
    assert torch.allclose(loc, mean.double(), atol=1e-6) and torch.allclose(
        log_std, log_variance.double() / 2, atol=1e-6
    )
    figures = vae_information(encode_once(vae, images))
    assert figures["rate"].value == pytest.approx(vae_information(encode_once(network, images))["rate"].value)
    assert figures["rate"].value > 0


def test_our_own_vae_goes_on_training_as_it_is(digits):
    vae, _ = fit_vae(digits, None, VaeFit(epochs=1, latent=4), seed=0, progress=False)
    again, _ = fit_vae(digits, None, VaeFit(epochs=1, latent=4), network=vae, progress=False)
    assert again is vae
