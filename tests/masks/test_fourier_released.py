"""The released law replays stored outputs of the released code and has its statistics."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from msda_analysis import FMix, sample_masks
from msda_analysis.masks import fourier
from msda_analysis.rng import stream

REFERENCE = Path(__file__).parents[1] / "reference"
# noise, grey image and masks that the released code made; see the keys "size|decay|what|lam|rounding|softness"
STORED = np.load(REFERENCE / "fmix_released.npz")
GREY_KEYS = [key for key in STORED.files if key.endswith("|grey")]
MASK_KEYS = [key for key in STORED.files if "|mask|" in key]


def sizes_of(key: str) -> tuple[int, ...]:
    return tuple(int(length) for length in key.split("|")[0].split("x"))


def replayed_grey(key: str) -> torch.Tensor:
    size, decay = key.split("|")[:2]
    noise = torch.from_numpy(STORED[f"{size}|{decay}|noise"])
    return fourier.grey_images(noise, sizes_of(key), float(decay), "released")


def test_all_stored_cases_are_replayed():
    assert len(GREY_KEYS) == 3 and len(MASK_KEYS) == 48


@pytest.mark.parametrize("key", GREY_KEYS)
def test_grey_images_replay(key):
    np.testing.assert_allclose(replayed_grey(key).numpy(), STORED[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("key", MASK_KEYS)
def test_masks_replay(key):
    _, _, _, lam, rounding, softness = key.split("|")
    round_up = torch.tensor([rounding == "ceil"])
    masks = fourier.binarize(
        replayed_grey(key), torch.tensor([float(lam)], dtype=torch.float64), float(softness), round_up
    )
    tolerance = 0 if softness == "0.0" else 1e-6
    np.testing.assert_allclose(masks[:, 0].numpy(), STORED[key], rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def released_batch():
    return sample_masks(FMix(spectrum="released"), 20_000, (32, 32), generator=stream(3, "masks"))


def test_transitions_and_lambda_match_the_released_code(released_batch):
    stored = json.loads((REFERENCE / "fmix_released_stats.json").read_text())["32x32"]
    for axis in (1, 2):
        counts = (released_batch.masks[:, 0].diff(dim=axis) != 0).sum((1, 2)).double()
        error = math.hypot(float(counts.std()) / math.sqrt(len(counts)), stored["transitions_se"][axis - 1])
        assert abs(float(counts.mean()) - stored["transitions_mean"][axis - 1]) < 5 * error
    lam_error = stored["lam_std"] / math.sqrt(stored["n"])
    assert abs(float(released_batch.lam.mean()) - stored["lam_mean"]) < 5 * math.sqrt(2) * lam_error


def test_grey_power_per_axis_matches_the_released_code():
    stored = json.loads((REFERENCE / "fmix_released_stats.json").read_text())["32x32"]
    noise = torch.randn(4000, 32, 17, 2, generator=stream(4, "noise"), dtype=torch.float64)
    power = torch.fft.fft2(fourier.grey_images(noise, (32, 32), 3.0, "released")).abs() ** 2
    power[:, 0, 0] = 0  # shares of the power beside the mean
    share = power / power.sum((1, 2), keepdim=True)
    for axis in (1, 2):
        per_bin = share.sum(3 - axis)[:, :6]
        # the reference has its own error from its own 20,000 images
        error = per_bin.std(0) * math.sqrt(1 / 4000 + 1 / stored["n"])
        difference = per_bin.mean(0) - torch.tensor(stored["power_share_axis"][axis - 1], dtype=torch.float64)
        assert bool((difference.abs() < 5 * error + 1e-12).all())


def test_only_the_first_harmonic_remains_along_the_width(released_batch):
    for size in [(16, 16), (9, 12), (5, 4, 7)]:
        noise = torch.randn(
            20, *fourier.noise_shape(size, "released"), generator=stream(0, "noise"), dtype=torch.float64
        )
        bins = torch.fft.rfft(fourier.released_fields(noise, size, 3.0)).abs()
        assert float(bins[..., 2:].max()) < 1e-12 * float(bins.max())
    rows = released_batch.masks[:, 0]
    per_row = (rows != rows.roll(1, dims=2)).sum(2)
    assert int(per_row.max()) == 2  # never more than one circular run


def test_one_dimensional_masks_are_one_circular_run():
    masks = sample_masks(FMix(spectrum="released"), 2000, (64,), generator=stream(5, "masks")).masks[:, 0]
    edges = (masks != masks.roll(1, dims=1)).sum(1)
    assert set(edges.tolist()) <= {0, 2} and 2 in edges.tolist()


def test_counts_round_up_or_down_by_a_fair_coin():
    batch = sample_masks(FMix(spectrum="released"), 4000, (7, 7), generator=stream(6, "masks"))
    wanted = batch.drawn_lam.double() * 49
    kept = batch.masks.sum((1, 2, 3)).double()
    assert bool(((kept - wanted).abs() < 1 + 1e-4).all())
    up = (kept > wanted).double()
    assert abs(float(up.mean()) - 0.5) < 5 * 0.5 / math.sqrt(4000)


@pytest.mark.parametrize("size", [(1,), (2,), (3,), (1, 5), (5, 1), (2, 3), (3, 2), (1, 1, 1), (2, 1, 3)], ids=str)
def test_tiny_sizes_agree_with_the_padded_inverse_fft(size):
    """The low-rank form equals the plain transform of two bins, Nyquist and single-bin cases included."""
    noise = torch.randn(5, *fourier.noise_shape(size, "released"), generator=stream(7, "noise"), dtype=torch.float64)
    scale = fourier.released_scale(size, 3.0)
    rows = (noise[:, :2] * scale).numpy()
    spectrum = rows[:, 0] + (1j * rows[:, 1] if rows.shape[1] > 1 else 0)
    axes = tuple(range(-len(size), 0))
    expected = np.fft.irfftn(spectrum, s=size, axes=axes)
    found = fourier.released_fields(noise, size, 3.0).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * max(1.0, np.abs(expected).max()))
