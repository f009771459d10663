"""Grad-CAM by captum against one by hand, known cases, and which layer is looked at."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("captum")

from msda_analysis.attribution import NoFeatureMap, enlarge, find_layer, grad_cam, measure_mixed, randomize
from msda_analysis.models import Normalized, create

IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 5


class Detector(nn.Module):
    """Bright pixels, above 0.5, speak for class 1, dark ones for class 0; of the other sign, the reverse."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.pixels, self.sign = nn.Conv2d(1, 2, 1), sign
        with torch.no_grad():
            self.pixels.weight.fill_(1)
            self.pixels.bias.copy_(torch.tensor([0.0, -0.5]))

    def forward(self, images):
        any_pixel, bright = F.relu(self.pixels(images)).mean((2, 3)).unbind(1)
        return self.sign * torch.stack([any_pixel - 2 * bright, bright], 1)


def by_hand(network, images, labels):
    """Selvaraju et al. 2017, equations 1 and 2, for a network that ends in features, a mean and a linear layer."""
    features = network.features(images).detach().requires_grad_()
    logits = network.linear(features.mean((2, 3)))
    maps = []
    for i, label in enumerate(labels):
        (gradient,) = torch.autograd.grad(logits[i, label], features, retain_graph=True)
        maps.append((gradient[i].mean((1, 2))[:, None, None] * features[i].detach()).sum(0).relu())
    return torch.stack(maps)


def test_it_is_grad_cam():
    model = Normalized(create("small_cnn", 5, seed=1), [0.4, 0.5, 0.6], [0.2, 0.3, 0.2]).eval()
    found = grad_cam(model, IMAGES, LABELS, batch_size=4)
    expected = by_hand(model.network, (IMAGES - model.mean) / model.std, LABELS)
    assert found.shape == (6, 4, 4) and not found.requires_grad
    assert (found > 0).any()
    torch.testing.assert_close(found, expected)


def test_the_network_is_as_it_was():
    model = create("small_cnn", 5, seed=1).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    grad_cam(model, IMAGES, LABELS)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not IMAGES.requires_grad


def test_the_released_notebook_explained_another_network():
    """Rebuilt as a sequence of its children, a PreAct-ResNet loses the ReLU after its first batch normalization."""
    model = create("preact_resnet18", 5, seed=0, width=8).eval()
    nn.init.ones_(model.layer1[0].bn1.bias)  # as a trained one's may be: what is below zero before it counts
    children = list(model.children())
    rebuilt = nn.Sequential(*children[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), children[-1]).eval()
    assert not torch.allclose(model(IMAGES), rebuilt(IMAGES))
    ours, theirs = grad_cam(model, IMAGES, LABELS, "layer2"), grad_cam(rebuilt, IMAGES, LABELS, "3")
    assert ours.shape == theirs.shape == (6, 16, 16)
    assert not torch.allclose(ours / ours.amax(), theirs / theirs.amax(), rtol=0.1, atol=0.1)


def test_an_in_place_relu_does_not_change_what_a_layer_gave():
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    plain = grad_cam(nn.Sequential(*layers), IMAGES, LABELS, "0")
    layers[1] = nn.ReLU(inplace=True)
    torch.testing.assert_close(grad_cam(nn.Sequential(*layers), IMAGES, LABELS, "0"), plain)


def test_a_network_that_looks_at_one_corner():
    class OneCorner(nn.Module):
        def __init__(self):
            super().__init__()
            self.look = nn.Conv2d(1, 1, 1, bias=False)
            nn.init.ones_(self.look.weight)

        def forward(self, images):
            corner = torch.zeros_like(images)
            corner[..., :2, :2] = images[..., :2, :2]
            seen = self.look(corner).sum((1, 2, 3))
            return torch.stack([seen, -seen], 1)

    images = 0.1 + IMAGES[:3, :1, :8, :8]
    maps = grad_cam(OneCorner(), images, torch.zeros(3, dtype=torch.int64))
    assert (maps[:, :2, :2] > 0).all() and int((maps > 0).sum()) == 3 * 4
    assert (grad_cam(OneCorner(), images, torch.ones(3, dtype=torch.int64)) == 0).all(), "nothing speaks for class 1"


def mixed_by_halves(sign=1.0):
    """Bright images of class 1 beside dark ones of class 0, and what is found of a network that tells pixels apart."""
    first, second = torch.full((4, 1, 8, 8), 0.9), torch.full((4, 1, 8, 8), 0.3)
    first[3], labels = second[3], (torch.tensor([1, 1, 1, 0]), torch.tensor([0, 0, 0, 0]))
    masks = torch.zeros(4, 1, 8, 8)
    masks[0, ..., :2], masks[1, ..., :6] = 1, 1
    masks[2] = 1  # one part only
    found = measure_mixed(Detector(sign), first, second, labels, masks, "halves", "pixels")
    return {each.metric: each.estimate for each in found}, {each.label for each in found}


def test_the_share_on_the_part_of_a_network_that_tells_pixels_apart():
    found, labels = mixed_by_halves()
    share = found["attribution_on_part"]
    assert share.n == 2 and labels == {"halves"}, "a pair of one label and a mask of one part are left out"

    # the channels are x and x - 0.5, before their ReLU; the mean gradient of each counts the places where its ReLU is open:
    # all for the first, the bright ones for the second, which speaks against class 0 and alone speaks for class 1
    def of_class_0(area):
        weight = -2 * (1 - area)
        bright, dark = 0.9 + weight * 0.4, 0.3 + weight * -0.2
        return area * dark / (area * dark + (1 - area) * bright)

    expected = [(1 + of_class_0(area)) / 2 for area in (0.75, 0.25)]
    assert share.value == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert found["attribution_part_area"].value == 0.5
    assert found["attribution_beyond_area"].value == pytest.approx(share.value - 0.5)
    assert found["attribution_zero_mixed"].value == 0


