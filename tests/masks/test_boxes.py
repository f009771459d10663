"""Box masks: geometry cell by cell, and the discrete law enumerated against draws."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from msda_analysis import CutMix, sample_masks
from msda_analysis.masks.boxes import (
    box_masks,
    compare_boxes,
    draw_boxes,
    kept_shares,
    side_distribution,
    write_boxes,
)  # fmt: skip
from msda_analysis.rng import stream


def test_box_masks_cell_by_cell():
    starts = torch.tensor([[-1, 2], [0, 0], [3, 3], [1, 1]])
    lengths = torch.tensor([[3, 2], [4, 5], [9, 9], [0, 2]])
    masks = box_masks(starts, lengths, (4, 5))
    torch.testing.assert_close(kept_shares(starts, lengths, (4, 5)), masks.mean((1, 2, 3)))
    assert masks.shape == (4, 1, 4, 5) and masks.dtype == torch.float32
    for mask, (top, left), (height, width) in zip(masks[:, 0], starts.tolist(), lengths.tolist(), strict=True):
        for row in range(4):
            for column in range(5):
                cut = top <= row < top + height and left <= column < left + width
                assert mask[row, column] == (0.0 if cut else 1.0)


@pytest.mark.parametrize("size", [(9,), (6, 5), (4, 5, 3), (300, 200)], ids=str)
def test_boxes_are_the_same_written_or_compared(size):
    lam = torch.linspace(0, 1, 41, dtype=torch.float64)
    starts, lengths = draw_boxes(lam, size, "clipped", 4)
    assert torch.equal(write_boxes(starts, lengths, size), compare_boxes(starts, lengths, size))


@pytest.mark.parametrize("size", [(9,), (6, 5), (4, 5, 3)], ids=str)
def test_masks_hold_one_box_in_one_two_and_three_dimensions(size):
    masks = sample_masks(CutMix(), 200, size, generator=stream(0, "masks")).masks[:, 0]
    for cut in (1 - masks).bool():
        extent = math.prod(
            int(cut.flatten(1).any(1).sum()) if cut.ndim > 1 else int(cut.sum())
            for cut in (cut.movedim(axis, 0) for axis in range(len(size)))
        )
        assert extent == int(cut.sum())  # a box fills its own bounding box


def kept_in_the_continuum() -> float:
    """Mean kept share of a clipped box at alpha = 1, by numerical integration over box and centre."""

    def covered(side: float) -> float:
        return integrate.quad(lambda centre: min(centre + side / 2, 1) - max(centre - side / 2, 0), 0, 1)[0]

    return 1 - integrate.quad(lambda lam: covered(math.sqrt(1 - lam)) ** 2, 0, 1)[0]


def test_clipped_cutmix_keeps_0_679_on_average():
    assert kept_in_the_continuum() == pytest.approx(0.679167, abs=1e-5)
    lengths = 4096.0  # fine grid, near the continuum; boxes are counted without making masks
    lam = torch.from_numpy(np.random.default_rng(0).uniform(size=100_000))
    starts, sides = draw_boxes(lam, (4096, 4096), "clipped", 1)
    cut = ((starts + sides).clamp(max=4096) - starts.clamp(min=0)).double() / lengths
    kept = 1 - cut.prod(1)
    error = float(kept.std()) / math.sqrt(len(kept))
    assert abs(float(kept.mean()) - kept_in_the_continuum()) < 5 * error + 1 / lengths


def enumerated_law(size: tuple[int, int], geometry: str) -> dict[int, float]:
    """{number of cut cells: probability} at alpha = 1: every pair of box sides, then every place."""
    law: dict[int, float] = {}
    edges = sorted({0.0, 1.0, *(1 - ((side + 0.5) / length) ** 2 for length in size for side in range(length))})
    for low, high in itertools.pairwise(edges):
        root = math.sqrt(1 - (low + high) / 2)
        sides = [int(np.round(length * root)) for length in size]
        for rows, row_share in side_distribution(size[0], sides[0], geometry).items():
            for columns, column_share in side_distribution(size[1], sides[1], geometry).items():
                cut = rows * columns
                law[cut] = law.get(cut, 0.0) + (high - low) * row_share * column_share
    return law


@pytest.mark.parametrize("geometry", ["clipped", "inside"])
@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 6)], ids=str)
def test_label_weight_follows_the_enumerated_law(size, geometry):
    n = 20_000
    law = enumerated_law(size, geometry)
    assert sum(law.values()) == pytest.approx(1, abs=1e-12)
    batch = sample_masks(CutMix(geometry=geometry), n, size, generator=stream(3, "masks"))
    cut = torch.round((1 - batch.lam) * math.prod(size)).long()
    observed = torch.bincount(cut, minlength=math.prod(size) + 1)
    likely = {cells: share for cells, share in law.items() if share > 0}
    assert int(sum(observed[cells] for cells in likely)) == n  # nothing that the law excludes
    counts = [int(observed[cells]) for cells in likely]
    assert stats.chisquare(counts, [n * share for share in likely.values()]).pvalue > 1e-4


def test_inside_boxes_fit_and_keep_what_lambda_says():
    lam = torch.linspace(0, 1, 501, dtype=torch.float64)
    starts, sides = draw_boxes(lam, (8, 11), "inside", 3)
    assert bool((starts >= 0).all()) and bool((starts + sides <= torch.tensor([8, 11])).all())
    batch = sample_masks(CutMix(geometry="inside"), 20_000, (32, 32), generator=stream(1, "masks"))
    error = float(batch.lam.std()) / math.sqrt(20_000)
    assert abs(float(batch.lam.mean()) - 0.5) < 5 * error
    assert float((batch.lam - batch.drawn_lam).abs().max()) < 1.1 / 32  # sides are rounded to whole pixels


def test_inside_places_are_uniform():
    starts, _ = draw_boxes(torch.full((20_000,), 1 - 0.25**2, dtype=torch.float64), (8, 8), "inside", 5)
    for axis in (0, 1):
        assert stats.chisquare(torch.bincount(starts[:, axis], minlength=7).numpy()).pvalue > 1e-4


def test_coverage_of_clipped_boxes_is_symmetric():
    cut = 1 - sample_masks(CutMix(), 20_000, (8, 8), generator=stream(2, "masks")).masks[:, 0].double()
    error = math.sqrt(2) * float(cut.std()) / math.sqrt(20_000)
    coverage = cut.mean(0)
    for turned in (coverage.flip(0), coverage.flip(1), coverage.T):
        assert float((coverage - turned).abs().max()) < 5 * error


@pytest.mark.parametrize("policy", ["mask_mean", "nominal"])
@pytest.mark.parametrize("geometry", ["clipped", "inside"])
def test_one_label_sees_the_cells_that_two_weighted_labels_see(geometry, policy):
    """The identity behind reformulate: E[m] = E[w m + (1 - w)(1 - m)] in every cell, and so for every loss."""
    n, size = 20_000, (5, 6)
    settings = {"geometry": geometry, "lam_policy": policy}
    plain = sample_masks(CutMix(**settings), n, size, generator=stream(1, "masks"))
    single = sample_masks(CutMix(**settings, reformulate=True), n, size, generator=stream(2, "masks"))
    weights = plain.lam.double().view(n, 1, 1, 1)
    expected = weights * plain.masks + (1 - weights) * (1 - plain.masks)
    error = ((single.masks.double().var(0) + expected.var(0)) / n).sqrt()
    assert float(((single.masks.double().mean(0) - expected.mean(0)) / error).abs().max()) < 5
    share = single.masks.double().mean((1, 2, 3))
    gap = share.mean() - expected.mean((1, 2, 3)).mean()
    assert abs(float(gap)) < 5 * float(share.std() + expected.mean((1, 2, 3)).std()) / n**0.5
    assert torch.equal(single.lam, torch.ones(n)) and set(single.masks.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("geometry", ["clipped", "inside"])
def test_per_batch_boxes_share_their_size_and_not_their_place(geometry):
    """As the released code: one lambda a batch, one center an image; the first is that of a batch of one."""
    family = CutMix(geometry=geometry, per_batch=True)
    batch = sample_masks(family, 40, (64, 64), generator=stream(4, "masks"))
    assert len(batch.drawn_lam.unique()) == 1 and batch.drawn_lam.shape == batch.lam.shape == (40,)
    places = {tuple(cut.nonzero()[0].tolist()) for cut in (1 - batch.masks[:, 0])}
    assert len(places) > 20
    torch.testing.assert_close(batch.lam, batch.masks.mean((1, 2, 3)), rtol=0, atol=1e-6)
    assert (len(batch.lam.unique()) > 10) == (geometry == "clipped")
    one = sample_masks(family, 1, (64, 64), generator=stream(4, "masks"))
    assert torch.equal(one.masks, batch.masks[:1]) and torch.equal(one.lam, batch.lam[:1])
