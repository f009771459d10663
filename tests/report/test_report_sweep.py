"""Numbers against a setting, where a table holds a family at several values of it."""

import json

import numpy as np
import pandas as pd
import pytest

from msda_analysis.estimate import Estimate, Measured, share_over_seeds
from msda_analysis.report.sections.sweep import find_sweeps, sweep_figures, sweep_section
from msda_analysis.results import Source, make_failure_row, to_rows, to_table

FMIX = {"kind": "FMix", "alpha": 1.0, "decay_power": 3.0, "spectrum": "isotropic", "per_batch": False}


def table_of(families, seeds=3, metric="accuracy", unit="accuracy"):
    """One number a family and seed, 0.8 plus a hundredth of the decay power and a thousandth of the seed."""
    rows = []
    for name, family in families.items():
        for seed in range(seeds):
            value = 0.8 + 0.01 * (family or {}).get("decay_power", 0) + 0.001 * seed
            source = Source(
                "made up", f"{name}-{seed}", "digits", "small_cnn", name, seed, {"family": family, "fit": {"epochs": 3}}
            )
            rows += to_rows(source, [Measured(metric, Estimate(value, unit, value - 0.02, value + 0.02, 200))])
    return to_table(rows)


FAMILIES = {
    "baseline": None,
    "fmix(decay_power=1.5)": FMIX | {"decay_power": 1.5},
    "fmix": FMIX,
    "fmix(decay_power=5)": FMIX | {"decay_power": 5.0},
    "fmix(spectrum='released',decay_power=2)": FMIX | {"decay_power": 2.0, "spectrum": "released"},
    "mixup": {"kind": "MixUp", "alpha": 1.0},
}


def test_what_is_drawn_are_the_means_with_their_intervals_in_the_order_of_the_setting():
    (item,) = sweep_section(table_of(FAMILIES), None).figures
    numbers = item.numbers
    assert item.name == "sweep_fmix_decay_power" and list(numbers["x"]) == [1.5, 3.0, 5.0]
    assert list(numbers["augmentation"]) == ["fmix(decay_power=1.5)", "fmix", "fmix(decay_power=5)"]
    np.testing.assert_allclose(numbers["value"], [0.816, 0.831, 0.851])
    expected = share_over_seeds([0.83, 0.831, 0.832], 200)
    assert (numbers["low"][1], numbers["high"][1]) == pytest.approx((expected.low, expected.high))
    (ax,) = item.figure().axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), numbers[["x", "value"]])
    bars = [path.vertices for each in ax.collections for path in each.get_paths()]
    np.testing.assert_allclose(sorted(bar[:, 1].min() for bar in bars), numbers["low"])
    np.testing.assert_allclose(sorted(bar[:, 1].max() for bar in bars), numbers["high"])
    assert ax.get_xlabel() == "decay power" and list(ax.get_xticks()) == [1.5, 3, 5]


def test_a_single_seed_keeps_its_interval_over_samples():
    (item,) = sweep_figures(table_of(FAMILIES, seeds=1))
    np.testing.assert_allclose(item.numbers["high"] - item.numbers["low"], 0.04)
    assert set(item.numbers["interval_over"]) == {"samples"} and "says nothing of seeds" in item.caption


def test_an_own_family_is_swept_too_and_each_setting_by_itself():
    own = {"kind": "Stripes", "period": 4, "alpha": 1.0, "lam_policy": "nominal"}
    families = {
        "my:Stripes": own,
        "my:Stripes(period=8)": own | {"period": 8},
        "my:Stripes(alpha=0.2)": own | {"alpha": 0.2},
    }
    found = find_sweeps(table_of(families))
    assert found == {
        ("Stripes", "period"): {"my:Stripes": 4.0, "my:Stripes(period=8)": 8.0},
        ("Stripes", "alpha"): {"my:Stripes": 1.0, "my:Stripes(alpha=0.2)": 0.2},
    }


@pytest.mark.parametrize(
    "families",
    [
        {"baseline": None, "fmix": FMIX, "mixup": {"kind": "MixUp", "alpha": 0.2}},
        {"fmix": FMIX, "fmix_released": FMIX | {"spectrum": "released"}},
        {"fmix": FMIX, "fmix(alpha=0.2,decay_power=1.5)": FMIX | {"alpha": 0.2, "decay_power": 1.5}},
        {"fmix": FMIX, "fmix(per_batch=True)": FMIX | {"per_batch": True}},
    ],
    ids=["other families", "a word", "two numbers", "a switch"],
)
def test_nothing_is_shown_where_no_single_number_differs(families):
    assert sweep_section(table_of(families), None) is None


def test_tables_without_the_numbers_or_without_settings_have_no_sweep():
    assert sweep_section(table_of(FAMILIES, metric="train_loss", unit="nats"), None) is None
    failed = to_table([make_failure_row(Source("made up", "a", augmentation="fmix"), RuntimeError("no"))])
    assert sweep_section(failed, None) is None
    lost = table_of(FAMILIES).assign(settings="01e7b720ff566d53")
    assert sweep_section(lost, None) is None and json.loads(table_of(FAMILIES)["settings"][0])
    assert isinstance(lost, pd.DataFrame)


def test_masks_of_one_study_and_classifiers_of_it_are_told_apart():
    masks = table_of(FAMILIES, metric="perimeter", unit="pixels").assign(model="")
    both = pd.concat([table_of(FAMILIES), masks], ignore_index=True)
    figures = sweep_section(both, None).figures
    assert len({item.name for item in figures}) == len(figures) == 2
    assert [set(item.numbers["metric"]) for item in figures] == [{"accuracy"}, {"perimeter"}], "what was trained first"
