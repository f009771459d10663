"""Spectra, correlations and coverage against closed forms, NumPy and scipy."""

import math

import numpy as np
import pytest
import torch

from msda_analysis import CutMix, FMix, MixUp, sample_masks
from msda_analysis.mask_stats import (
    anisotropies,
    axis_power,
    axis_power_ratio,
    fit_slope,
    line_power,
    measure_coverage,
    power_spectra,
    pure_axis_power,
    radial_power,
)
from msda_analysis.masks.fourier import isotropic_fields, noise_shape
from msda_analysis.rng import stream


def white_noise(n=400, size=(16, 16), seed=0):
    return torch.randn(n, *size, generator=stream(seed, "white"), dtype=torch.float64)


def stripes(size=(32, 32), *, axis=0, cycles=4):
    wave = torch.cos(2 * math.pi * cycles * torch.arange(size[axis], dtype=torch.float64) / size[axis])
    return (wave[:, None] if axis == 0 else wave[None, :]).expand(*size)[None]


class TestPower:
    @pytest.mark.parametrize("size", [(16,), (15,), (12, 16), (9, 7), (6, 5, 8)])
    def test_all_bins_add_up_to_the_variance(self, size):
        fields = white_noise(5, size)
        power = power_spectra(fields).flatten(1).sum(1)
        assert torch.allclose(power, fields.flatten(1).var(1, correction=0))

    def test_radial_power_equals_averaging_numpys_bins_ring_by_ring(self):
        fields = white_noise(3, (12, 15))
        frequency, power = radial_power(fields)
        reference = np.abs(np.fft.fft2(fields.numpy())) ** 2 / fields[0].numel() ** 2
        grid = np.hypot(np.fft.fftfreq(12)[:, None], np.fft.fftfreq(15)[None, :])
        for i, f in enumerate(frequency.tolist()):
            ring = (grid * 15 > i + 0.5 + 1e-6) & (grid * 15 < i + 1.5 + 1e-6)  # ties go down
            assert f == pytest.approx((i + 1) / 15)
            assert np.allclose(power[:, i].numpy(), reference[:, ring].mean(1))

    def test_white_noise_is_flat(self):
        n, size = 2000, (16, 16)
        frequency, power = radial_power(white_noise(n, size))
        mean, error = power.mean(0), power.std(0) / n**0.5
        assert ((mean - 1 / 256).abs() < 4.5 * error).all()
        assert fit_slope(frequency, mean).item() == pytest.approx(0.0, abs=0.02)

    def test_a_stripe_has_all_its_power_in_one_bin(self):
        for axis in (0, 1):
            field = stripes(axis=axis)
            share, other = axis_power(field, axis), axis_power(field, 1 - axis)
            assert share[0, 4].item() == pytest.approx(1.0)
            assert other[0, 0].item() == pytest.approx(1.0)
            assert anisotropies(field).item() == pytest.approx(1.0 if axis == 0 else -1.0)
        frequency, power = radial_power(stripes())
        assert frequency[int(power[0].argmax())].item() == pytest.approx(4 / 32)

    def test_axis_power_sums_the_full_spectrum_over_the_other_axis(self):
        fields = white_noise(4, (10, 7))
        full = power_spectra(fields)
        for axis, length in ((0, 10), (1, 7)):
            by_bin = full.sum(2 - axis)
            folded = by_bin[:, : length // 2 + 1].clone()
            for k in range(1, (length - 1) // 2 + 1):
                folded[:, k] += by_bin[:, length - k]
            assert torch.allclose(axis_power(fields, axis), folded / folded.sum(1, keepdim=True))

    def test_pure_axis_power_sums_the_bins_on_the_axes(self):
        fields = white_noise(4, (10, 7))
        full = power_spectra(fields)
        expected = torch.stack([full[:, 1:, 0].sum(1), full[:, 0, 1:].sum(1)], 1)
        assert torch.allclose(pure_axis_power(fields), expected)

    @pytest.mark.parametrize("size", [(10, 7), (5, 8, 6)])
    def test_line_power_is_that_of_the_bins_on_an_axis(self, size):
        fields = white_noise(4, size)
        full = power_spectra(fields)
        for axis, length in enumerate(size):
            frequency, power = line_power(fields, axis)
            on_axis = full.movedim(axis + 1, 1).reshape(4, length, -1)[:, :, 0]
            assert torch.allclose(power, on_axis[:, 1 : length // 2 + 1])
            assert torch.allclose(frequency, torch.arange(1, length // 2 + 1).double() / length)

    def test_the_slope_of_a_power_law_is_its_exponent(self):
        frequency = torch.linspace(0.05, 0.5, 10)
        assert fit_slope(frequency, 3 * frequency**-2.5).item() == pytest.approx(-2.5, abs=1e-5)
        noisy = torch.exp(torch.randn(10, generator=stream(2, "slope")).double())
        reference = np.polyfit(np.log(frequency.numpy()), np.log(noisy.numpy()), 1)[0]
        assert fit_slope(frequency, noisy).item() == pytest.approx(reference, abs=1e-6)

    @pytest.mark.parametrize("decay", [1.5, 3.0])
    def test_isotropic_grey_images_fall_off_with_twice_the_decay(self, decay):
        noise = torch.randn(400, *noise_shape((64, 64), "isotropic"), generator=stream(0, "grey"), dtype=torch.float64)
        frequency, power = radial_power(isotropic_fields(noise, (64, 64), decay))
        # ring averages mix frequencies half a bin apart, which matters for the lowest rings
        assert fit_slope(frequency[4:], power.mean(0)[4:]).item() == pytest.approx(-2 * decay, rel=0.03)

    def test_constant_masks_have_no_spectrum(self):
        flat = torch.full((2, 8, 8), 0.3)
        assert fit_slope(*radial_power(flat)).isnan().all()
        assert anisotropies(flat).isnan().all()
        assert axis_power(flat, 0).isnan().all()

    def test_the_released_law_has_more_power_along_the_width(self):
        isotropic = sample_masks(FMix(), 1500, (32, 32), generator=stream(0, "ratio")).masks
        released = sample_masks(FMix(spectrum="released"), 1500, (32, 32), generator=stream(0, "ratio")).masks
        fair, slipped = axis_power_ratio(isotropic), axis_power_ratio(released)
        assert fair.low is not None and fair.high is not None and slipped.low is not None
        assert fair.low - 0.1 < 1 < fair.high + 0.1
        assert slipped.low > 2
        assert anisotropies(released).nanmean() < -0.3

    def test_the_ratio_needs_two_axes(self):
        with pytest.raises(ValueError, match="masks: expected two or three axes to compare"):
            axis_power_ratio(torch.zeros(4, 16))

    def test_one_mask_gives_a_ratio_without_interval(self):
        assert axis_power_ratio(white_noise(1)).low is None


class TestCoverage:
    def test_clipped_boxes_spare_the_corners_and_rank_masks_spare_none(self):
        boxes = measure_coverage(sample_masks(CutMix(), 3000, (16, 16), generator=stream(0, "cover")).masks)
        fields = measure_coverage(sample_masks(FMix(), 3000, (16, 16), generator=stream(0, "cover")).masks)
        assert boxes.map[0, 0] > boxes.map[8, 8]
        assert boxes.largest_z > 10
        assert fields.largest_z < 5
        assert boxes.mean_square > 10 * abs(fields.mean_square)

    def test_constant_masks_deviate_nowhere(self):
        coverage = measure_coverage(sample_masks(MixUp(), 10, (4, 4), generator=stream(0, "cover")).masks)
        assert coverage.largest < 1e-12
        assert coverage.largest_z == 0

    def test_one_mask_is_refused(self):
        with pytest.raises(ValueError, match="masks: expected at least 2 masks"):
            measure_coverage(torch.zeros(1, 4, 4))
