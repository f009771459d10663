"""The table of masks and its summary."""

import math
from typing import Any

import pandas as pd
import pytest
import torch

from msda_analysis import CutMix, FMix, MixUp, sample_masks
from msda_analysis.mask_stats import count_components, describe, summarize, transitions
from msda_analysis.mask_stats import describe as describe_function
from msda_analysis.rng import stream


def draw(family, n=50, size=(16, 16)):
    return sample_masks(family, n, size, generator=stream(0, "describe")).masks


def test_one_row_per_mask_with_the_promised_columns():
    masks = draw(FMix())
    table: Any = describe(masks)
    assert len(table) == 50
    promised = {"kept_fraction", "perimeter", "transitions_axis0", "transitions_axis1", "components", "euler_number"}
    assert promised | {"holes", "box_dimension", "anisotropy", "spectral_slope"} <= set(table.columns)
    assert table["kept_fraction"].to_numpy() == pytest.approx(masks.flatten(1).mean(1).numpy(), abs=1e-6)
    assert (table["perimeter"] == table["transitions_axis0"] + table["transitions_axis1"]).all()
    assert (table["holes"] == table["components"] - table["euler_number"]).all()
    assert (table["holes"] >= 0).all()


def test_chunks_leave_no_seam(monkeypatch):
    import sys

    masks = draw(FMix(decay_power=1.5), 20)
    whole = describe(masks)
    monkeypatch.setattr(sys.modules["msda_analysis.mask_stats.describe"], "_CHUNK_CELLS", 7 * 256)
    # a matrix product may round its last bit by the number of rows, on some processors
    pd.testing.assert_frame_equal(describe(masks), whole, rtol=1e-6, atol=0)


@pytest.mark.parametrize("size", [(24,), (6, 7, 8)])
def test_one_and_three_axes_work(size):
    masks = draw(FMix(), 12, size)
    table = describe(masks)
    assert "holes" not in table.columns
    assert table["components"].tolist() == count_components(masks).tolist()
    last = len(size) - 1
    assert table[f"transitions_axis{last}"].tolist() == transitions(masks, last).tolist()


def test_box_masks_have_known_numbers():
    mask = torch.ones(1, 1, 16, 16)
    mask[..., 4:8, 5:11] = 0
    row = describe_function(mask).iloc[0]
    assert (row["perimeter"], row["components"], row["holes"]) == (20, 1, 1)
    assert row["kept_fraction"] == pytest.approx(1 - 24 / 256)


def test_the_summary_has_every_metric_with_an_interval_that_covers_its_value():
    masks = draw(CutMix(), 300)
    rows = summarize(masks, n_bins=10)
    metrics = {row.metric for row in rows}
    assert {"radial_power", "power_axis0", "power_axis1", "kept_fraction_histogram", "axis_power_ratio"} <= metrics
    assert {"line_power_axis0", "line_power_axis1"} <= metrics
    assert not {row.metric for row in summarize(draw(CutMix(), 30, (24,)))} & {"line_power_axis0"}, "it is all there is"
    assert set(describe(masks).columns) <= metrics
    for row in rows:
        estimate = row.estimate
        assert estimate.low is not None and estimate.high is not None, row.metric
        assert estimate.low <= estimate.value <= estimate.high, row.metric
        assert estimate.unit


def test_histogram_and_power_shares_sum_to_one():
    rows = summarize(draw(FMix(), 100), n_bins=8)
    for metric in ("kept_fraction_histogram", "power_axis0", "power_axis1"):
        values = [(row.x, row.estimate.value) for row in rows if row.metric == metric]
        assert math.fsum(value for _, value in values) == pytest.approx(1.0)
        assert all(x is not None for x, _ in values)
    assert next(row.x for row in rows if row.metric == "kept_fraction_histogram") == pytest.approx(1 / 16)


def single_numbers(masks):
    return {row.metric: row.estimate for row in summarize(masks) if row.x is None}


def test_masks_without_a_value_are_left_out_and_counted():
    constant, boxes = draw(MixUp(), 4), draw(CutMix(geometry="inside"), 6)
    boxes[:, :, 0, 0], boxes[:, :, 1, 1] = 0.0, 1.0  # every one has an edge
    rows = single_numbers(torch.cat([constant, boxes]))
    assert rows["box_dimension"].n == 6
    assert rows["box_dimension"].warnings == ("undefined for 4 of 10 masks, left out",)
    nothing = single_numbers(constant)
    assert math.isnan(nothing["box_dimension"].value)
    assert nothing["box_dimension"].warnings == ("undefined for all 4 masks",)
    assert nothing["perimeter"].value == 0


def test_a_histogram_without_bins_is_refused():
    with pytest.raises(ValueError, match="n_bins: expected an integer >= 1, got 0"):
        summarize(draw(CutMix(), 3), n_bins=0)


@pytest.mark.slow
def test_a_hundred_thousand_masks_take_less_than_a_minute_of_one_core():
    import time

    masks = draw(FMix(), 100_000, (32, 32))
    start = time.process_time()
    assert len(describe(masks)) == 100_000
    assert time.process_time() - start < 120  # goal: 60 s of wall time on two cores