def test_maps_of_mixed_images_that_are_zero_are_counted():
    found, _ = mixed_by_halves(sign=-1.0)
    assert found["attribution_zero_mixed"].value > 0 and found["attribution_zero_mixed"].n == 4


def test_a_network_that_ignores_the_parts_gets_their_area():
    network = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2, bias=False)
    )
    with torch.no_grad():
        network[0].weight.fill_(1)
        network[3].weight.fill_(1)
    masks = torch.zeros(3, 1, 8, 8)
    masks[..., :3] = 1
    images, labels = torch.full((3, 1, 8, 8), 0.5), torch.zeros(3, dtype=torch.int64)
    found = {
        each.metric: each.estimate.value for each in measure_mixed(network, images, images, (labels, labels + 1), masks)
    }
    assert found["attribution_on_part"] == found["attribution_part_area"] == 0.5
    assert found["attribution_beyond_area"] == 0


def test_masks_without_parts_are_refused():
    images, labels = torch.rand(3, 1, 8, 8), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="masks: expected 0 or 1 at each pixel"):
        measure_mixed(Detector(), images, images, (labels, labels + 1), torch.full((3, 1, 8, 8), 0.5))
    with pytest.raises(ValueError, match="expected the shape of first"):
        measure_mixed(Detector(), images, images[:2], (labels, labels + 1), torch.ones(3, 1, 8, 8))


@pytest.mark.parametrize(
    "name, options, size, layer, positions",
    [
        ("small_cnn", {}, (32, 32), "features", (4, 4)),
        ("small_cnn", {"axes": 1}, (64,), "features", (8,)),
        ("small_cnn", {"axes": 3}, (16, 16, 16), "features", (2, 2, 2)),
        ("preact_resnet18", {"width": 8}, (32, 32), "layer4", (4, 4)),
        ("vgg11_bn", {"hidden": 16}, (32, 32), "features.34", (2, 2)),
        ("torchvision:resnet18", {}, (64, 64), "layer4", (2, 2)),
        ("torchvision:resnet18", {}, (32, 32), "layer3", (2, 2)),
        ("torchvision:mobilenet_v3_small", {}, (64, 64), "features", (2, 2)),
        ("torchvision:squeezenet1_1", {}, (64, 64), "classifier.2", (3, 3)),
    ],
)
def test_the_last_feature_map_is_found(name, options, size, layer, positions):
    model, images = create(name, 5, 3, seed=0, **options), torch.rand(2, 3, *size)
    assert find_layer(model, images) == find_layer(Normalized(model, [0.5] * 3, [0.5] * 3), images) == layer
    maps = grad_cam(model, images, torch.tensor([0, 4]))
    assert maps.shape == (2, *positions)
    assert enlarge(maps, size).shape == (2, *size)


def test_channels_that_stand_last_are_no_positions():
    class Last(nn.Module):
        def forward(self, maps):
            return maps.permute(0, 2, 3, 1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 48, 4, 4), Last())
            self.head = nn.Linear(48, 5)

        def forward(self, images):
            return self.head(self.body(images).mean((1, 2)))

    assert find_layer(Net(), IMAGES) == "body.0"


def test_layers_by_name():
    model = create("small_cnn", 5, seed=0)
    assert find_layer(model, IMAGES, "features.2") == "features.2"
    assert grad_cam(model, IMAGES, LABELS, "features.2").shape == (6, 16, 16)
    for name in ("features.99", "linear", "", "network.features"):
        with pytest.raises(ValueError, match=f"ending with .*'features.*'; got '{name}'"):
            grad_cam(model, IMAGES, LABELS, name)


def test_a_network_without_maps_says_so():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5))
    with pytest.raises(NoFeatureMap, match="expected a network with a convolutional feature map"):
        grad_cam(model, IMAGES, LABELS)


def test_labels_that_are_no_classes_are_refused():
    model = create("small_cnn", 3, seed=0)
    with pytest.raises(ValueError, match=r"labels: expected classes in 0\.\.2, got 0\.\.4"):
        grad_cam(model, IMAGES, LABELS)
    with pytest.raises(TypeError, match="one class an image"):
        grad_cam(model, IMAGES, torch.rand(6, 3))


def test_maps_that_are_no_numbers_are_refused():
    model = create("small_cnn", 5, seed=0)
    with torch.no_grad():
        model.linear.weight[2, 0] = float("nan")
    with pytest.raises(ValueError, match="maps"):
        grad_cam(model, IMAGES, LABELS)


def test_random_weights_are_all_new_and_those_before_training():
    model = create("small_cnn", 5, seed=0)
    for _ in range(3):
        model(IMAGES)  # batch statistics
    state = torch.random.get_rng_state()
    drawn = randomize(model, 3)
    assert torch.equal(state, torch.random.get_rng_state())
    before, after = model.state_dict(), drawn.state_dict()
    for name in ("features.0.weight", "features.1.running_mean", "linear.weight", "linear.bias"):
        assert not torch.equal(before[name], after[name]), name
    assert (after["features.1.running_mean"] == 0).all()
    assert all(
        torch.equal(a, b) for a, b in zip(after.values(), randomize(model, 3).state_dict().values(), strict=True)
    )
    assert not torch.equal(after["linear.weight"], randomize(model, 4).state_dict()["linear.weight"])


def test_weights_of_no_layer_are_put_into_a_random_order():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.arange(64.0).view(8, 8))

    drawn = randomize(Own(), 0).weight
    assert drawn.requires_grad and not torch.equal(drawn, Own().weight)
    assert torch.equal(drawn.flatten().sort().values, torch.arange(64.0))
