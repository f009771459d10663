"""Ordinary augmentation against plain loops, closed forms and torchvision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as reference

from msda_analysis.data.augment import _turn_hue, crop, flip, jitter


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def colours(n=6, channels=3, side=8, seed=1):
    return torch.rand(n, channels, side, side, generator=generator(seed))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(0, 5), st.integers(3, 9), st.integers(3, 9))
def test_crop_equals_a_loop_over_padded_images(seed, padding, height, width):
    images = torch.randint(1, 256, (4, 2, height, width), generator=generator(seed), dtype=torch.uint8)
    shift = torch.randint(2 * padding + 1, (2, 4), generator=generator(seed))
    expected = torch.zeros_like(images)
    for i in range(4):
        for row in range(height):
            for column in range(width):
                y, x = row + int(shift[0, i]) - padding, column + int(shift[1, i]) - padding
                if 0 <= y < height and 0 <= x < width:
                    expected[i, :, row, column] = images[i, :, y, x]
    assert torch.equal(crop(images, generator(seed), padding), expected)


def test_crop_reaches_every_shift_equally_often():
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    n = 20_000
    cropped = crop(image.expand(n, 1, 9, 9), generator(), 2)
    assert torch.equal(cropped.sum(dim=(1, 2, 3)), torch.ones(n))
    counts = cropped.sum(dim=(0, 1))
    error = math.sqrt(n / 25 * 24 / 25)
    assert (counts[2:7, 2:7] - n / 25).abs().max() < 5 * error
    assert counts.sum() == counts[2:7, 2:7].sum()


def test_crop_of_padding_zero_changes_nothing():
    images = colours()
    assert torch.equal(crop(images, generator(), 0), images)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_flip_mirrors_about_half_the_images(dtype):
    n = 20_000
    images = torch.tensor([[1, 2, 3]], dtype=dtype).expand(n, 1, 1, 3)
    flipped = flip(images, generator())
    is_mirrored = (flipped == torch.tensor([3, 2, 1], dtype=dtype)).all(dim=3).flatten()
    is_same = (flipped == images).all(dim=3).flatten()
    assert (is_mirrored ^ is_same).all() and flipped.dtype == dtype
    assert abs(float(is_mirrored.float().mean()) - 0.5) < 5 * 0.5 / math.sqrt(n)


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_of_strength_zero_changes_nothing(channels):
    images = colours(channels=channels)
    torch.testing.assert_close(jitter(images, generator(), 0.0), images, atol=1e-6, rtol=0)


def test_jitter_takes_bytes():
    images = torch.randint(256, (3, 3, 4, 4), generator=generator(), dtype=torch.uint8)
    torch.testing.assert_close(jitter(images, generator(2), 0.1), jitter(images.float() / 255, generator(2), 0.1))
    assert jitter(images, generator(), 0.0).dtype == torch.float32


@pytest.mark.parametrize("strength", [0.05, 0.5])
def test_jitter_keeps_grey_grey_and_within_bounds(strength):
    grey = colours(channels=1).expand(6, 3, 8, 8)
    changed = jitter(grey, generator(), strength)
    torch.testing.assert_close(changed, changed.mean(dim=1, keepdim=True).expand_as(changed), atol=1e-5, rtol=0)
    assert not torch.allclose(changed, grey, atol=1e-3)
    wild = jitter(colours(), generator(), strength)
    assert float(wild.min()) >= 0 and float(wild.max()) <= 1


def test_brightness_alone_has_a_closed_form():
    # a constant grey image: contrast, saturation and hue have nothing to change, brightness multiplies
    images = torch.full((50, 1, 4, 4), 0.5)
    factors = 1 + 0.2 * (2 * torch.rand(4, 50, 1, 1, 1, generator=generator(5)) - 1)
    torch.testing.assert_close(jitter(images, generator(5), 0.2), images * factors[0])
    assert float(factors[0].min()) < 0.85 and float(factors[0].max()) > 1.15


def test_the_first_three_agree_with_torchvision():
    """Brightness, contrast, saturation by torchvision, then our own turn of the hue."""
    images, strength = colours(), 0.3
    draws = 1 + strength * (2 * torch.rand(4, 6, 1, 1, 1, generator=generator(8)) - 1)
    angles = (draws[3].flatten() - 1) * 2 * math.pi
    expected = []
    for image, (brightness, contrast, saturation, _) in zip(images, draws.flatten(1).T.tolist(), strict=True):
        image = reference.adjust_brightness(image, brightness)
        image = reference.adjust_contrast(image, contrast)
        expected.append(reference.adjust_saturation(image, saturation))
    expected = torch.stack(expected)
    found = jitter(images, generator(8), strength)
    # torchvision rounds the luma weights in the fourth digit
    torch.testing.assert_close(found, _turn_hue(expected, angles), atol=1e-3, rtol=0)


def test_hue_turns_red_to_green_to_blue():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    third = torch.tensor([2 * math.pi / 3])
    green = _turn_hue(red, third)
    torch.testing.assert_close(green.flatten(), torch.tensor([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(_turn_hue(green, third).flatten(), torch.tensor([0.0, 0.0, 1.0]), atol=1e-6, rtol=0)


def test_small_hue_turns_agree_with_torchvision_on_muted_colours():
    """Both turn the colour circle; they agree to first order where the colour is nearly grey."""
    grey = torch.tensor([0.52, 0.50, 0.48]).view(3, 1, 1)
    for angle in (-0.02, 0.02):
        expected = reference.adjust_hue(grey, angle)
        found = _turn_hue(grey[None], torch.tensor([angle * 2 * math.pi]))[0]
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
        assert not torch.allclose(expected, grey, atol=1e-3)


@pytest.mark.parametrize("change", [flip, crop, jitter])
def test_inputs_are_left_alone_and_draws_are_explicit(change, quiet_random_state):
    images = colours()
    before = images.clone()
    first, again = change(images, generator(3)), change(images, generator(3))
    assert torch.equal(images, before) and torch.equal(first, again)
    assert not torch.equal(first, change(images, generator(4)))
