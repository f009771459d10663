"""Cases of test_fourier_parity.py, collected by it: with TRITON_INTERPRET=1 on a CPU, compiled on CUDA."""

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from msda_analysis import CutMix, FMix, MixUp, sample_masks
from msda_analysis.masks import blend_triton, draws_triton, fourier, fourier_triton
from msda_analysis.rng import philox_normals, philox_uniforms, philox_words, stream

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
KEY = 0x5DEECE66D1234567
SMALL = [(1,), (7,), (1, 1), (1, 9), (31, 33), (12, 7), (2, 3)]
LARGE = [(70,), (9, 67), (3, 4, 5)]
#: The interpreter takes a millisecond a program: there sizes are such that each block size has whole blocks, a part of one, or
#: both, and no more; compiled, they are larger too.
IS_COMPILED = DEVICE.type == "cuda"
PLANE = (31, 33) if IS_COMPILED else (9, 11)
SPECTRA = ["isotropic", "released"]


@pytest.fixture(autouse=True)
def poisoned_outputs(monkeypatch):
    """New memory holds NaN, so that an unwritten cell shows."""
    empty, empty_like = torch.empty, torch.empty_like

    def poison(tensor):
        return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: poison(empty(*args, **kwargs)))
    monkeypatch.setattr(torch, "empty_like", lambda *args, **kwargs: poison(empty_like(*args, **kwargs)))


@triton.jit
def words_kernel(out, key, BLOCK: tl.constexpr):
    group = tl.arange(0, BLOCK)
    zero = group * 0
    words = tl.philox(key, group, zero + tl.program_id(0), zero, zero)
    for lane in tl.static_range(4):
        tl.store(out + tl.program_id(0) * BLOCK * 4 + group * 4 + lane, words[lane].to(tl.int64))


def test_random_words_agree_bit_for_bit():
    words = torch.full((3, 256), -1, device=DEVICE)
    words_kernel[(3,)](words, KEY, BLOCK=64)
    assert torch.equal(words, philox_words(KEY, 3, 256, DEVICE))


@pytest.mark.parametrize(("n", "count"), [(1, 1), (300, 1), (5, 3), (3, 70)])
def test_uniforms_agree_bit_for_bit_for_any_block(n, count):
    expected = philox_uniforms(KEY, n, count, DEVICE)
    for key, block in ((KEY, 16), (KEY, 256), (torch.tensor(KEY, device=DEVICE), 64)):
        assert torch.equal(draws_triton.philox_uniforms(key, n, count, DEVICE, block=block), expected)


@pytest.mark.parametrize("count", [1, 7, 100, 1024 if IS_COMPILED else 128])
def test_normals_agree_for_any_block(count):
    expected = philox_normals(KEY, 3, count, DEVICE)
    for block in (16, 64, 128, 1024):
        found = fourier_triton.philox_normals(KEY, 3, count, DEVICE, block=block)
        # logarithm, sine and cosine come from other libraries: last-bit differences, times a radius of up to 6
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("size", SMALL + LARGE, ids=str)
def test_fields_agree(size, spectrum):
    family = FMix(spectrum=spectrum)
    expected = fourier.draw_fields(family, 3, size=size, key=KEY, device=DEVICE)
    scale = float(expected.abs().max())
    for block in (16, 32, 64):
        found = fourier_triton.draw_fields(family, 3, size=size, key=KEY, device=DEVICE, block=block)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize(("size", "soft"), [*((size, 0.0) for size in SMALL + LARGE), ((12, 7), 0.2)], ids=str)
