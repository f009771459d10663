"""GridMix: whole cells, as many as lambda says, any with the same chance."""

import pytest
import torch

from msda_analysis import sample_masks
from msda_analysis.masks import GridMix, family_from_text
from msda_analysis.rng import stream


@pytest.mark.parametrize("size", [(12,), (8, 12), (4, 8, 12)], ids=str)
def test_cells_are_whole_and_as_many_as_lambda_says(size):
    batch = sample_masks(GridMix(), 300, size, generator=stream(0, "grid"))
    corners = batch.masks[(slice(None), 0, *(slice(None, None, length // 4) for length in size))]
    rebuilt = corners[:, None]
    for axis, length in enumerate(size, start=2):
        rebuilt = rebuilt.repeat_interleave(length // 4, axis)
    assert torch.equal(rebuilt, batch.masks)
    n_cells = 4 ** len(size)
    assert torch.equal(corners.flatten(1).sum(1), torch.round(batch.drawn_lam.double() * n_cells).float())
    assert torch.equal(batch.lam, batch.masks.flatten(1).mean(1))
    chance = corners.mean(0)
    assert float((chance - 0.5).abs().max()) < 5 * 0.5 / 300**0.5
    assert torch.equal(sample_masks(GridMix(), 20, size, generator=stream(0, "grid")).masks, batch.masks[:20])


def test_lengths_that_cells_do_not_divide():
    batch = sample_masks(GridMix(cells=5), 200, (7, 3), generator=stream(0, "grid"))
    assert torch.equal(batch.lam, batch.masks.flatten(1).mean(1)) and batch.masks.shape == (200, 1, 7, 3)
    rows = (batch.masks[:, 0, 1:] != batch.masks[:, 0, :-1]).any(2).any(0)
    assert rows.tolist() == [False, True, True, False, True, True], "cells of 2, 1, 2, 1 and 1 rows"


def test_it_has_a_name():
    assert family_from_text("gridmix(cells=8)") == GridMix(cells=8)
    with pytest.raises(ValueError, match="cells: expected an integer >= 1, got 0"):
        GridMix(cells=0)
