"""Layers of any network by name: what hooks see is what the layers give."""

import pytest
import torch
from torch import nn

from msda_analysis import models
from msda_analysis.information import layer_features, layer_information
from msda_analysis.rng import stream


class Branching(nn.Module):
    """A shared activation that works in place, a branch that never runs, and a layer that gives a pair."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.idle = (
            nn.Conv2d(1, 2, 3, padding=1),
            nn.Conv2d(2, 2, 3, padding=1),
            nn.Linear(1, 1),
        )
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout()
        self.pair = Pair()

    def forward(self, images):
        return self.pair(self.drop(self.act(self.second(self.act(self.first(images))))))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.fixture
def images():
    return torch.randn(10, 1, 8, 8, generator=stream(0, "images"))


def test_layers_give_what_they_give_in_evaluation_mode(images):
    network = Branching().train()
    found = layer_features(network, images, ["act", "first", "drop"], batch_size=3)
    assert list(found) == ["act", "first", "drop"]
    with torch.no_grad():
        first = network.first(images)
        last = network.second(first.relu()).relu()
    assert torch.allclose(found["first"], first, atol=1e-6), "not what the activation made of it in place"
    assert torch.allclose(found["act"], last, atol=1e-6), "the last of two runs"
    assert torch.equal(found["drop"], found["act"]), "no dropout"
    assert network.training and network.drop.training and not network.first._forward_hooks
    assert not found["first"].requires_grad and network.first.weight.requires_grad


def test_they_are_the_taps_of_the_papers_network():
    vgg = models.create("vgg11_bn", 4, 1, seed=0, hidden=8).eval()
    images = torch.rand(4, 1, 32, 32, generator=stream(0, "images"))
    taps = vgg.taps(images)
    places = {module.name: name for name, module in vgg.named_modules() if type(module).__name__ == "_Tap"}
    found = layer_features(vgg, images, list(places.values()))
    assert len(places) == 10 and all(torch.equal(found[places[name]], tap) for name, tap in taps.items())


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        (["third"], ValueError, r"named_modules\(\), such as first, second, idle.*got 'third'"),
        (["idle"], ValueError, "'idle' does not run"),
        (["pair"], TypeError, "'pair' gives a tuple"),
        ("first", ValueError, "expected a list"),
        ([], ValueError, "expected a list"),
    ],
)
def test_errors_name_the_layer_and_leave_no_hook(images, layers, error, message):
    network = Branching()
    with pytest.raises(error, match=message):
        layer_features(network, images, layers)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("size", [(16,), (8, 8), (4, 4, 4)], ids=["signals", "images", "volumes"])
def test_information_of_a_layer_that_sees_the_image_exceeds_that_of_one_that_does_not(size):
    brightness = torch.randn(400, 1, *[1] * len(size), generator=stream(0, "brightness"))
    images = brightness + 0.3 * torch.randn(400, 1, *size, generator=stream(0, "noise"))
    network = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 2))
    nn.init.constant_(network[1].weight, 1 / images[0].numel())
    seen = layer_features(network, images, ["1"])["1"]
    seen = seen + 0.3 * torch.randn(seen.shape, generator=stream(0, "more"))
    fit = {"epochs": 20, "batch_size": 60, "hidden": 32, "learning_rate": 2e-3}
    found = layer_information({"seen": seen, "unrelated": seen.roll(7, 0)}, images, "js", **fit)
    assert found["seen"].value > 0.3 > 0.15 > found["unrelated"].value


def test_a_layer_that_runs_for_some_images_only_gives_no_stale_output(images):
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.extra = nn.Flatten(), nn.Identity()

        def forward(self, images):
            return self.extra(self.flat(images)) if len(images) == 6 else self.flat(images)

    with pytest.raises(ValueError, match="'extra' does not run"):
        layer_features(Sometimes(), images, ["extra"], batch_size=6)
