"""AutoAugment, Fast AutoAugment and Cutout: what is applied, how often, and that nothing else changes."""

import math
from dataclasses import replace

import pytest
import torch
from torchvision.transforms import functional as reference

from msda_analysis.data import AUGMENTS, find_augment, iterate_batches
from msda_analysis.data.augment import cutout
from msda_analysis.data.policies import _OPERATIONS, _published, apply_operation, auto_augment, fast_auto_augment

CENTER = [0.5, 0.5]


def pictures(n: int = 6, side: int = 32, channels: int = 3) -> torch.Tensor:
    noise = torch.rand(n, channels, side // 4, side // 4, generator=torch.Generator().manual_seed(0))
    return (torch.nn.functional.interpolate(noise, scale_factor=4, mode="bilinear") * 255).to(torch.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_file_is_the_published_one():
    published = _published()
    assert len(published["policies"]) == 493 and {len(pair) for pair in published["policies"]} == {2}
    assert (
        {name for pair in published["policies"] for name, _, _ in pair} == set(published["ranges"]) == set(_OPERATIONS)
    )


@pytest.mark.parametrize("change", [auto_augment, fast_auto_augment])
@pytest.mark.parametrize("channels", [1, 3])
def test_policies_are_functions_of_the_generator(change, channels, quiet_random_state):
    images = pictures(channels=channels)
    before = images.clone()
    first, again, other = change(images, generator(3)), change(images, generator(3)), change(images, generator(4))
    assert torch.equal(first, again) and not torch.equal(first, other) and torch.equal(images, before)
    assert first.shape == images.shape and first.dtype == torch.uint8
    assert (
        len({tuple(image.flatten().tolist()) for image in change(images[:1].expand(12, -1, -1, -1), generator())}) > 4
    )


def test_each_operation_comes_as_often_as_it_is_to(monkeypatch):
    """Over many images: every pair alike, every operation with its probability, signs of geometry both alike."""
    seen = []
    monkeypatch.setattr(
        "msda_analysis.data.policies.apply_operation",
        lambda image, name, value, place: seen.append((name, value)) or image,
    )
    n = 4000
    fast_auto_augment(torch.zeros(n, 3, 2, 2, dtype=torch.uint8), generator())
    pairs = _published()["policies"]
    expected = n / len(pairs) * sum(probability for pair in pairs for _, probability, _ in pair)
    assert len(seen) == pytest.approx(expected, abs=5 * math.sqrt(expected))
    turns = [value for name, value in seen if name == "Rotate"]
    assert 0.4 < sum(value > 0 for value in turns) / len(turns) < 0.6
    assert all(4 <= value <= 8 for name, value in seen if name == "Posterize")
    assert all(-0.45 <= value <= 0.45 for name, value in seen if name == "TranslateX")


def test_operations_are_torchvisions():
    image = pictures()[0]
    expected = {
        ("Rotate", 20.0): reference.rotate(image, 20.0), ("Posterize", 4.9): reference.posterize(image, 4),
        ("Solarize", 100.0): reference.solarize(image, 100.0), ("Contrast", 1.5): reference.adjust_contrast(image, 1.5),
        ("Color", 0.3): reference.adjust_saturation(image, 0.3), ("Brightness", 0.4): reference.adjust_brightness(image, 0.4),
        ("Sharpness", 1.8): reference.adjust_sharpness(image, 1.8), ("Invert", 0.0): reference.invert(image),
        ("Equalize", 0.0): reference.equalize(image), ("AutoContrast", 0.0): reference.autocontrast(image),
    }  # fmt: skip
    for (name, value), changed in expected.items():
        assert torch.equal(apply_operation(image, name, value, CENTER), changed) and not torch.equal(changed, image), (
            name
        )


def test_translations_and_shears_by_hand():
    image = pictures()[0]
    moved = apply_operation(image, "TranslateX", 0.25, CENTER)
    assert torch.equal(moved[..., 8:], image[..., :-8]) and int(moved[..., :8].max()) == 0
    moved = apply_operation(image, "TranslateY", -0.25, CENTER)
    assert torch.equal(moved[:, :-8], image[:, 8:]) and int(moved[:, -8:].max()) == 0
    sheared = apply_operation(image, "ShearX", 0.3, CENTER)
    shifts = [next(s for s in range(-20, 21) if _is_shifted(image[:, row], sheared[:, row], s)) for row in (0, 10, 20)]
    assert shifts[0] == 0 and abs(shifts[1]) == 3 and abs(shifts[2]) == 6


def _is_shifted(row: torch.Tensor, found: torch.Tensor, shift: int) -> bool:
    inside = slice(10, 20)
    return torch.equal(torch.roll(row, shift, 1)[:, inside], found[:, inside])


def test_the_policies_own_cutout_is_a_grey_square():
    found = apply_operation(torch.zeros(3, 20, 20, dtype=torch.uint8), "Cutout", 0.2, CENTER)
    assert set(found.unique().tolist()) == {0, 125} and 16 <= int((found[0] == 125).sum()) <= 25


def test_cutout_sets_a_square_to_the_mean():
    mean, images = (0.1, 0.2, 0.9), torch.full((400, 3, 32, 32), 128, dtype=torch.uint8)
    found = cutout(images, generator(), mean)
    cut = (found != 128).any(1)
    assert torch.equal(
        found.permute(0, 2, 3, 1)[cut], torch.tensor([26, 51, 230], dtype=torch.uint8).expand(int(cut.sum()), 3)
    )
    areas = cut.flatten(1).sum(1)
    assert int(areas.max()) == 256 and int(areas.min()) >= 64  # a center in a corner leaves a quarter
    # the center is uniform: the mean side is 16 less what the border cuts off
    sides = [sum(min(at + 8, 32) - max(at - 8, 0) for at in range(32)) / 32] * 2
    assert float(areas.double().mean()) == pytest.approx(sides[0] * sides[1], rel=0.06)
    floats = cutout(images / 255, generator(), mean)
    assert torch.equal((floats != floats[0, 0, 0, 0]).any(), torch.tensor(True)) and floats.dtype == torch.float32


def test_several_in_their_order(make_dataset):
    dataset = replace(make_dataset(24, channels=3), mean=(0.0,) * 3, std=(1 / 255,) * 3)
    both = [next(iterate_batches(dataset, 24, seed=0, augment=text)).images for text in ("flip+cutout", "cutout+flip")]
    assert not torch.equal(*both)
    assert len(find_augment("fast_autoaugment+crop_flip+cutout")) == 4
    assert {"cutout", "autoaugment", "fast_autoaugment"} <= set(AUGMENTS)
    with pytest.raises(ValueError, match=r"augment: expected one of .*'fast_autoaugment'; got 'rotate'"):
        find_augment("flip+rotate")


@pytest.mark.parametrize("change", [auto_augment, fast_auto_augment])
def test_what_policies_do_not_take(change):
    with pytest.raises(ValueError, match=r"images: policies are for \[n, 1 or 3, height, width\], got \[2, 2, 8, 8\]"):
        change(torch.zeros(2, 2, 8, 8, dtype=torch.uint8), generator())
