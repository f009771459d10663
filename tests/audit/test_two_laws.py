"""Released FMix against the paper's: the numbers behind the figure."""

import numpy as np
import pandas as pd
import pytest
import torch

from msda_analysis.audit import released_versus_paper
from msda_analysis.audit.two_laws import folded_power


@pytest.fixture(scope="module")
def table():
    return pd.DataFrame(released_versus_paper(120, seed=0))


def value(table, law, metric, decay, axis=None):
    rows = table[(table["law"] == law) & (table["metric"] == metric) & (table["decay"] == decay)]
    rows = rows if axis is None else rows[rows["axis"] == axis]
    return rows.iloc[0]


def test_released_grey_images_have_no_power_beyond_the_first_column(table):
    power = table[table["metric"] == "power_share"]
    for law, beyond in (("released", False), ("isotropic", True)):
        far = power[(power["law"] == law) & (power["column"] >= 2)]["value"].sum()
        assert (far > 1e-3) == beyond
        assert (far < 1e-20) == (not beyond)
        assert power[power["law"] == law]["value"].sum() == pytest.approx(1.0)


def test_released_lines_are_one_run_and_the_papers_are_not(table):
    for decay in (3.0, 1.5):
        assert value(table, "released", "runs_mean", decay)["value"] == 1.0
        assert value(table, "isotropic", "runs_mean", decay)["low"] > 1.0
    assert value(table, "isotropic", "runs_mean", 1.5)["value"] > 2


def test_regions_differ_tenfold_at_weak_decay_and_hardly_at_the_default(table):
    # independent counts on other masks: 5.8 and 52 regions at decay 1.5, 4.1 and 4.3 at decay 3
    assert value(table, "released", "regions", 1.5)["value"] == pytest.approx(5.8, abs=0.8)
    assert value(table, "isotropic", "regions", 1.5)["value"] == pytest.approx(52, abs=5)
    assert value(table, "released", "regions", 3.0)["value"] == pytest.approx(4.1, abs=0.5)
    assert value(table, "isotropic", "regions", 3.0)["value"] == pytest.approx(4.3, abs=0.5)


def test_edges_per_axis(table):
    assert value(table, "released", "transitions", 1.5, axis=1)["value"] == pytest.approx(121, abs=3)
    assert value(table, "isotropic", "transitions", 1.5, axis=1)["value"] == pytest.approx(402, abs=30)
    fair = [value(table, "isotropic", "transitions", 3.0, axis=axis) for axis in (0, 1)]
    assert fair[0]["low"] < fair[1]["high"] and fair[1]["low"] < fair[0]["high"]
    slipped = [value(table, "released", "transitions", 3.0, axis=axis)["value"] for axis in (0, 1)]
    assert slipped[1] / slipped[0] == pytest.approx(1.46, abs=0.15)


def test_examples_are_whole_masks_that_keep_half(table):
    examples = table[table["metric"] == "example_mask"]
    for _, mask in examples.groupby(["law", "decay"]):
        assert len(mask) == 64 * 64
        assert mask["value"].mean() == 0.5


def test_the_same_seed_gives_the_same_records():
    assert released_versus_paper(2, seed=5) == released_versus_paper(2, seed=5) != released_versus_paper(2, seed=6)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (6, 5)])
def test_folding_adds_the_bins_of_both_signs(size):
    fields = torch.randn(2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fields = fields - fields.mean((1, 2), keepdim=True)
    full = (np.abs(np.fft.fft2(fields.numpy())) ** 2).mean(0)
    expected = np.zeros([length // 2 + 1 for length in size])
    for i in range(size[0]):
        for j in range(size[1]):
            expected[min(i, size[0] - i), min(j, size[1] - j)] += full[i, j]
    assert np.allclose(folded_power(fields).numpy(), expected / expected.sum())


def test_one_image_is_refused():
    with pytest.raises(ValueError, match="n: expected an integer >= 2, got 1"):
        released_versus_paper(1)
