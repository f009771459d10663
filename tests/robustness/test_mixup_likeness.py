import math

import pytest
import torch
from robustness_cases import make_patterns
from scipy.stats import t as student

from msda_analysis.estimate import Estimate, over_seeds
from msda_analysis.robustness import TrustSettings, evaluate, measure_likeness, mixup_direction_attack
from msda_analysis.robustness.energy import share_of_step
from msda_analysis.robustness.mixup_likeness import cosine_rows, distance_rows, radial_shares

ALL = torch.ones(40, dtype=torch.bool)


@pytest.fixture(scope="module")
def images():
    return make_patterns(40, 3)[0]


def values(rows, attack, reference=""):
    return {
        row.metric: row.estimate.value
        for row in rows
        if (row.attack, row.reference) == (attack, reference) and row.x is None
    }


def test_white_noise_has_the_cosine_of_chance(images):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    rows = {row.metric: row.estimate for row in cosine_rows(images, noise, list(range(1, 21)), ALL, "noise")}
    expected = math.sqrt(2 / (math.pi * images[0].numel()))
    # the partners of one image share directions, so the standard error is taken from the rows themselves
    assert rows["cosine_mean_abs"].low < expected < rows["cosine_mean_abs"].high
    assert abs(rows["cosine_mean"].value) < 0.02


def test_a_mixup_step_is_recognized_exactly(images):
    step = 0.3 * (images.roll(-7, 0) - images)
    partners = [3, 7, 11]
    cosines = {row.metric: row.estimate.value for row in cosine_rows(images, step, partners, ALL, "mixup")}
    assert cosines["cosine_largest"] == pytest.approx(1.0)
    distances = {row.metric: row.estimate.value for row in distance_rows(images, step, partners, ALL, "mixup")}
    assert distances["distance_to_mixup"] == pytest.approx(0.0, abs=1e-6)
    away = {row.metric: row.estimate.value for row in distance_rows(images, -step, [7], ALL, "away")}
    assert away["distance_to_mixup"] == pytest.approx(1.0)  # the nearest point of the segment is the image itself


def test_a_masked_image_lies_in_the_mask_families_and_not_on_the_segment(images):
    mask = (torch.arange(12) < 6).float().expand(1, 1, 12, 12)
    change = (1 - mask) * (images.roll(-5, 0) - images)
    rows = distance_rows(images, change, [2, 5], ALL, "box", masks=mask)
    found = {row.metric: row.estimate.value for row in rows}
    assert found["distance_to_any_mask"] == pytest.approx(0.0, abs=1e-6)
    assert found["distance_to_sampled_masks"] == pytest.approx(0.0, abs=1e-6)
    assert found["distance_to_mixup"] > 0.3


def test_no_sampled_mask_is_nearer_than_the_bound_of_all_binary_masks(images):
    generator = torch.Generator().manual_seed(2)
    masks = (torch.rand(10, 1, 12, 12, generator=generator) < 0.9).float()
    change = 0.1 * torch.randn(images.shape, generator=generator)
    found = {row.metric: row.estimate.value for row in distance_rows(images, change, [1, 4], ALL, "x", masks=masks)}
    assert found["distance_to_any_mask"] <= min(1.0, found["distance_to_sampled_masks"])


@pytest.mark.parametrize("size", [(16,), (16, 16), (6, 5, 16)], ids=["signal", "image", "volume"])
def test_radial_shares_put_a_wave_at_its_frequency(size):
    columns = torch.arange(16) / 16
    wave = torch.cos(2 * torch.pi * 3 * columns).expand(2, 3, *size)
    shares = radial_shares(wave)
    assert torch.allclose(shares.sum(1), torch.ones(2, dtype=torch.float64))
    assert shares[:, 3] == pytest.approx(1.0)


@pytest.mark.parametrize("size", [(40,), (5, 6, 7)], ids=["signals", "volumes"])
def test_likeness_of_signals_and_volumes(size):
    images = torch.rand(12, 2, *size, generator=torch.Generator().manual_seed(6))
    masks = (torch.rand(5, 1, *size, generator=torch.Generator().manual_seed(7)) < 0.5).float()
    found = measure_likeness(images, {"steps": 0.02 * (images.roll(-5, 0) - images)}, partners=10, masks=masks)
    of_steps = {row.metric: row.estimate.value for row in found if row.attack == "steps" and not row.reference}
    # one image in eleven has its partner in the "mixup" reference, not among those compared with
    assert of_steps["mixup_likeness"] > 0.9 and of_steps["distance_to_mixup"] < 0.2


def test_measure_likeness_tells_mixup_steps_from_noise(images):
    generator = torch.Generator().manual_seed(5)
    given = {
        "steps": 0.02 * (images.roll(-9, 0) - images),
        "signs": 0.02 * torch.randn(images.shape, generator=generator).sign(),
    }
    given["signs"][:3] = 0.0  # images that no attack touched
    rows = measure_likeness(images, given, seed=1, partners=38)
    steps, signs, shuffled = (values(rows, *name) for name in (("steps",), ("signs",), ("steps", "shuffled")))
    assert steps["cosine_largest"] > 0.9 > shuffled["cosine_largest"] > signs["cosine_largest"]
    assert steps["distance_to_mixup"] < 0.5 < signs["distance_to_mixup"]
    names = {(row.attack, row.reference) for row in rows}
    assert names >= {("gaussian", ""), ("mixup", ""), ("signs", ""), ("signs", "shuffled")}
    assert next(row.estimate.n for row in rows if row.attack == "signs") == 37
    low = {name: sum(row.estimate.value for row in rows if (row.attack, row.reference) == (name, "") and row.x is not None and row.x <= 2)
           for name in ("steps", "signs")}  # fmt: skip
    assert low["signs"] == pytest.approx(
        21 / 144, rel=0.1
    )  # white: in proportion to the 21 of 144 frequencies shorter than 2.5
    assert low["steps"] > 2 * low["signs"]
    assert measure_likeness(images, given, seed=1, partners=38) == rows


