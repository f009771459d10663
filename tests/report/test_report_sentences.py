"""Sentences claim what the numbers show, and nothing else."""

import pandas as pd
import pytest
from scipy import stats

from msda_analysis.estimate import Estimate, holm
from msda_analysis.report.sections.information import bounds_section, information_section
from msda_analysis.report.sections.masks import compare_axes, masks_section
from msda_analysis.report.select import headline_bound
from msda_analysis.report.sentences import (
    compare_seed_by_seed,
    compare_seeds,
    correct,
    describe_comparisons,
    describe_difference,
    is_masking,
    pairs_of,
    why_not_compared,
)


def compare_with_baseline(table: pd.DataFrame, subject: str) -> list[str]:
    return [*why_not_compared(table, subject), *describe_comparisons(correct(compare_seeds(table, subject)))]


def rows(values: dict[str, list[float]], unit: str = "nats") -> pd.DataFrame:
    records = [
        {"metric": "rate", "augmentation": name, "seed": seed, "value": value, "unit": unit, "low": None, "high": None,
         "n": 10, "status": "ok"}
        for name, listed in values.items() for seed, value in enumerate(listed)
    ]  # fmt: skip
    return pd.DataFrame(records)


def test_a_direction_is_claimed_only_where_the_corrected_p_decides():
    values = {"baseline": [10.0, 11.0, 12.0], "mixup": [6.0, 7.1, 7.9], "cutmix": [11.0, 9.0, 13.0],
              "fmix": [12.0, 13.1, 13.9]}  # fmt: skip
    against, direct = compare_with_baseline(rows(values), "I(Z_A; X)")
    mixup, cutmix, fmix = against.removeprefix("I(Z_A; X), against Baseline: ").split("; ")
    assert mixup == "MixUp lies 4.00 nats below [3.75, 4.25] (p = 0.00083)"
    assert cutmix.startswith("CutMix is not distinguishable, +0.0 nats [") and cutmix.endswith("(p = 1)")
    assert fmix == "FMix (isotropic) lies 2.00 nats above [1.75, 2.25] (p = 0.0025) (3 seeds)."
    assert direct.startswith(
        "I(Z_A; X), MixUp against each masking family: against CutMix it is not distinguishable, −4.0 nats"
    )
    assert "; against FMix (isotropic) it is not distinguishable, −6.000 nats [−6.000, −6.000] (3 seeds)." in direct, (
        "no spread, no p"
    )


def test_an_interval_that_excludes_zero_decides_nothing_once_corrected():
    """As MixUp's fitted bound in the VAE study of 20 epochs: p = 0.026 alone, 0.10 after correction."""
    values = {"baseline": [0.0, 0.0, 0.0, 0.0], "mixup": [-0.5, -1.6, -0.9, -1.0],
              "cutmix": [0.3, -0.3, 0.2, -0.1], "fmix": [0.5, -0.3, -0.2, 0.1], "fmix_released": [0.4, -0.6, 0.3, 0.2]}  # fmt: skip
    made = correct(compare_seeds(rows(values), "x"))
    alone = [stats.ttest_rel(values[one.augmentation], values[one.reference]).pvalue for one in made]
    assert [one.p_value for one in made] == pytest.approx(alone)
    assert [one.p_holm for one in made] == pytest.approx(holm(alone))
    mixup = made[0]
    assert mixup.p_value < 0.05 < mixup.p_holm and mixup.difference.high < 0 and mixup.verdict == "undecided"
    text = compare_with_baseline(rows(values), "x")[0]
    assert "MixUp is undecided after correction, −1.00 nats [−1.72, −0.28] (p = 0.087)" in text and "lies" not in text


def test_pairs_are_the_reference_and_mixup_against_masks():
    names = ["fmix+mixup", "mixup", "fmix_released", "baseline", "cutmix_inside"]
    assert pairs_of(names) == [
        ("mixup", "baseline"), ("fmix_released", "baseline"), ("fmix+mixup", "baseline"), ("cutmix_inside", "baseline"),
        ("mixup", "fmix_released"), ("mixup", "cutmix_inside"),
    ]  # fmt: skip
    assert [name for name in names if is_masking(name)] == ["fmix_released", "cutmix_inside"]
    assert not is_masking("custom") and pairs_of(["cutmix", "fmix"]) == []


