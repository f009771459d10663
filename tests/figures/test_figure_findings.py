"""Sentences claim what the numbers show, and nothing else."""

import pandas as pd
import pytest

from msda_analysis.estimate import Estimate
from msda_analysis.figures.findings import (
    compare_axes,
    compare_with_baseline,
    describe_difference,
    information_findings,
)


def rows(values: dict[str, list[float]], unit: str = "nats") -> pd.DataFrame:
    records = [
        {"metric": "rate", "augmentation": name, "seed": seed, "value": value, "unit": unit, "low": None, "high": None,
         "n": 10, "status": "ok"}
        for name, listed in values.items() for seed, value in enumerate(listed)
    ]  # fmt: skip
    return pd.DataFrame(records)


def test_a_direction_is_claimed_only_where_the_interval_excludes_zero():
    text = compare_with_baseline(
        rows(
            {
                "baseline": [10.0, 11.0, 12.0],
                "mixup": [6.0, 7.1, 7.9],
                "cutmix": [11.0, 9.0, 13.0],
                "fmix": [12.0, 13.1, 13.9],
            }
        ),
        "I(Z_A; X)",
    )
    mixup, cutmix, fmix = text.removeprefix("I(Z_A; X), against Baseline: ").split("; ")
    assert mixup == "MixUp lies 4.00 nats below [3.75, 4.25]"
    assert cutmix.startswith("CutMix is not distinguishable, +0.0 nats [")
    assert fmix == "FMix (isotropic) lies 2.00 nats above [1.75, 2.25] (3 seeds)."


def test_an_interval_that_touches_zero_claims_nothing():
    assert "not distinguishable" in compare_with_baseline(rows({"baseline": [1.0, 1.0], "mixup": [1.0, 3.0]}), "x")


def test_seeds_that_agree_to_the_last_digit_show_no_spread_and_make_no_claim():
    text = compare_with_baseline(rows({"baseline": [1.0, 1.0], "mixup": [0.5, 0.5]}), "x")
    assert text == "x, against Baseline: MixUp is not distinguishable, −0.500 nats [−0.500, −0.500] (2 seeds)."


def test_one_seed_makes_no_claim():
    text = compare_with_baseline(rows({"baseline": [10.0], "mixup": [6.0]}), "x")
    assert text == "x, against Baseline: MixUp −4 nats (one seed: no interval, so no claim)."


def test_different_numbers_of_seeds_are_told_for_each():
    text = compare_with_baseline(rows({"baseline": [1.0, 2.0, 3.0], "mixup": [0.0, 1.1, 2.0], "fmix": [3.0, 4.2]}), "x")
    assert "(3 seeds)" in text.split(";")[0]
    assert "(2 seeds)" in text.split(";")[1]


def test_without_baseline_or_others_nothing_is_compared():
    assert "no finished Baseline cell" in compare_with_baseline(rows({"mixup": [1.0]}), "x")
    assert "only Baseline was measured" in compare_with_baseline(rows({"baseline": [1.0]}), "x")


def test_seeds_that_do_not_meet_are_told():
    table = rows({"baseline": [1.0, 2.0], "mixup": [1.0, 2.0]})
    table.loc[table["augmentation"] == "mixup", "seed"] += 5
    assert "MixUp shares no seed with it" in compare_with_baseline(table, "x")


@pytest.mark.parametrize(("difference", "text"), [
    (Estimate(0.021, "fraction", 0.012, 0.03, 3), "2.10 points above [1.20, 3.00]"),
    (Estimate(-4.3, "nats", -4.7, -3.9, 3), "4.30 nats below [3.90, 4.70]"),
    (Estimate(-0.2, "nats", -0.6, 0.2, 3), "−0.20 nats [−0.60, +0.20]"),
    (Estimate(-0.2, "nats"), "−0.2 nats"),
])  # fmt: skip
def test_differences_in_words(difference, text):
    assert describe_difference(difference) == text


def test_information_findings_follow_the_table(full_table):
    lines = information_findings(full_table)
    assert [line.split(",")[0] for line in lines] == ["I(Z_A; X)", "I(Z_A; X)", "I(Z_A; X-hat)", "MSE"]
    assert "seed by seed" in lines[1]
    assert "MixUp lies 4." in lines[0]
    assert "nats below" in lines[0]


def test_direction_of_masks_is_judged_against_one(full_table):
    text = compare_axes(full_table)
    assert "MixUp" not in text  # constant masks have no ratio
    assert "FMix (released) 0.100000 [0.100000, 0.100000], a preferred direction" in text


def test_direction_of_masks_of_one_seed_uses_the_interval_over_masks(full_table):
    text = compare_axes(full_table[full_table["seed"] == 0])
    assert "FMix (released) 0.100 [0.050, 0.150], a preferred direction" in text
    assert text.count("no preferred direction seen") == 2


def test_masks_without_any_ratio_give_no_sentence(full_table):
    assert compare_axes(full_table[full_table["augmentation"] == "mixup"]) == ""


def test_seed_by_seed_counts_intervals_that_do_not_overlap():
    import pandas as pd

    from msda_analysis.figures.findings import compare_seed_by_seed

    rows = pd.DataFrame(
        [
            {"augmentation": "baseline", "seed": 0, "low": 10.0, "high": 11.0},
            {"augmentation": "baseline", "seed": 1, "low": 10.0, "high": 11.0},
            {"augmentation": "mixup", "seed": 0, "low": 8.0, "high": 9.0},
            {"augmentation": "mixup", "seed": 1, "low": 9.5, "high": 10.5},
            {"augmentation": "cutmix", "seed": 0, "low": 11.5, "high": 12.0},
        ]
    )
    (sentence,) = compare_seed_by_seed(rows, "Rate")
    assert "MixUp below in 1 and above in 0 of 2" in sentence
    assert "CutMix below in 0 and above in 1 of 1" in sentence
    assert compare_seed_by_seed(rows.assign(low=float("nan")), "Rate") == []