def test_perturbations_that_are_all_zero_make_no_rows(images):
    rows = measure_likeness(images, {"none": torch.zeros_like(images)}, partners=3)
    names = {(row.attack, row.reference) for row in rows}
    assert names == {("gaussian", ""), ("mixup", ""), ("fade", ""), ("fade", "shuffled")}


def unit(values):
    return values / values.flatten(1).norm(dim=1)[:, None, None, None]


@pytest.fixture(scope="module")
def likeness(images):
    """Likeness by metric and name of an exact step to an image, a tenth of one in noise, and ways to fade."""
    noise = unit(torch.randn(images.shape, generator=torch.Generator().manual_seed(3)))
    step = unit(images.roll(-9, 0) - images)
    given = {
        "step": step, "tenth": 0.1**0.5 * step + 0.9**0.5 * noise, "back": -step, "noise": noise,
        "to its own mean": images.mean((2, 3), keepdim=True) - images, "to gray": 0.5 - images, "to black": -images,
        "brighter": torch.ones_like(images),
    }  # fmt: skip
    rows = measure_likeness(images, given, seed=1, partners=38)
    return {(row.metric, row.attack): row.estimate for row in rows if row.x is None and not row.reference}


def test_fading_scores_as_a_mixup_step_until_it_is_left_out(likeness):
    fade, step = (likeness["energy_share", name].value for name in ("fade", "mixup"))
    assert fade > step, "the reference shows what fading alone reaches"
    for name in ("fade", "to its own mean", "to gray", "to black", "brighter"):
        assert abs(likeness["energy_share_beyond_fading", name].value) < 1e-9
        assert likeness["mixup_likeness_beyond_fading", name].value < 0.05


def test_a_step_is_likened_by_its_share_of_the_energy(likeness):
    found = {name: likeness["mixup_likeness_beyond_fading", name] for name in ("step", "tenth", "noise")}
    assert found["step"].low < 1 < found["step"].high + 0.05
    assert found["tenth"].value == pytest.approx(0.1, abs=0.05)
    assert found["noise"].value == pytest.approx(0.0, abs=0.02)
    assert likeness["energy_share", "step"].value > 0.9 > 0.2 > likeness["energy_share", "tenth"].value > 0.05
    assert likeness["energy_share", "back"].value < 0.3, "away from the other image is not towards it"


def test_the_mixup_reference_leads_to_no_partner(images, likeness):
    """A step to a partner has all its energy along that partner; one elsewhere has not."""
    assert likeness["energy_share", "mixup"].value < 0.75 < 0.9 < likeness["energy_share", "step"].value


def test_the_order_of_the_images_does_not_matter():
    """In a sorted set the neighbor is of the same class; the reference must be any other image."""
    images, labels = make_patterns(60, 3)
    order = labels.argsort()
    images = images[order]
    patterns = images.flatten(1) - images.flatten(1).mean(0)
    same = torch.nn.functional.cosine_similarity(patterns, patterns.roll(1, 0))
    assert same.mean() > 0.15, "neighbors are alike"
    classwise = torch.stack([images[labels[order] == label].mean(0) for label in range(5)])[labels[order]]
    rows = measure_likeness(images, {"own class": classwise - images.mean(0)}, seed=0, partners=30)
    share = {
        row.reference: row.estimate.value for row in rows if (row.metric, row.attack) == ("cosine_mean", "own class")
    }
    assert share["shuffled"] > share[""] + 0.1, "handed to other classes it fits no longer"


def test_likeness_has_the_interval_of_a_ratio_over_images():
    """The linearized interval covers the true ratio in about 95 of 100 draws of 200 images."""
    generator, hits = torch.Generator().manual_seed(0), 0
    for _ in range(400):
        draws = torch.randn(3, 200, generator=generator, dtype=torch.float64)
        step, chance = 0.6 + 0.1 * draws[0], 0.1 + 0.03 * draws[1]
        found = chance + 0.3 * (step - chance) + 0.2 * draws[2]
        estimate = share_of_step(found, chance, step)
        hits += estimate.low <= 0.3 <= estimate.high
    assert 0.92 <= hits / 400 <= 0.98


def test_seeds_add_their_variance_to_that_of_the_images():
    half = 1.984217  # Student's 97.5 % point with 99 degrees of freedom: a standard error of 1
    runs = [Estimate(value, "share", value - half, value + half, 100) for value in (1.0, 4.0, 7.0)]
    pooled = over_seeds(runs)
    variance = 1.0 + 9.0 / 3
    degrees = variance**2 / (1 / 99 + 9 / 2)
    assert pooled.value == pytest.approx(4.0) and pooled.n == 100
    assert pooled.high - 4.0 == pytest.approx(float(student.ppf(0.975, degrees)) * 2.0, rel=1e-4)
    alone = over_seeds(runs[:1])
    assert (alone.low, alone.high) == pytest.approx((1 - half, 1 + half), rel=1e-4)
    with pytest.raises(ValueError, match="estimates: expected at least one, each with an interval"):
        over_seeds([Estimate(1.0, "share")])


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
