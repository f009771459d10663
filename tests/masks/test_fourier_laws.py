"""The isotropic law is Re(IFFT(f^-delta Z)): exactly through the covariance, and statistically through real draws."""

import itertools
import math

import numpy as np
import pytest
import torch

from msda_analysis import FMix, sample_masks
from msda_analysis.masks import fourier, fourier_cpu
from msda_analysis.rng import stream

SIZES = [
    (1,),
    (2,),
    (7,),
    (8,),
    (1, 1),
    (1, 6),
    (6, 1),
    (4, 4),
    (5, 5),
    (4, 7),
    (7, 4),
    (5, 6),
    (3, 4, 5),
    (4, 3, 2),
    (2, 5, 4),
]


def decay_grid(size: tuple[int, ...], decay_power: float) -> np.ndarray:
    """Amplitude of every bin of the full grid, written out from the paper's formula."""
    grids = np.meshgrid(*[np.fft.fftfreq(length) for length in size], indexing="ij")
    frequency = np.sqrt(sum(grid**2 for grid in grids))
    return np.maximum(frequency, 1 / max(size)) ** -decay_power


def full_fft_fields(noise: np.ndarray, size: tuple[int, ...], decay_power: float) -> np.ndarray:
    """Independent reference: the whole complex spectrum, an ordinary complex inverse FFT, its real part."""
    spectrum = decay_grid(size, decay_power) * (noise[..., 0] + 1j * noise[..., 1])
    return np.fft.ifftn(spectrum, axes=range(1, len(size) + 1)).real


def covariance_of(fields: np.ndarray) -> np.ndarray:
    """Covariance of a linear map of white noise, given the images of the unit vectors, one per row."""
    flat = np.asarray(fields).reshape(len(fields), -1)
    return flat.T @ flat


def isotropic_covariance(size: tuple[int, ...], decay_power: float) -> np.ndarray:
    shape = fourier.noise_shape(size, "isotropic")
    units = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    return covariance_of(fourier.isotropic_fields(units, size, decay_power).numpy())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("decay_power", [1.5, 3.0])
def test_covariance_is_that_of_the_full_complex_fft(size, decay_power):
    # both fields are linear maps of Gaussian noise with mean zero, so equal covariances mean equal laws
    units = np.eye(2 * math.prod(size)).reshape(-1, *size, 2)
    expected = covariance_of(full_fft_fields(units, size, decay_power))
    found = isotropic_covariance(size, decay_power)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * expected.max())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("decay_power", [1.5, 3.0])
def test_products_of_waves_have_the_same_covariance(size, decay_power):
    expected = isotropic_covariance(size, decay_power)
    units = torch.eye(math.prod(size), dtype=torch.float64).view(-1, *size)
    found = covariance_of(fourier.product_fields(units, size, decay_power).numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * expected.max())


@pytest.mark.parametrize("size", [(12, 12), (9, 70)], ids=str)
def test_power_of_every_bin_of_the_drawn_fields_follows_the_closed_form(size):
    """The fields that sample_masks thresholds, on both sides of the switch from products to the FFT, and by counter."""
    n = 3000
    expected = decay_grid(size, 3.0) ** 2
    error = np.where(is_self_conjugate(size), math.sqrt(2), 1.0) / math.sqrt(n)
    for fields in (
        fourier_cpu.draw_fields(FMix(), n, size, key=5),
        fourier.draw_fields(FMix(), n, size=size, key=5, device=torch.device("cpu")).numpy(),
    ):
        power = np.abs(np.fft.fftn(fields.astype(np.float64), axes=(1, 2))) ** 2
        assert np.abs((power.mean(0) / expected - 1) / error).max() < 5


