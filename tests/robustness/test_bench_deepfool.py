"""The benchmark against foolbox on a small network: parity over all batches, a ratio of totals, every batch counted."""

import pytest
import torch

from msda_analysis.attacks.deepfool import deepfool
from msda_analysis.bench import robustness as bench


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_rows_of_a_comparison(trained, patterns, norm):
    rows = {row["name"]: row for row in bench._deepfool_rows(trained, *patterns, norm, 20, 2)}
    assert rows[f"deepfool_{norm}_same_success"]["value"] >= bench.SAME_SUCCESS
    assert "below" not in rows[f"deepfool_{norm}_same_success"]["note"]
    assert rows[f"deepfool_{norm}_norm_difference"]["value"] <= 1e-3
    ratio = rows[f"deepfool_{norm}_time_ratio"]
    assert ratio["n"] == 6 and 0 < ratio["low"] <= ratio["value"] <= ratio["high"], "3 batches, 2 passes"
    assert rows[f"deepfool_{norm}_seconds_held_still"]["n"] == 6


def test_batches_are_put_together_in_order(trained, patterns):
    images, labels = patterns
    found, _ = bench._run_in_turn(trained, images, labels, "linf", 20, 1)
    assert found["foolbox"].shape == images.shape
    assert torch.allclose(found["ours"], deepfool(trained, images, labels), atol=1e-6)


def test_disagreement_is_noted(trained, patterns):
    images, labels = patterns
    found = deepfool(trained, images, labels)
    rows = bench._parity_rows(trained, images, labels, "linf", ours=images, theirs=found)
    assert rows[0]["value"] < bench.SAME_SUCCESS and "times compare different attacks" in rows[0]["note"]


def test_counts_are_checked():
    with pytest.raises(ValueError, match="batch_size: expected an integer >= 2"):
        bench.bench_rows(batch_size=1)