def test_masks_agree_but_where_two_cells_are_as_good_as_equal(size, spectrum, soft):
    family = FMix(spectrum=spectrum, max_soft=soft)
    lam = torch.tensor([0.0, 0.31, 0.5, 0.77, 1.0], dtype=torch.float64, device=DEVICE)
    coins = torch.tensor([True, False, True, False, True], device=DEVICE)
    for round_up in (None, coins):
        expected = fourier.sample_masks(family, lam, size=size, key=KEY, round_up=round_up)
        found = fourier_triton.sample_masks(family, lam, size=size, key=KEY, round_up=round_up)
        torch.testing.assert_close(found.sum((1, *range(2, found.ndim))), expected.sum((1, *range(2, found.ndim))))
        fields = fourier.draw_fields(family, 5, size=size, key=KEY, device=DEVICE).flatten(1)
        for field, left, right in zip(fields, found.flatten(1), expected.flatten(1), strict=True):
            differs = left != right
            if bool(differs.any()) and soft == 0:
                spread = float(field[differs].max() - field[differs].min())
                assert spread < 1e-4 * float(field.abs().max())
            if soft > 0:
                assert float((left - right).abs().max()) < 0.5


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("size", [(7,), (31, 33), (70,)], ids=str)
def test_masks_keep_lambda_at_any_decay(size, spectrum):
    lam = torch.tensor([0.0, 0.31, 0.5, 1.0], dtype=torch.float64, device=DEVICE)
    for decay_power in (40.0, 1e300):
        family = FMix(spectrum=spectrum, decay_power=decay_power)
        fields = fourier_triton.draw_fields(family, 4, size=size, key=KEY, device=DEVICE).flatten(1)
        assert bool(fields.isfinite().all()) and bool((fields.std(1) > 0).all())
        kept = fourier_triton.sample_masks(family, lam, size=size, key=KEY).flatten(1).sum(1)
        assert torch.equal(kept.long(), fourier.keep_counts(lam, fields.shape[1]))


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("size", [PLANE, (70,)], ids=str)
def test_the_first_masks_do_not_depend_on_the_batch_nor_on_the_block(size, spectrum):
    family = FMix(spectrum=spectrum)
    lam = torch.linspace(0.1, 0.9, 5, dtype=torch.float64, device=DEVICE)
    many = fourier_triton.sample_masks(family, lam, size=size, key=KEY)
    for k, block in ((1, 16), (3, 32), (5, 64)):
        assert torch.equal(fourier_triton.sample_masks(family, lam[:k], size=size, key=KEY, block=block), many[:k])
    on_device = torch.tensor(KEY, device=DEVICE)
    assert torch.equal(fourier_triton.sample_masks(family, lam, size=size, key=on_device), many)
    other = fourier_triton.sample_masks(family, lam, size=size, key=KEY + 1)
    assert not torch.equal(other, many)
    assert torch.equal(fourier_triton.sample_masks(family, lam, size=size, key=on_device.add_(1)), other)


@pytest.mark.parametrize("n_cells", [1, 7, *((1023, 3000) if IS_COMPILED else (255, 700))])
def test_selection_is_exact_with_ties_and_extremes(n_cells):
    generator = np.random.default_rng(n_cells)
    fields = generator.standard_normal((7, n_cells)).astype(np.float32)
    fields[0] = 0.0
    fields[1] = generator.integers(-2, 3, size=n_cells)
    fields[2] = np.where(generator.random(n_cells) < 0.5, 0.0, -0.0)
    fields[3] *= 1e30
    fields[4] *= 1e-40  # subnormal
    fields = torch.from_numpy(fields).to(DEVICE)
    shares = torch.tensor([0.5, 0.4, 0.3, 0.9, 0.1, 0.0, 1.0], device=DEVICE)
    counts = torch.round(shares * n_cells).to(torch.int64)
    expected = fourier.keep_brightest(fields, counts)
    for block in (64, 256, 4096):
        assert torch.equal(fourier_triton.keep_brightest(fields, counts, block=block), expected)


@pytest.mark.parametrize("size", [(7,), PLANE, (3, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blend_agrees(size, dtype):
    images = torch.rand(4, 3, *size, generator=stream(0, "images"), dtype=dtype).to(DEVICE)
    permutation = torch.tensor([2, 3, 1, 0], device=DEVICE)
    masks = torch.rand(4, 1, *size, generator=stream(0, "masks")).to(DEVICE)
    constant = masks.flatten(1)[:, 0].view(4, 1, *[1] * len(size)).expand_as(masks)
    for mask in (masks, constant, torch.ones_like(masks), masks[:1].expand_as(masks)):
        expected = torch.lerp(images[permutation], images, mask.to(dtype))
        for block in (16, 64, 1024):
            found = blend_triton.blend(images, permutation, mask, block=block)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert torch.equal(blend_triton.blend(images, permutation, torch.ones_like(masks)), images)


@pytest.mark.parametrize("family", [FMix(), FMix(spectrum="released"), FMix(alpha=0.3), CutMix(), MixUp()], ids=repr)
def test_the_door_offers_the_kernels(family):
    draw = {
        backend: sample_masks(family, 6, (8, 9), generator=stream(0, "masks"), device=DEVICE, backend=backend)
        for backend in ("triton", "auto")
    }
    assert draw["triton"].masks.shape == (6, 1, 8, 9)
    torch.testing.assert_close(draw["triton"].lam, draw["triton"].masks.flatten(1).mean(1), rtol=0, atol=1e-6)
    if DEVICE.type == "cuda":
        assert torch.equal(draw["auto"].masks, draw["triton"].masks)
