"""The VAE's code, its sizes and its distributions."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from msda_analysis import models
from msda_analysis.models.vae import VAE, GaussianCode
from msda_analysis.rng import stream


def make_code():
    generator = stream(0, "test code")
    return GaussianCode(torch.randn(5, 7, generator=generator), 0.5 * torch.randn(5, 7, generator=generator))


def test_kl_to_prior_agrees_with_torch_distributions():
    code = make_code()
    expected = kl_divergence(Normal(code.loc, code.log_std.exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(code.kl_to_prior(), expected)


def test_kl_of_a_shifted_code_is_half_the_squared_shift():
    code = GaussianCode(torch.full((1, 4), 3.0), torch.zeros(1, 4))
    assert code.kl_to_prior().tolist() == [18.0]


def test_sample_has_the_mean_and_spread_of_the_code():
    n = 20_000
    code = GaussianCode(torch.full((n, 1), 2.0), torch.full((n, 1), -1.0))
    z = code.sample(stream(0, "sample")).double()
    std = torch.tensor(-1.0).exp().item()
    assert abs(z.mean().item() - 2.0) < 5 * std / n**0.5
    assert abs(z.std().item() - std) < 5 * std / (2 * n) ** 0.5


def test_sample_depends_on_the_generator_alone():
    code = make_code()
    first = code.sample(stream(1, "noise"))
    torch.rand(3)  # the default generator moves on
    assert torch.equal(first, code.sample(stream(1, "noise")))
    assert not torch.equal(first, code.sample(stream(2, "noise")))


def test_sample_carries_gradients_to_loc_and_log_std():
    loc, log_std = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    z = GaussianCode(loc, log_std).sample(stream(0, "noise"))
    z.sum().backward()
    assert torch.equal(loc.grad, torch.ones(2, 3))
    torch.testing.assert_close(log_std.grad, z.detach())  # std = 1, so dz / dlog_std = noise = z


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (16, 16), (17, 45), (64, 48), (33, 31)])
@pytest.mark.parametrize("channels", [1, 3])
@torch.inference_mode()
def test_reconstructions_have_the_images_size(size, channels):
    vae = VAE(channels, latent=5, image_size=size).eval()
    mean, code = vae(torch.rand(2, channels, *size), stream(0, "noise"))
    assert mean.shape == (2, channels, *size)
    assert code.loc.shape == code.log_std.shape == (2, 5)


@torch.inference_mode()
def test_forward_decodes_one_draw_of_the_code():
    vae = VAE(1, latent=4, image_size=(16, 16)).eval()
    torch.nn.init.normal_(vae.loc.weight, generator=stream(0, "head"))
    images = torch.rand(3, 1, 16, 16, generator=stream(0, "images"))
    mean, code = vae(images, stream(7, "noise"))
    assert torch.equal(mean, vae.decode(vae.encode(images).sample(stream(7, "noise"))))
    assert torch.equal(code.loc, vae.encode(images).loc)


def test_untrained_code_is_the_prior():
    vae = models.create("vae", seed=0).eval()
    code = vae.encode(torch.rand(3, 3, 32, 32))
    assert torch.equal(code.kl_to_prior(), torch.zeros(3))


def test_convolutions_start_from_xavier_normal():
    weight = models.create("vae", seed=0).encoder[3].weight.double()
    n, std = weight.numel(), (2 / (16 * (32 + 32))) ** 0.5
    assert abs(weight.std().item() - std) < 5 * std / (2 * n) ** 0.5
    assert weight.abs().max() > 3 * std  # normal, not uniform: a uniform law of this spread ends at 1.73 std


@pytest.mark.parametrize("output_std", [1.0, 0.1])
def test_log_likelihood_agrees_with_torch_distributions(output_std):
    vae = VAE(1, latent=2, image_size=(16, 16), output_std=output_std)
    images, mean = torch.rand(2, 3, 1, 16, 16, generator=stream(0, "pixels"))
    expected = Normal(mean, output_std).log_prob(images).sum(dim=(1, 2, 3))
    torch.testing.assert_close(vae.log_likelihood(images, mean), expected)


def test_images_of_another_shape_are_refused():
    vae = VAE(1, latent=2, image_size=(16, 16))
    with pytest.raises(ValueError, match=r"images: expected \[n, 1, 16, 16\], got \[2, 3, 32, 32\]; build the VAE"):
        vae.encode(torch.rand(2, 3, 32, 32))


def test_codes_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"z: expected \[n, 2\], got \[4, 3\]"):
        VAE(1, latent=2, image_size=(16, 16)).decode(torch.rand(4, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent": 0}, "latent: expected an integer >= 1, got 0"),
        ({"in_channels": 0}, "in_channels: expected an integer >= 1, got 0"),
        ({"image_size": (32, 15)}, r"image_size \(32, 15\): expected an integer >= 16, got 15"),
        ({"image_size": 32}, r"image_size: expected 1, 2 or 3 lengths such as \(32, 32\), got 32"),
        ({"output_std": 0.0}, "output_std: expected a finite number > 0, got 0.0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VAE(**arguments)
