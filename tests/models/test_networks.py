"""What single networks promise: WRN's pooling, ShakeDrop's law, VGG's taps, the small network's accuracy."""

import pytest
import torch
from torch.nn import functional as F

from msda_analysis import models
from msda_analysis.models.pyramidnet import PyramidBlock, ShakeDrop
from msda_analysis.models.vgg import TAPS
from msda_analysis.rng import stream


@torch.inference_mode()
def test_wide_resnet_ignores_the_last_row_and_column_of_a_32_pixel_map():
    fixed = models.create("wide_resnet28_10", seed=0, widen=1).eval()
    whole = models.create("wide_resnet28_10", seed=0, widen=1, pool="global").eval()
    images = torch.rand(2, 3, 32, 32, generator=stream(0, "images"))
    assert not torch.allclose(fixed(images), whole(images))
    small = images[..., :28, :28]
    torch.testing.assert_close(fixed(small), whole(small))


@pytest.mark.parametrize("size", [(24, 28), (28, 33), (64, 64)])
def test_wide_resnet_refuses_sizes_that_break_the_fixed_pooling(size):
    model = models.create("wide_resnet28_10", widen=1)
    with pytest.raises(ValueError, match=r'expected 25 to 32 pixels on each side, got \[\d+, \d+\].*pool="global"'):
        model(torch.rand(1, 3, *size))


@pytest.mark.parametrize(("side", "map_side"), [(25, 7), (28, 7), (29, 8), (32, 8)])
@torch.inference_mode()
def test_the_accepted_sizes_end_in_maps_of_seven_or_eight(side, map_side):
    model = models.create("wide_resnet28_10", widen=1).eval()
    features = model.block3(model.block2(model.block1(model.conv1(torch.rand(1, 3, side, side)))))
    assert features.shape[2:] == (map_side, map_side)


@torch.inference_mode()
def test_wide_resnet_with_global_pooling_takes_other_sizes():
    model = models.create("wide_resnet28_10", widen=1, pool="global").eval()
    assert model(torch.rand(1, 3, 40, 24)).shape == (1, 10)


def test_shake_drop_in_evaluation_is_the_expectation():
    x = torch.rand(3, 2, 4, 4)
    torch.testing.assert_close(ShakeDrop(0.25).eval()(x), 0.75 * x)


def draw_shake_drop(p_drop, n_draws, n_images=4):
    """Forward and backward factors per draw and image, [draw, image]."""
    layer, forward, backward = ShakeDrop(p_drop).train(), [], []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        for _ in range(n_draws):
            x = torch.ones(n_images, 2, 3, 3, requires_grad=True)
            out = layer(x)
            out.backward(torch.ones_like(out))
            # one factor per image, shared by its channels and pixels
            assert torch.equal(out.detach(), out.detach()[:, :1, :1, :1].expand_as(out))
            assert torch.equal(x.grad, x.grad[:, :1, :1, :1].expand_as(x))
            forward.append(out.detach()[:, 0, 0, 0])
            backward.append(x.grad[:, 0, 0, 0])
    return torch.stack(forward), torch.stack(backward)


def test_shake_drop_gates_whole_batches_with_its_probability():
    n = 2000
    forward, backward = draw_shake_drop(0.3, n)
    is_hit = (forward != 1).any(dim=1)
    assert torch.equal(is_hit, (forward != 1).all(dim=1))  # all images of a batch or none
    assert torch.equal(is_hit, (backward != 1).all(dim=1))
    assert abs(is_hit.float().mean().item() - 0.3) < 5 * (0.3 * 0.7 / n) ** 0.5


def test_shake_drop_scales_by_independent_uniform_factors():
    forward, backward = (factors.flatten().double() for factors in draw_shake_drop(1.0, 1000))
    n = len(forward)
    assert forward.min() >= -1
    assert forward.max() <= 1
    assert backward.min() >= 0
    assert backward.max() <= 1
    assert abs(forward.mean().item()) < 5 * (1 / 3 / n) ** 0.5
    assert abs(forward.var().item() - 1 / 3) < 5 * (4 / 45 / n) ** 0.5  # variance of U(-1, 1)**2 is 4/45
    assert abs(backward.mean().item() - 0.5) < 5 * (1 / 12 / n) ** 0.5
    correlation = torch.corrcoef(torch.stack([forward, backward]))[0, 1].item()
    assert abs(correlation) < 5 / n**0.5


def test_shake_drop_without_hits_changes_nothing():
    forward, backward = draw_shake_drop(0.0, 5)
    assert torch.equal(forward, torch.ones_like(forward))
    assert torch.equal(backward, torch.ones_like(backward))


