"""Information by depth: features that hold much, little or nothing of the image; ceilings; the paper's shapes."""

import math

import pytest
import torch

from msda_analysis.information import layers
from msda_analysis.information.layers import layer_information, pair_with_features
from msda_analysis.information.neural import fit_critic


@pytest.fixture(scope="module")
def images():
    """Noise, brighter or darker as a whole."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(800, 1, 1, 1, generator=generator) + 0.5 * torch.randn(800, 1, 8, 8, generator=generator)


@pytest.fixture(scope="module")
def depths(images):
    """A map and a vector that see the image, and ones that do not."""
    other = images.roll(1, dims=0)
    maps = [torch.nn.functional.avg_pool2d(part, 2) for part in (images, other)]
    mean, noise = (part.mean(dim=(2, 3)) for part in (images, other))
    return {"map": maps[0], "vector": mean + 0.3 * noise, "unrelated map": maps[1], "unrelated vector": noise}


@pytest.mark.parametrize("method", ["mine", "js"])
def test_layers_that_see_the_image_hold_more(images, depths, method):
    found = layer_information(depths, images, method, epochs=30, batch_size=80, hidden=64, learning_rate=2e-3)
    assert list(found) == list(depths)
    for name in ("unrelated map", "unrelated vector"):
        assert abs(found[name].value) < 0.15, (name, found[name])
    # the vector's truth: ln(1 + 1 / 0.09) / 2 = 1.25 nats
    assert 0.5 < found["vector"].value < 1.25 and found["map"].value > 0.3
    for each in found.values():
        assert each.bound == (None if method == "mine" else "lower") and each.n == 400 and each.low < each.high
        assert each.details["ceiling_nats"] == pytest.approx(math.log(400)) and each.details["cap"] == "none"


def test_tanh_cap_is_two_nats_and_said(images):
    strong = {"copy": images.flatten(1).repeat(1, 2)}
    found = layer_information(strong, images, cap="tanh", epochs=4, batch_size=80, hidden=32)["copy"]
    assert found.value < 2 and found.details["ceiling_nats"] == 2 and found.details["cap"] == "tanh"


def test_near_the_cap_it_warns(images):
    sign = images.sign().mean(dim=(2, 3)).sign()
    pixels = (sign[:, :, None, None] * torch.ones(8, 8)).contiguous()
    # a constant score of the joint pairs cannot reach the cap; a bit of information stays at ln 2
    found = layer_information({"sign": sign}, pixels, cap="tanh", epochs=20, batch_size=80, hidden=32)["sign"]
    assert 0.3 < found.value < math.log(2) + 0.1 and not found.warnings


def test_layers_are_judged_on_images_that_their_critic_was_not_trained_on(images, monkeypatch):
    halves = []

    def spy(score, critic, train, test, *rest):
        halves.append((train, test))
        return fit_critic(score, critic, train, test, *rest)

    monkeypatch.setattr(layers, "fit_critic", spy)
    marks = torch.arange(131.0)[:, None]
    found = layer_information({"mark": marks}, images[:131], "js", epochs=1, batch_size=20, hidden=4)["mark"]
    ((train, test),) = halves
    # standardized by the training half alone, so compared by the order of the marks
    assert len(train[0]) == 66 and len(test[0]) == 65 == found.n
    assert not set(train[1].flatten().tolist()) & set(test[1].flatten().tolist())
    assert train[1].mean().item() == pytest.approx(0, abs=1e-5) and abs(test[1].mean().item()) > 1e-3


def test_same_seed_same_number(images, depths):
    settings = {"epochs": 2, "batch_size": 100, "hidden": 16}
    part = {"map": depths["map"]}
    first, again, other = (layer_information(part, images, seed=s, **settings)["map"].value for s in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(("side", "fold"), [(16, 2), (8, 4), (4, 8), (2, 16)])
def test_images_fold_to_the_size_of_the_map_without_loss(side, fold):
    images = torch.arange(2 * 3 * 32 * 32.0).reshape(2, 3, 32, 32)
    x, z = pair_with_features("f", images, torch.zeros(2, 5, side, side))
    assert x.shape == (2, 3 * fold**2, side, side) and z.shape == (2, 5, side, side)
    assert torch.equal(x.flatten().sort().values, images.flatten())
    flat, unit = pair_with_features("f8", images, torch.zeros(2, 512, 1, 1))
    assert flat.shape == (2, 3072) and unit.shape == (2, 512)


def test_errors_say_what_was_expected(images):
    with pytest.raises(ValueError, match="f1: expected features of 800 images, got 3"):
        layer_information({"f1": torch.zeros(3, 2)}, images)
    with pytest.raises(ValueError, match=r"f1: expected \[n, unit\], or a map .* 8x8 alike.*flatten it"):
        layer_information({"f1": torch.zeros(800, 2, 3, 3)}, images)
    with pytest.raises(ValueError, match=r"method: expected one of 'mine'.*got 'ksg1'"):
        layer_information({}, images, "ksg1")
    with pytest.raises(ValueError, match="cap: expected one of None, 'tanh'"):
        layer_information({}, images, cap="relu")
    with pytest.raises(ValueError, match="epochs: expected an integer >= 1"):
        layer_information({}, images, epochs=0)
    with pytest.raises(ValueError, match="f1: expected finite values"):
        layer_information({"f1": torch.full((800, 2), torch.nan)}, images)
