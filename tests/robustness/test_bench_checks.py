"""The cost of the trust checks: measured against the same evaluation without them, scaled to 200 images."""

import importlib

import pytest

from msda_analysis.robustness import TrustSettings

bench = importlib.import_module("msda_analysis.bench.trust")


def test_the_cost_is_what_the_checks_add_as_a_share_of_200_images(patterns, monkeypatch):
    images, labels = patterns  # 48
    seconds = iter([10.0, 11.0, 10.0, 13.0, 10.0, 12.0])
    asked = []
    monkeypatch.setattr(bench, "evaluate", lambda *args, trust, **settings: asked.append(trust))
    monkeypatch.setattr(bench, "timed", lambda run, device: (run(), next(seconds)))
    row = bench.checks_cost(None, images, labels, "small_cnn", ("fgsm",), 0, 3)
    assert (row["value"], row["low"], row["high"]) == pytest.approx([0.2 * 48 / 200, 0.1 * 48 / 200, 0.3 * 48 / 200])
    assert asked == [TrustSettings(images=0), None] * 3 and "48 images" in row["note"] and row["n"] == 3