def test_shake_drop_names_a_bad_probability():
    with pytest.raises(ValueError, match=r"p_drop: expected a number in \[0, 1\], got 1.5"):
        ShakeDrop(1.5)


def test_pyramidnet_drops_more_and_more():
    with torch.device("meta"):
        model = models.create("pyramidnet272")
    chances = [module.p_drop for module in model.modules() if isinstance(module, ShakeDrop)]
    assert len(chances) == 90
    torch.testing.assert_close(torch.tensor(chances), torch.arange(1, 91) / 90 / 2)


@torch.inference_mode()
def test_a_pyramid_block_pads_its_pooled_shortcut_with_zero_channels():
    block = PyramidBlock(3, 2, stride=2, p_drop=1.0).eval()  # in evaluation the residual branch is scaled by zero
    x = torch.rand(2, 3, 5, 6)
    out = block(x)
    torch.testing.assert_close(out[:, :3], F.avg_pool2d(x, 2, ceil_mode=True))
    assert torch.equal(out[:, 3:], torch.zeros(2, 5, 3, 3))


def test_pyramidnet_trains_through_shake_drop():
    model = models.create("pyramidnet272", seed=0, depth=29, alpha=8).train()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        F.cross_entropy(model(torch.rand(4, 3, 32, 32)), torch.arange(4)).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@torch.inference_mode()
def test_vgg_taps_have_the_published_shapes():
    model = models.create("vgg11_bn", seed=0, hidden=16).eval()
    images = torch.rand(2, 3, 32, 32, generator=stream(0, "images"))
    taps = model.taps(images)
    expected = {"f1": (64, 16, 16), "f2": (128, 8, 8), "f3": (256, 8, 8), "f4": (256, 4, 4), "f5": (512, 4, 4)}
    expected |= {"f6": (512, 2, 2), "f7": (512, 2, 2), "f8": (512, 1, 1), "c1": (16,), "c2": (16,)}
    assert {name: tuple(tap.shape[1:]) for name, tap in taps.items()} == expected
    assert tuple(taps) == TAPS
    assert all(tap.min() >= 0 for tap in taps.values())  # after ReLU
    torch.testing.assert_close(model.classifier[-1](taps["c2"]), model(images))


@torch.inference_mode()
def test_vgg_equals_torchvision_with_the_same_weights():
    from torchvision.models import vgg11_bn

    ours = models.create("vgg11_bn", seed=0, hidden=16).eval()
    with torch.device("meta"):
        theirs = vgg11_bn(weights=None, num_classes=10).eval()
    state = dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    for i in (0, 3, 6):  # their hidden layers are wider
        theirs.classifier[i] = torch.nn.Linear(*reversed(state[f"classifier.{i}.weight"].shape), device="meta")
    theirs.load_state_dict(state, assign=True)
    images = torch.rand(2, 3, 32, 32, generator=stream(0, "images"))
    torch.testing.assert_close(ours(images), theirs(images))


def load_digit_images():
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = F.interpolate(torch.tensor(digits.images[:, None] / 16).float(), size=(32, 32), mode="bilinear")
    return images, torch.tensor(digits.target)


def fit_small_cnn(images, labels, *, epochs, mixes, batch_size=64):
    """Plain or MixUp training with a falling learning rate."""
    model = models.create("small_cnn", in_channels=1, seed=0)
    generator = stream(0, "training")
    n_steps = epochs * (len(images) // batch_size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=n_steps)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)[: len(images) // batch_size * batch_size]
        for rows in order.view(-1, batch_size):
            lam = torch.rand(batch_size, generator=generator) if mixes else torch.ones(batch_size)
            others = rows[torch.randperm(batch_size, generator=generator)]
            weight = lam[:, None, None, None]
            logits = model(weight * images[rows] + (1 - weight) * images[others])
            losses = [F.cross_entropy(logits, labels[chosen], reduction="none") for chosen in (rows, others)]
            optimizer.zero_grad()
            (lam * losses[0] + (1 - lam) * losses[1]).mean().backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@pytest.mark.parametrize("mixes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_small_cnn_learns_the_digits(mixes):
    images, labels = load_digit_images()
    images = (images - images[:1500].mean()) / images[:1500].std()
    model = fit_small_cnn(images[:1500], labels[:1500], epochs=10 if mixes else 5, mixes=mixes)
    with torch.inference_mode():
        accuracy = (model(images[1500:]).argmax(dim=1) == labels[1500:]).float().mean().item()
    assert accuracy > 0.95


def test_small_cnn_is_small():
    model = models.create("small_cnn")
    assert sum(parameter.numel() for parameter in model.parameters()) == 133_290
