"""The fast network: its whitening filters, its start, what it is told in errors."""

import pytest
import torch
from torch.nn import functional

from msda_analysis import models
from msda_analysis.models.fast_cnn import whitening_filters
from msda_analysis.rng import stream


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """[40, 3, 12, 12] whose pixels depend on their neighbors, as those of pictures."""
    noise = torch.randn(40, 3, 13, 13, generator=stream(0, "images"))
    smooth = functional.avg_pool2d(noise, 2, stride=1)
    return smooth + 0.5 * smooth.mean(1, keepdim=True)


def test_filters_whiten_the_patches_that_they_were_made_of(images):
    filters = whitening_filters(images, 2)
    found = functional.conv2d(images.double(), filters).transpose(0, 1).flatten(1)
    patches = functional.unfold(images.double(), 2).transpose(1, 2).flatten(0, 1)
    variances = torch.linalg.eigvalsh(patches.T @ patches / len(patches)).flip(0)
    assert variances[0] > 20 * variances[-1], "there was something to whiten"
    torch.testing.assert_close(found @ found.T / found.shape[1], torch.diag(variances / (variances + 5e-4)))


def test_a_first_layer_that_is_not_whitened_is_drawn_and_trained(images):
    model = models.create("fast_cnn(whitened=False)", seed=0)
    before = model.whiten.weight.clone()
    model.prepare(images)
    assert model.whiten.weight.requires_grad and torch.equal(model.whiten.weight, before)


def test_prepare_sets_filters_and_their_negatives_and_nothing_else(images):
    model = models.create("fast_cnn", 5, seed=0, widths=(4, 6, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.prepare(images)
    weight = model.whiten.weight
    assert torch.equal(weight[:12], -weight[12:]) and not weight.requires_grad
    torch.testing.assert_close(weight[:12].double(), whitening_filters(images, 2), rtol=1e-6, atol=1e-6)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"whiten.weight"}


def test_filters_do_not_depend_on_the_signs_that_a_solver_chooses(images, monkeypatch):
    expected, real = whitening_filters(images, 2), torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: (real(matrix)[0], -real(matrix)[1]))
    assert torch.equal(whitening_filters(images, 2), expected)


def test_convolutions_start_as_the_identity_on_what_comes_in():
    blocks = models.create("fast_cnn", seed=0, widths=(30, 40, 40)).blocks
    for block, channels in zip(blocks, (24, 30, 40), strict=True):
        x = torch.randn(2, channels, 6, 6)
        torch.testing.assert_close(block[0](x)[:, :channels], x)
        assert not any(name.endswith("weight") and p.requires_grad for name, p in block[2].named_parameters())


def test_sizes():
    with torch.device("meta"):
        published = models.create("fast_cnn(widths=(64, 256, 256))")
        assert sum(p.numel() for p in models.create("fast_cnn").parameters()) == 498_080
    assert round(sum(p.numel() for p in published.parameters()), -4) == 1_970_000  # "about 2 million" in the paper
    assert models.create("fast_cnn", 7, 1, seed=0).eval()(torch.rand(2, 1, 9, 11)).shape == (2, 7)


@pytest.mark.parametrize("act, words", [
    (lambda: models.create("fast_cnn", widths=(8, 8)), r"widths: expected the channels of three blocks, got \(8, 8\)"),
    (lambda: models.create("fast_cnn", widths=(8, 0, 8)), "widths: expected an integer >= 1, got 0"),
    (lambda: models.create("fast_cnn")(torch.rand(1, 3, 8, 8)), "images: fast_cnn expects .* at least 9 pixels"),
    (lambda: models.create("fast_cnn").prepare(torch.rand(5, 1, 9, 9)), r"images: expected \[n, 3, height, width\]"),
])  # fmt: skip
def test_what_does_not_fit_is_named(act, words):
    with pytest.raises(ValueError, match=words):
        act()