def test_two_seeds_decide_nothing_and_say_so():
    """However large the difference and however small the spread between the two."""
    (one,) = compare_seeds(rows({"baseline": [1.0, 1.01], "mixup": [0.5, 0.52]}), "x")
    assert one.verdict == "undecided (2 seeds)" and one.p_value is None
    (text,) = compare_with_baseline(rows({"baseline": [1.0, 1.01], "mixup": [0.5, 0.52]}), "x")
    assert "distinguishable" not in text and "over the test images alone" in text and "(2 seeds)" in text


def test_seeds_that_agree_to_the_last_digit_show_no_spread_and_make_no_claim():
    (text,) = compare_with_baseline(rows({"baseline": [1.0, 1.0, 1.0], "mixup": [0.5, 0.5, 0.5]}), "x")
    assert text == "x, against Baseline: MixUp is not distinguishable, −0.500 nats [−0.500, −0.500] (3 seeds)."


def test_one_seed_makes_no_claim():
    (text,) = compare_with_baseline(rows({"baseline": [10.0], "mixup": [6.0]}), "x")
    assert text == "x, against Baseline: MixUp −4 nats, undecided (one run)."


def test_different_numbers_of_seeds_are_told_for_each():
    values = {"baseline": [1.0, 2.0, 3.0], "mixup": [0.0, 1.1, 2.0], "fmix": [3.0, 4.2]}
    text = compare_with_baseline(rows(values), "x")[0]
    assert "(3 seeds)" in text.split(";")[0]
    assert "(2 seeds)" in text.split(";")[1]


def test_without_baseline_or_others_nothing_is_compared():
    assert "no finished Baseline cell" in compare_with_baseline(rows({"mixup": [1.0]}), "x")[0]
    assert "only Baseline was measured" in compare_with_baseline(rows({"baseline": [1.0]}), "x")[0]


def test_seeds_that_do_not_meet_are_told():
    table = rows({"baseline": [1.0, 2.0], "mixup": [1.0, 2.0]})
    table.loc[table["augmentation"] == "mixup", "seed"] += 5
    assert "MixUp shares no seed with it" in compare_with_baseline(table, "x")[0]


def test_a_difference_of_upper_bounds_says_that_it_bounds_nothing():
    values = {"baseline": [27.0, 27.5, 28.0], "mixup": [25.0, 25.6, 26.0]}
    (text,) = compare_with_baseline(rows(values).assign(bound="upper"), "x")
    assert "MixUp's upper bound lies lower by 1.97 nats [1.82, 2.11] (p = 0.00029)" in text
    assert text.endswith(
        "(difference of two upper bounds: both err upwards, by amounts that may differ, so it bounds nothing)."
    )
    assert "bounds nothing" not in compare_with_baseline(rows(values).assign(bound=""), "x")[0]


@pytest.mark.parametrize(("difference", "text"), [
    (Estimate(0.021, "fraction", 0.012, 0.03, 3), "2.10 points above [1.20, 3.00]"),
    (Estimate(-4.3, "nats", -4.7, -3.9, 3), "4.30 nats below [3.90, 4.70]"),
    (Estimate(-0.2, "nats", -0.6, 0.2, 3), "−0.20 nats [−0.60, +0.20]"),
    (Estimate(-0.2, "nats"), "−0.2 nats"),
])  # fmt: skip
def test_differences_in_words(difference, text):
    assert describe_difference(difference) == text


def bounds(flow=("baseline", "mixup", "cutmix"), seeds=3) -> pd.DataFrame:
    """Upper bounds by two marginals and InfoNCE; the flow lies 1.4 nats lower, for MixUp 1.7."""
    parts = []
    for metric, names, shifts in (
        ("fitted", ("baseline", "mixup", "cutmix"), (0, 0, 0)),
        ("flow", flow, (1.4, 1.7, 1.4)),
    ):
        values = {
            name: [level - shift + 0.1 * seed + 0.01 * level * seed**2 for seed in range(seeds)]
            for (name, level), shift in zip(
                (("baseline", 27.0), ("mixup", 26.0), ("cutmix", 27.5)), shifts, strict=True
            )
            if name in names
        }
        parts.append(rows(values).assign(metric=metric, bound="upper"))
    parts.append(
        rows({name: [9.2] * seeds for name in ("baseline", "mixup", "cutmix")}).assign(metric="info_nce", bound="lower")
    )
    return pd.concat(parts).assign(dataset="cifar10", model="vae", low=float("nan"), high=float("nan"), settings="")


