"""Models by name: options, seeds, sizes, and the normalization in front."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from msda_analysis import models
from msda_analysis.models import Normalized
from msda_analysis.rng import stream

# small settings of every model, so that a forward pass takes a moment
SMALL = {
    "preact_resnet18": {"width": 4},
    "wide_resnet28_10": {"widen": 1},
    "densenet190": {"depth": 10, "growth": 4},
    "pyramidnet272": {"depth": 29, "alpha": 8},
    "vgg11_bn": {"hidden": 16},
    "small_cnn": {},
    "fast_cnn": {"widths": (4, 8, 8)},
    "vae": {"latent": 4},
}


def test_every_name_has_a_small_setting():
    assert tuple(sorted(SMALL)) == tuple(sorted(models.NAMES))


@pytest.mark.parametrize("name", [name for name in models.NAMES if name != "vae"])
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32)])
@torch.inference_mode()
def test_classifiers_give_one_logit_per_class(name, channels, side):
    model = models.create(name, 7, channels, seed=0, **SMALL[name]).eval()
    logits = model(torch.rand(2, channels, side, side, generator=stream(0, "images")))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    assert logits.std(dim=0).max() > 0  # the two images are told apart


@pytest.mark.parametrize("name", models.NAMES)
def test_same_seed_gives_same_weights_and_leaves_torch_alone(name):
    before = torch.get_rng_state()
    first, again = (models.create(name, seed=3, **SMALL[name]).state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    other = models.create(name, seed=4, **SMALL[name]).state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_without_a_seed_torch_decides():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        first, second = models.create("small_cnn"), models.create("small_cnn")
        torch.default_generator.manual_seed(5)
        again = models.create("small_cnn")
    assert torch.equal(first.linear.weight, again.linear.weight)
    assert not torch.equal(first.linear.weight, second.linear.weight)


@pytest.mark.parametrize("name", models.NAMES)
def test_a_model_remembers_how_it_was_made(name):
    with torch.device("meta"):
        model = models.create(name, 5, 1, **SMALL[name])
        twin = models.create(model.name, **model.options)
    assert model.options == {"num_classes": 5, "in_channels": 1, **SMALL[name]}
    shapes = [(key, value.shape) for key, value in model.state_dict().items()]
    assert shapes == [(key, value.shape) for key, value in twin.state_dict().items()]


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(
        ValueError, match=r"model: expected one of 'preact_resnet18', .*'vae', 'torchvision:NAME'.*; got 'resnet18'"
    ):
        models.create("resnet18")


def test_unknown_option_lists_the_valid_ones():
    with pytest.raises(TypeError, match="options: model 'vae' takes image_size, latent, output_std; got depth"):
        models.create("vae", depth=3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("small_cnn", {"num_classes": 0}, "num_classes: expected an integer >= 1, got 0"),
        ("preact_resnet18", {"in_channels": 0}, "in_channels: expected an integer >= 1, got 0"),
        ("wide_resnet28_10", {"pool": "max"}, "pool: expected one of 'fixed7', 'global'; got 'max'"),
        ("wide_resnet28_10", {"widen": 0}, "widen: expected an integer >= 1, got 0"),
        ("densenet190", {"depth": 189}, r"depth: expected 6 k \+ 4, for example 190 or 100, got 189"),
        ("densenet190", {"growth": 0}, "growth: expected an integer >= 1, got 0"),
        ("pyramidnet272", {"depth": 270}, r"depth: expected 9 k \+ 2, for example 272 or 110, got 270"),
        ("pyramidnet272", {"alpha": 0}, "alpha: expected an integer >= 1, got 0"),
        ("vgg11_bn", {"hidden": 0}, "hidden: expected an integer >= 1, got 0"),
        ("vgg11_bn", {"dropout": 2}, r"dropout: expected a number in \[0, 1\], got 2"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        models.create(name, **options)


def test_normalized_subtracts_the_mean_and_divides_by_the_std():
    model = Normalized(torch.nn.Identity(), mean=[0.5, 0.25], std=[0.5, 0.25])
    images = torch.stack([torch.full((2, 2), 1.0), torch.full((2, 2), 0.0)])[None]
    assert torch.equal(model(images)[0, 0], torch.ones(2, 2))
    assert torch.equal(model(images)[0, 1], -torch.ones(2, 2))
    assert list(model.state_dict()) == ["mean", "std"]


def test_normalized_takes_tensors_and_one_channel():
    model = Normalized(torch.nn.Identity(), torch.tensor([0.5]), torch.tensor([0.25]))
    torch.testing.assert_close(model(torch.ones(1, 1, 2, 2)), torch.full((1, 1, 2, 2), 2.0))


def test_normalized_refuses_other_channels():
    with pytest.raises(ValueError, match=r"images: expected \[n, 1, \*size\] to match .*got \[2, 3, 4, 4\]"):
        Normalized(torch.nn.Identity(), [0.5], [0.5])(torch.rand(2, 3, 4, 4))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5, 0.5], [0.5], "mean, std: expected one number per channel in each, got 2 and 1"),
        ([], [], "mean, std: expected one number per channel in each, got 0 and 0"),
        ([0.5], [0.0], "std: expected a finite number > 0, got 0.0"),
        ([float("nan")], [0.5], "mean: expected finite values"),
    ],
)
def test_normalized_names_bad_statistics(mean, std, message):
    with pytest.raises(ValueError, match=message):
        Normalized(torch.nn.Identity(), mean, std)


class DrawRecorder(TorchDispatchMode):
    """Notes the names of all normal draws."""

    def __init__(self):
        super().__init__()
        self.draws = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "normal" in str(func):
            self.draws.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", models.NAMES)
def test_models_without_memory_draw_nothing(name):
    # a normal draw on the meta device would make torch import its compiler, which takes seconds
    with DrawRecorder() as recorder, torch.device("meta"):
        models.create(name, **SMALL[name])
    assert recorder.draws == []


def test_the_recorder_sees_draws():
    with DrawRecorder() as recorder:
        models.create("vae", seed=0)
    assert len(recorder.draws) == 8  # one for each convolution


@pytest.mark.parametrize("name, minimum", [("small_cnn", 7), ("densenet190", 4)])
@torch.inference_mode()
def test_images_that_are_too_small_are_named(name, minimum):
    model = models.create(name, 7, seed=0, **SMALL[name]).eval()
    assert model(torch.rand(2, 3, minimum, minimum, generator=stream(0, "images"))).shape == (2, 7)
    for height, width in ((3, 3), (minimum - 1, 32), (32, minimum - 1)):
        message = rf"images: {name} expects .* at least {minimum} pixels .*got \[2, 3, {height}, {width}\]; enlarge the images"
        with pytest.raises(ValueError, match=message):
            model(torch.zeros(2, 3, height, width))


@pytest.mark.parametrize("wraps", [False, True])
def test_a_classifier_of_other_classes_is_refused(wraps):
    model = models.create("small_cnn", 4, 1, seed=0, width=4)
    model = Normalized(model, [0.5], [0.5]) if wraps else model
    models.check_classes(model, "abcd")
    message = (
        r"a.safetensors: expected a classifier of 10 classes, those of the dataset \(0, 1, 2, ...\); got one of 4; take"
    )
    with pytest.raises(ValueError, match=message):
        models.check_classes(model, "0123456789", "a.safetensors")
    with pytest.raises(ValueError, match=r"model: expected a classifier of 2 classes, .*\(a, b\); got one of 4"):
        models.check_classes(model, "ab")