@pytest.mark.parametrize("size", [(9,), (7, 4), (64, 3), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("decay_power", [10.0, 40.0, 300.0, 1e300])
def test_covariance_keeps_its_form_at_any_decay(size, decay_power):
    """Relative to the largest amplitude, which itself leaves every range of numbers; a field's scale is free."""
    grids = np.meshgrid(*[np.fft.fftfreq(length) for length in size], indexing="ij")
    frequency = np.maximum(np.sqrt(sum(grid**2 for grid in grids)), 1 / max(size))
    amplitude = np.exp(-decay_power * np.log(frequency / frequency.min()))
    units = np.eye(2 * math.prod(size)).reshape(-1, *size, 2)
    spectrum = amplitude * (units[..., 0] + 1j * units[..., 1])
    expected = covariance_of(np.fft.ifftn(spectrum, axes=range(1, len(size) + 1)).real)
    cells = torch.eye(math.prod(size), dtype=torch.float64).view(-1, *size)
    products = covariance_of(fourier.product_fields(cells, size, decay_power).numpy())
    for found in (isotropic_covariance(size, decay_power), products):
        np.testing.assert_allclose(found / found.max(), expected / expected.max(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("decay_power", [25.0, 35.0, 400.0, 1e300])
@pytest.mark.parametrize("size", [(64,), (5,), (64, 64), (32, 32), (16, 16), (70, 9), (4, 16, 5)], ids=str)
@pytest.mark.parametrize("spectrum", ["isotropic", "released"])
def test_masks_keep_lambda_at_any_decay(spectrum, size, decay_power):
    family = FMix(spectrum=spectrum, decay_power=decay_power)
    batch = sample_masks(family, 20, size, generator=stream(0, "masks"))
    torch.testing.assert_close(batch.masks.flatten(1).mean(1), batch.lam, rtol=0, atol=1e-6)
    assert float((batch.lam - batch.drawn_lam).abs().max()) < 1.001 / math.prod(size)
    lam = torch.linspace(0, 1, 7, dtype=torch.float64)
    for fields in (
        torch.from_numpy(fourier_cpu.draw_fields(family, 7, size, key=5)),
        fourier.draw_fields(family, 7, size=size, key=5, device=torch.device("cpu")),
    ):
        assert bool(fields.isfinite().all()) and bool((fields.flatten(1).std(1) > 0).all())
    masks = fourier.sample_masks(family, lam, size=size, key=3)
    torch.testing.assert_close(masks.flatten(1).mean(1), lam.float(), rtol=0, atol=0.5001 / math.prod(size))
    noise = torch.randn(3, *fourier.noise_shape(size, spectrum), generator=stream(0, "noise"))
    grey = fourier.grey_images(noise, size, decay_power, spectrum).flatten(1)
    assert torch.equal(grey.amin(1), torch.zeros(3)) and torch.equal(grey.amax(1), torch.ones(3))


def test_fields_that_are_not_finite_are_refused():
    noise = torch.zeros(3, 8, 5, 2)
    noise[2, 1, 1, 0] = float("nan")
    with pytest.raises(
        ValueError, match=r"fields made from this noise: expected finite values, got \d+ NaN .* \(2, 0, 0\)"
    ):
        fourier.grey_images(noise, (8, 8), 3.0, "isotropic")
    grey = torch.tensor([[0.0, 1.0], [float("inf"), 0.0]])
    with pytest.raises(ValueError, match=r"grey: expected finite values, got 1 NaN or infinite, the first at \(1, 0\)"):
        fourier.binarize(grey, torch.zeros(2))
    for bad in (float("nan"), float("inf")):
        fields = np.array([[0.0, 1.0], [1.0, bad]], np.float32)
        with pytest.raises(
            ValueError, match=r"fields: expected finite values and differences, got a span of .* in row 1"
        ):
            fourier_cpu.keep_brightest(fields, np.array([1, 1]), np.empty_like(fields), fourier_cpu.Workspace())


def test_amplitudes_that_a_dtype_cannot_hold_are_refused():
    with pytest.raises(ValueError, match=r"product_scale\(\(64, 64\), 10.0\) in torch.float16: expected finite values"):
        fourier.table(fourier.product_scale, (64, 64), 10.0, like=torch.empty(0, dtype=torch.float16))


@pytest.mark.parametrize("size", [(4, 4), (5, 5), (4, 4, 4)], ids=str)
def test_law_is_invariant_under_every_permutation_of_equal_axes(size):
    covariance = isotropic_covariance(size, 3.0).reshape(*size, *size)
    n_axes = len(size)
    for order in itertools.permutations(range(n_axes)):
        turned = covariance.transpose(*order, *(axis + n_axes for axis in order))
        np.testing.assert_allclose(turned, covariance, rtol=0, atol=1e-12 * covariance.max())


def test_released_law_is_not_invariant_under_transposition():
    shape = fourier.noise_shape((6, 6), "released")
    units = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    covariance = covariance_of(fourier.released_fields(units, (6, 6), 3.0).numpy()).reshape(6, 6, 6, 6)
    assert np.abs(covariance.transpose(1, 0, 3, 2) - covariance).max() > 0.1 * covariance.max()


def is_self_conjugate(size: tuple[int, ...]) -> np.ndarray:
    """Bins equal to their own mirror image: zero or Nyquist on every axis."""
    grids = np.meshgrid(*[np.arange(length) for length in size], indexing="ij")
    return np.all([(2 * grid) % length == 0 for grid, length in zip(grids, size, strict=True)], axis=0)


@pytest.mark.parametrize("size", [(16,), (15,), (12, 12), (9, 12), (12, 9), (6, 5, 4)], ids=str)
def test_power_of_every_bin_follows_the_closed_form(size):
    n = 4000
    noise = torch.randn(n, *fourier.noise_shape(size, "isotropic"), generator=stream(1, "noise"), dtype=torch.float64)
    fields = fourier.isotropic_fields(noise, size, 3.0).numpy()
    power = np.abs(np.fft.fftn(fields, axes=range(1, len(size) + 1))) ** 2
    ratio = power.mean(0) / decay_grid(size, 3.0) ** 2
    # |bin|^2 is exponential, or chi-squared with one degree of freedom where the bin is real
    standard_error = np.where(is_self_conjugate(size), math.sqrt(2), 1.0) / math.sqrt(n)
    assert np.abs((ratio - 1) / standard_error).max() < 5


def test_masks_have_the_spectrum_of_masks_made_from_the_full_fft():
    n, size = 3000, (12, 16)
    generator = np.random.default_rng(0)
    fields = full_fft_fields(generator.standard_normal((n, *size, 2)), size, 3.0).reshape(n, -1)
    counts = np.round(generator.uniform(size=n) * fields.shape[1]).astype(int)
    ranks = np.argsort(np.argsort(-fields, axis=1), axis=1)
    expected = (ranks < counts[:, None]).reshape(n, *size).astype(float)
    found = sample_masks(FMix(), n, size, generator=stream(2, "masks")).masks[:, 0].double().numpy()
    powers = [np.abs(np.fft.fft2(masks)) ** 2 for masks in (expected, found)]
    error = np.sqrt(sum(power.var(0) / n for power in powers))
    # rounding noise where a bin is always the same
    assert np.abs((powers[0].mean(0) - powers[1].mean(0)) / (error + 1e-12)).max() < 5


@pytest.mark.parametrize("spectrum", ["isotropic", "released"])
@pytest.mark.parametrize("size", [(8,), (5, 6), (3, 4, 5)], ids=str)
def test_grey_images_span_zero_to_one_and_are_pure(spectrum, size):
    noise = torch.randn(6, *fourier.noise_shape(size, spectrum), generator=stream(0, "noise"))
    before = noise.clone()
    grey = fourier.grey_images(noise, size, 3.0, spectrum)
    assert grey.shape == (6, *size) and grey.dtype == noise.dtype
    assert torch.equal(noise, before)
    flat = grey.flatten(1)
    assert torch.equal(flat.amin(1), torch.zeros(6)) and torch.equal(flat.amax(1), torch.ones(6))
    assert torch.equal(grey, fourier.grey_images(noise, size, 3.0, spectrum))


def test_a_constant_image_is_zero_not_nan():
    assert torch.equal(fourier.grey_images(torch.ones(2, 1, 1, 2), (1, 1), 3.0, "isotropic"), torch.zeros(2, 1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spectrum": "pink"}, r"spectrum: expected one of 'isotropic', 'released'; got 'pink'"),
        ({"size": (8, 0)}, r"size \(8, 0\): expected an integer >= 1, got 0"),
        ({"size": (2, 2, 2, 2)}, r"size: expected 1, 2 or 3 lengths"),
        ({"decay_power": 0.0}, r"decay_power: expected a finite number > 0, got 0.0"),
        ({"noise": torch.zeros(3, 8, 8, 2)}, r"noise: expected shape \[n, 8, 5, 2\], got \(3, 8, 8, 2\)"),
    ],
)
def test_grey_images_says_what_is_wrong(change, message):
    request = {"noise": torch.zeros(3, 8, 5, 2), "size": (8, 8), "decay_power": 3.0, "spectrum": "isotropic"}
    with pytest.raises(ValueError, match=message):
        fourier.grey_images(**{**request, **change})


@pytest.mark.parametrize("spectrum", ["isotropic", "released"])
def test_the_pure_part_compiles_as_one_graph(spectrum):
    size = (8, 9)

    def masks_of(noise, lam):
        return fourier.binarize(fourier.grey_images(noise, size, 3.0, spectrum), lam, 0.1)

    noise = torch.randn(4, *fourier.noise_shape(size, spectrum), generator=stream(0, "noise"))
    lam = torch.tensor([0.0, 0.3, 0.6, 1.0])
    compiled = torch.compile(masks_of, backend="eager", fullgraph=True)
    assert torch.equal(compiled(noise, lam), masks_of(noise, lam))