def test_the_headline_is_the_tightest_bound_that_all_have():
    assert headline_bound(bounds()) == "flow"
    assert headline_bound(bounds(flow=("baseline", "mixup"))) == "fitted"
    table = bounds()
    lost = (table["metric"] == "flow") & (table["augmentation"] == "mixup") & (table["seed"] == 1)
    assert headline_bound(table[~lost]) == "fitted"
    assert headline_bound(table[table["metric"] == "info_nce"]) is None


def test_bounds_are_told_as_at_least_and_at_most_with_the_gap_between_methods(tmp_path):
    lines = bounds_section(bounds(), tmp_path).findings
    assert "Baseline at least 9.2 and at most 26.2 nats; MixUp at least 9.2 and at most 24.8 nats" in lines[0]
    assert lines[1].startswith("Fitted marginal, the next looser upper bound, lies 1.4 to 1.7 nats higher")
    assert lines[2].startswith(
        "Flow marginal, an upper bound on I(X; Z), against Baseline: MixUp's upper bound lies lower by 1.3"
    )
    only = bounds(flow=())
    assert "how loose it is is unknown" in bounds_section(only, tmp_path).findings[1]


def test_comparisons_of_a_section_share_one_correction(full_table, tmp_path):
    section = information_section(full_table, tmp_path)
    (table,) = [made for made in section.tables if made.name == "information_comparisons"]
    assert len(table.rows) == 3 * (3 + 2), "three metrics; three families against the baseline, MixUp against two"
    p_values, corrected = ([float(row[i]) for row in table.rows] for i in (3, 4))
    assert corrected == pytest.approx(holm(p_values), rel=0.06)
    assert table.rows[0][1] == "MixUp \N{MINUS SIGN} Baseline" and table.rows[0][5] == "MixUp lower"
    assert "bounds nothing" in table.caption
    assert "I(Z_A; X), against Baseline: MixUp's upper bound lies lower by 4." in section.findings[0]


def test_what_points_the_other_way_is_told(tmp_path):
    """CutMix lies below the baseline, as in the VAE study of 15 epochs."""
    values = {"baseline": [41.0, 41.2], "mixup": [41.5, 38.9], "cutmix": [40.0, 40.3]}
    table = rows(values).assign(dataset="cifar10", model="vae", bound="upper", settings="")
    table["low"], table["high"] = table["value"] - 0.2, table["value"] + 0.2
    lines = information_section(table, tmp_path).findings
    (told,) = [line for line in lines if line.startswith("Pointing the other way than the paper's claim")]
    assert "I(Z_A; X), CutMix 0.95 nats below [0.31, 1.59]" in told or "CutMix below in all 2 seeds" in told
    assert "MixUp" not in told
    calm = table.assign(value=table["value"].where(table["augmentation"] != "cutmix", 41.1))
    assert not any(
        "other way" in line for line in information_section(calm.assign(low=40.0, high=42.0), tmp_path).findings
    )


def test_direction_of_masks_is_judged_against_one(full_table):
    text = compare_axes(full_table)
    assert "MixUp" not in text  # constant masks have no ratio
    assert "FMix (released) 0.100000 [0.100000, 0.100000], a preferred direction" in text


def test_direction_of_masks_of_one_seed_uses_the_interval_over_masks(full_table):
    text = compare_axes(full_table[full_table["seed"] == 0])
    assert "FMix (released) 0.100 [0.050, 0.150], a preferred direction" in text
    assert text.count("no preferred direction seen") == 2


@pytest.mark.parametrize("n_axes, words", [(1, "one axis, such as time"), (2, ""), (3, "the first, the depth,")])
def test_what_labels_call_axes_is_said_of_signals_and_volumes(full_table, tmp_path, n_axes, words):
    others = full_table[~full_table["metric"].str.startswith("transitions_axis")]
    (some,) = others[
        (others["augmentation"] == "fmix") & (others["metric"] == "perimeter") & (others["seed"] == 0)
    ].index
    crossings = [others.loc[[some]].assign(metric=f"transitions_axis{axis}") for axis in range(n_axes)]
    section = masks_section(pd.concat([others, *crossings], ignore_index=True), tmp_path)
    assert ("axes" in " ".join(section.text[1:]) or "axis" in " ".join(section.text[1:])) == bool(words)
    assert words in " ".join(section.text)


def test_masks_without_any_ratio_give_no_sentence(full_table):
    assert compare_axes(full_table[full_table["augmentation"] == "mixup"]) == ""


def test_seed_by_seed_counts_intervals_that_do_not_overlap():
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
    assert "CutMix" not in sentence, "one run says nothing of an augmentation"
    assert compare_seed_by_seed(rows.assign(low=float("nan")), "Rate") == []
