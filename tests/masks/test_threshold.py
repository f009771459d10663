"""The rank threshold keeps exactly the right cells, ties by index."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from msda_analysis.masks import fourier_cpu
from msda_analysis.masks.fourier import binarize, keep_brightest, keep_counts

FEW = settings(deadline=None, max_examples=60)


def brightest_by_sorting(fields: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Plain definition: sort by value, then by index."""
    masks = torch.zeros_like(fields)
    for row, count in enumerate(counts.tolist()):
        order = sorted(range(fields.shape[1]), key=lambda cell: (-float(fields[row, cell]), cell))
        masks[row, order[:count]] = 1.0
    return masks


@st.composite
def fields_with_ties(draw):
    n, cells = draw(st.integers(1, 5)), draw(st.integers(1, 40))
    levels = draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**31))
    generator = np.random.default_rng(seed)
    fields = generator.integers(-levels, levels + 1, size=(n, cells)).astype(np.float32)
    fields[generator.random((n, cells)) < 0.1] *= -0.0  # both zeros count as equal
    counts = generator.integers(0, cells + 1, size=n)
    counts[0] = draw(st.sampled_from([0, cells, int(counts[0])]))
    return torch.from_numpy(fields), torch.from_numpy(counts)


def keep_by_bytes(fields: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    masks = torch.full_like(fields, float("nan"))
    fourier_cpu.keep_brightest(fields.numpy(), counts.numpy(), masks.numpy(), fourier_cpu.Workspace())
    return masks


@pytest.mark.parametrize("keep", [keep_brightest, keep_by_bytes])
@FEW
@given(case=fields_with_ties())
def test_keep_brightest_is_exact_with_ties(keep, case):
    fields, counts = case
    before = fields.clone()
    masks = keep(fields, counts)
    assert torch.equal(masks, brightest_by_sorting(fields, counts))
    assert torch.equal(fields, before)


@FEW
@given(fields_with_ties(), st.data())
def test_binarize_keeps_the_rounded_count_with_ties(case, data):
    fields, _ = case
    lam = torch.tensor(
        data.draw(st.lists(st.floats(0, 1), min_size=len(fields), max_size=len(fields))), dtype=torch.float64
    )
    n_cells = fields.shape[1]
    for round_up, expected in [
        (None, torch.round(lam * n_cells)),
        (torch.ones(len(lam), dtype=torch.bool), torch.ceil(lam * n_cells)),
        (torch.zeros(len(lam), dtype=torch.bool), torch.floor(lam * n_cells)),
    ]:
        masks = binarize(fields, lam, 0.0, round_up)
        assert torch.equal(masks.sum((1, 2)).double(), expected)
        assert torch.equal(masks[:, 0], brightest_by_sorting(fields, keep_counts(lam, n_cells, round_up)))


@pytest.mark.parametrize("n_cells", [1, 7, 1024, 5000])
def test_keep_brightest_agrees_with_binarize_on_real_values(n_cells):
    fields = torch.from_numpy(np.random.default_rng(0).standard_normal((9, n_cells)).astype(np.float32))
    lam = torch.linspace(0, 1, 9, dtype=torch.float64)
    for keep in (keep_brightest, keep_by_bytes):
        assert torch.equal(keep(fields, keep_counts(lam, n_cells)), binarize(fields, lam)[:, 0])


@pytest.mark.parametrize("n_cells", [1, 7, 1023, 3000])
def test_bytes_find_the_same_cells_at_any_scale(n_cells):
    generator = np.random.default_rng(n_cells)
    fields = generator.standard_normal((8, n_cells)).astype(np.float32)
    fields[0] = 0.5  # flat: all cells share a byte
    fields[1] = np.where(generator.random(n_cells) < 0.5, 0.0, -0.0)
    fields[2] = 1 + fields[2] * np.float32(2e-7)  # a handful of neighbouring numbers
    fields[3] *= 1e30
    fields[4] *= 1e-40  # subnormal, and so is the span
    fields[5] = fields[5] ** 9  # nearly all cells share a byte
    fields[6, 0] = -1e30  # all others share a byte
    shares = torch.tensor([0.4, 0.3, 0.6, 0.9, 0.5, 0.5, 0.7, 1.0])
    fields, counts = torch.from_numpy(fields), torch.round(shares * n_cells).to(torch.int64)
    assert torch.equal(keep_by_bytes(fields, counts), keep_brightest(fields, counts))


@FEW
@given(st.floats(0, 1), st.floats(0, 0.5), st.integers(1, 200))
def test_soft_masks_keep_their_mean_and_order(lam, max_soft, n_cells):
    field = torch.from_numpy(np.random.default_rng(n_cells).standard_normal((1, n_cells)))
    mask = binarize(field, torch.tensor([lam], dtype=torch.float64), max_soft)[0, 0].double()
    assert float(mask.min()) >= 0 and float(mask.max()) <= 1
    assert abs(float(mask.mean()) - lam) < 1 / n_cells  # as for hard masks, less than a cell
    order = torch.argsort(field[0], descending=True)
    assert bool((mask[order].diff() <= 0).all())


def test_soft_edge_is_a_line_from_one_to_zero():
    mask = binarize(-torch.arange(10.0)[None], torch.tensor([0.5]), max_soft=0.2)[0, 0]
    assert torch.allclose(mask, torch.tensor([1, 1, 1, 1, 2 / 3, 1 / 3, 0, 0, 0, 0]))


def test_binarize_refuses():
    field = torch.zeros(2, 4)
    with pytest.raises(ValueError, match=r"lam: expected shape \(2,\), one per image, got \(3,\)"):
        binarize(field, torch.zeros(3))
    with pytest.raises(ValueError, match=r"max_soft: expected a number in \[0.0, 0.5\], got 0.7"):
        binarize(field, torch.zeros(2), max_soft=0.7)
