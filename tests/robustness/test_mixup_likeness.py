import math

import pytest
import torch
from robustness_cases import make_patterns

from msda_analysis.robustness import TrustSettings, evaluate, measure_likeness, mixup_direction_attack
from msda_analysis.robustness.mixup_likeness import cosine_rows, distance_rows, radial_power

ALL = torch.ones(40, dtype=torch.bool)


@pytest.fixture(scope="module")
def images():
    return make_patterns(40, 3)[0]


def values(rows, attack):
    return {row["metric"]: row["value"] for row in rows if row["attack"] == attack and row["x"] is None}


def test_white_noise_has_the_cosine_of_chance(images):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    rows = {row["metric"]: row for row in cosine_rows(images, noise, list(range(1, 21)), ALL, "noise")}
    expected = math.sqrt(2 / (math.pi * images[0].numel()))
    # the partners of one image share directions, so the standard error is taken from the rows themselves
    assert rows["cosine_mean_abs"]["low"] < expected < rows["cosine_mean_abs"]["high"]
    assert abs(rows["cosine_mean"]["value"]) < 0.02


def test_a_mixup_step_is_recognized_exactly(images):
    step = 0.3 * (images.roll(-7, 0) - images)
    partners = [3, 7, 11]
    cosines = {row["metric"]: row["value"] for row in cosine_rows(images, step, partners, ALL, "mixup")}
    assert cosines["cosine_largest"] == pytest.approx(1.0)
    distances = {row["metric"]: row["value"] for row in distance_rows(images, step, partners, ALL, "mixup")}
    assert distances["distance_to_mixup"] == pytest.approx(0.0, abs=1e-6)
    away = {row["metric"]: row["value"] for row in distance_rows(images, -step, [7], ALL, "away")}
    assert away["distance_to_mixup"] == pytest.approx(1.0)  # the nearest point of the segment is the image itself


def test_a_masked_image_lies_in_the_mask_families_and_not_on_the_segment(images):
    mask = (torch.arange(12) < 6).float().expand(1, 1, 12, 12)
    change = (1 - mask) * (images.roll(-5, 0) - images)
    rows = distance_rows(images, change, [2, 5], ALL, "box", masks=mask)
    found = {row["metric"]: row["value"] for row in rows}
    assert found["distance_to_any_mask"] == pytest.approx(0.0, abs=1e-6)
    assert found["distance_to_sampled_masks"] == pytest.approx(0.0, abs=1e-6)
    assert found["distance_to_mixup"] > 0.3


def test_no_sampled_mask_is_nearer_than_the_bound_of_all_binary_masks(images):
    generator = torch.Generator().manual_seed(2)
    masks = (torch.rand(10, 1, 12, 12, generator=generator) < 0.9).float()
    change = 0.1 * torch.randn(images.shape, generator=generator)
    found = {row["metric"]: row["value"] for row in distance_rows(images, change, [1, 4], ALL, "x", masks=masks)}
    assert found["distance_to_any_mask"] <= min(1.0, found["distance_to_sampled_masks"])


def test_radial_power_puts_a_wave_at_its_frequency():
    columns = torch.arange(16) / 16
    wave = torch.cos(2 * torch.pi * 3 * columns).expand(2, 3, 16, 16)
    shares = radial_power(wave)
    assert torch.allclose(shares.sum(1), torch.ones(2, dtype=torch.float64))
    assert shares[:, 3] == pytest.approx(1.0)


def test_measure_likeness_tells_mixup_steps_from_noise(images):
    generator = torch.Generator().manual_seed(5)
    given = {
        "steps": 0.02 * (images.roll(-9, 0) - images),
        "signs": 0.02 * torch.randn(images.shape, generator=generator).sign(),
    }
    given["signs"][:3] = 0.0  # images that no attack touched
    rows = measure_likeness(images, given, seed=1, partners=38)
    steps, signs, shuffled = (values(rows, name) for name in ("steps", "signs", "steps (shuffled)"))
    assert steps["cosine_largest"] > 0.9 > shuffled["cosine_largest"] > signs["cosine_largest"]
    assert steps["distance_to_mixup"] < 0.5 < signs["distance_to_mixup"]
    assert {row["attack"] for row in rows} >= {"gaussian", "mixup", "signs (shuffled)"}
    assert next(row["n"] for row in rows if row["attack"] == "signs") == 37
    low = {name: sum(row["value"] for row in rows if row["attack"] == name and row["x"] is not None and row["x"] <= 2)
           for name in ("steps", "signs")}  # fmt: skip
    assert low["signs"] == pytest.approx(
        21 / 144, rel=0.1
    )  # white: in proportion to the 21 of 144 frequencies shorter than 2.5
    assert low["steps"] > 2 * low["signs"]
    assert measure_likeness(images, given, seed=1, partners=38) == rows


def test_perturbations_that_are_all_zero_make_no_rows(images):
    rows = measure_likeness(images, {"none": torch.zeros_like(images)}, partners=3)
    assert {row["attack"] for row in rows} == {"gaussian", "mixup"}


@pytest.mark.parametrize("norm, epsilon", [("linf", 0.5), ("l2", 5.0)])
def test_mixup_direction_attack_reaches_its_budget_and_is_reproducible(trained, patterns, norm, epsilon):
    images, labels = patterns
    attack = mixup_direction_attack(images, norm)
    outcomes = [
        evaluate(trained, images, labels, [attack], (0, epsilon), norm, seed=s, trust=TrustSettings(images=0))
        for s in (0, 0, 1)
    ]
    assert torch.equal(outcomes[0].success, outcomes[1].success)
    assert outcomes[0].success[0, 1].sum() > outcomes[0].success[0, 0].sum()
    moved = attack.run(trained, images, labels, epsilon, 0) - images
    size = moved.flatten(1).abs().amax(1) if norm == "linf" else moved.flatten(1).norm(dim=1)
    nonzero = size > 0
    assert torch.allclose(size[nonzero], torch.full_like(size[nonzero], epsilon), rtol=1e-4) and nonzero.sum() > 40
    assert mixup_direction_attack(images.flip(0), norm).settings != attack.settings


def test_errors(images):
    with pytest.raises(ValueError, match=r"perturbations\['x'\]: expected the shape of images"):
        measure_likeness(images, {"x": images[:3]})
    with pytest.raises(ValueError, match="images: expected at least 4 samples"):
        measure_likeness(images[:3], {})
    with pytest.raises(ValueError, match="partners: expected an integer >= 1"):
        measure_likeness(images, {}, partners=0)
    with pytest.raises(ValueError, match="norm: expected one of"):
        mixup_direction_attack(images, "l1")
