"""The paper's figures: against torch's own divergences and a linear VAE whose answers are known."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from msda_analysis.information.codes import encode_images, encode_once
from msda_analysis.information.vae import rate_per_image, vae_information


class LinearVae(nn.Module):
    """Code = scaled image plus noise of one standard deviation; decoding undoes the scale. Dropout shows the mode."""

    def __init__(self, scale: float = 2.0, std: float = 0.5):
        super().__init__()
        self.scale, self.std, self.dropout = scale, std, nn.Dropout(0.5)

    def encode(self, images):
        loc = self.scale * self.dropout(images).flatten(1)
        return SimpleNamespace(loc=loc, log_std=torch.full_like(loc, math.log(self.std)))

    def decode(self, z):
        return (z / self.scale).unflatten(1, (3, 2, 2))


@pytest.fixture
def images():
    return torch.randn(2000, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def figures_of(*args, **settings):
    return vae_information(encode_once(*args, **settings))


def normal_kl(loc, log_std):
    ours = torch.distributions.Normal(loc.double(), log_std.double().exp())
    prior = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
    return torch.distributions.kl_divergence(ours, prior).sum(dim=1)


def test_rate_matches_torch_distributions():
    loc, log_std = torch.randn(2, 50, 7, generator=torch.Generator().manual_seed(1))
    rate = rate_per_image(loc, log_std)
    assert rate.shape == (50,) and rate.dtype == torch.float64
    torch.testing.assert_close(rate, normal_kl(loc, log_std))
    assert rate_per_image(torch.zeros(3, 2), torch.zeros(3, 2)).tolist() == [0, 0, 0]


def test_linear_vae_has_the_known_rate_and_error(images):
    figures = figures_of(LinearVae(), images, batch_size=300)
    rate, mse = figures["rate"], figures["mse"]
    # per code dimension: (scale^2 x^2 + std^2 - 1 - ln std^2) / 2
    per_pixel = 0.5 * (4 * images.double().square() + 0.25 - 1 - math.log(0.25))
    assert rate.value == pytest.approx(per_pixel.flatten(1).sum(dim=1).mean().item(), rel=1e-5)
    assert rate.bound == "upper" and rate.unit == "nats" and rate.n == 2000 and rate.low < rate.value < rate.high
    # the error of a sampled code is its noise divided by the scale: variance (0.5 / 2)^2, standard error by chi-square
    assert mse.value == pytest.approx(0.0625, abs=5 * 0.0625 * math.sqrt(2 / (2000 * 12)))
    assert "rate_reconstructed" not in figures


@pytest.mark.parametrize("std", [0.1, 1.0])
def test_reconstructed_rate_adds_code_and_pixel_noise(images, std):
    figures = figures_of(LinearVae(), images, LinearVae(scale=1.0, std=0.3), reconstruction_std=std)
    rate, rebuilt = figures["rate"], figures["rate_reconstructed"]
    # what A sees has variance raised by 0.3^2 + std^2 per pixel, its rate by half of scale^2 = 4 times that
    expected = rate.value + 12 * 2 * (0.09 + std**2)
    assert rebuilt.bound is None and rebuilt.details["reconstruction_std"] == std
    assert abs(rebuilt.value - expected) < 2.5 * (rebuilt.high - rebuilt.low)
    assert rebuilt.high - rebuilt.low < 0.2 * expected


def test_same_seed_same_numbers_and_mode_restored(images):
    vae = LinearVae().train()
    first = figures_of(vae, images, LinearVae(1.0), seed=3)
    assert vae.training and vae.dropout.training
    assert figures_of(vae, images, LinearVae(1.0), seed=3) == first
    assert figures_of(vae, images, LinearVae(1.0), seed=4)["mse"] != first["mse"]


def test_own_baseline_is_warned_about(images):
    vae = LinearVae()
    (warning,) = figures_of(vae, images[:10], vae)["rate_reconstructed"].warnings
    assert "itself" in warning


def test_encode_images_in_batches_equals_one_pass(images):
    loc, log_std = encode_images(LinearVae().train(), images, batch_size=77)
    assert loc.dtype == torch.float64 and torch.equal(loc, 2 * images.flatten(1).double())
    assert log_std.shape == loc.shape


def test_every_network_sees_every_image_once(images):
    vae, baseline, seen = LinearVae(), LinearVae(1.0, 0.3), []
    for name, model in (("own", vae), ("baseline", baseline)):
        model.encode = lambda batch, name=name, encode=model.encode: seen.append((name, len(batch))) or encode(batch)
    codes = encode_once(vae, images, baseline, batch_size=800)
    # own code of the images, the baseline's, own code of the baseline's reconstructions: three passes of 2000 images
    assert seen == [(name, n) for n in (800, 800, 400) for name in ("own", "baseline", "own")]
    for code, expected in ((codes.own, vae), (codes.baseline, baseline)):
        assert all(torch.equal(*pair) for pair in zip(code, encode_images(expected, images), strict=True))


def test_codes_of_reconstructions_are_those_of_the_figure(images):
    vae, baseline = LinearVae(), LinearVae(1.0, 0.3)
    codes = encode_once(vae, images, baseline, seed=2)
    figure = vae_information(codes)["rate_reconstructed"]
    assert rate_per_image(*codes.reconstructed).mean().item() == pytest.approx(figure.value, rel=1e-12)
    assert not torch.equal(codes.reconstructed[0], encode_once(vae, images, baseline, seed=3).reconstructed[0])
    # the reconstruction error draws from a stream of its own
    assert torch.equal(codes.errors, encode_once(vae, images, seed=2).errors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected an integer >= 1"),
        ({"reconstruction_std": -0.1}, "reconstruction_std: expected a number in"),
    ],
)
def test_bad_settings_say_what_was_expected(images, change, message):
    with pytest.raises(ValueError, match=message):
        encode_once(LinearVae(), images, **change)


def test_bad_codes_say_what_was_expected(images):
    with pytest.raises(ValueError, match=r"one shape \[n, latent\] for both, got \(4, 2\) and \(4, 3\)"):
        rate_per_image(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="log_std: expected finite values, got 8"):
        rate_per_image(torch.zeros(4, 2), torch.full((4, 2), torch.nan))
    with pytest.raises(ValueError, match="images"):
        encode_once(LinearVae(), images[0, 0])
