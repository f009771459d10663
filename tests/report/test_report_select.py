"""From rows to the numbers of a figure."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from msda_analysis.estimate import IMAGES_ALONE, Estimate, Measured, share_over_seeds
from msda_analysis.report.select import (
    half_epsilons,
    mean_rows,
    paired_difference,
    select_rows,
    setting_of,
    split_parts,
    summarize,
)
from msda_analysis.results import Source, read_table, to_rows, write_table


def make_table(tmp_path, values: dict[tuple[str, int], float], **columns) -> pd.DataFrame:
    """Rows of metric "rate" as read back from a file."""
    rows = [
        row | columns
        for (name, seed), value in values.items()
        for row in to_rows(
            Source("s", f"c{name}{seed}", "digits", "vae", name, seed),
            [Measured("rate", Estimate(value, "nats", value - 1, value + 2, 50))],
        )
    ]
    write_table(rows, tmp_path / "results.csv")
    return read_table(tmp_path / "results.csv")


def test_select_rows_leaves_failed_cells_out(full_table):
    assert (full_table["status"] == "failed").sum() == 1
    rows = select_rows(full_table, ["rate", "mse"])
    assert set(rows["metric"]) == {"rate", "mse"}
    assert set(rows["status"]) == {"ok"}


def test_missing_metric_says_what_was_found(full_table):
    with pytest.raises(
        ValueError, match=r"metric: expected finished rows with metric 'ratte'; found: accuracy, axis_power"
    ):
        select_rows(full_table, "ratte")


def test_a_table_without_finished_rows_says_so(full_table):
    with pytest.raises(ValueError, match="found: no finished row at all"):
        select_rows(full_table[full_table["status"] == "failed"], "rate")


def test_missing_column_says_what_was_found(full_table):
    with pytest.raises(ValueError, match="table: expected columns seed, unit; found: study, cell"):
        select_rows(full_table.drop(columns=["seed", "unit"]), "rate")


def test_missing_value_of_a_further_column_says_what_was_found(full_table):
    with pytest.raises(ValueError, match=r"attack: expected rows of \['robust_accuracy'\] with 'pgdd'; found: 'bim', "):
        select_rows(full_table, "robust_accuracy", attack="pgdd")


def test_summary_agrees_with_students_interval(tmp_path):
    values = [3.0, 4.0, 8.0]
    table = make_table(tmp_path, {("mixup", seed): value for seed, value in enumerate(values)})
    summary = summarize(select_rows(table, "rate"), ("metric", "augmentation"))
    assert list(summary["level"]) == ["seed", "seed", "seed", "mean"]
    mean = summary.iloc[-1]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (mean["value"], mean["low"], mean["high"]) == pytest.approx((5.0, low, high))
    assert (mean["n"], mean["interval_over"], mean["unit"]) == (3, "seeds", "nats")
    first = summary.iloc[0]
    assert (first["value"], first["low"], first["high"], first["n"], first["interval_over"]) == (3, 2, 5, 50, "samples")


def test_the_mean_of_accuracies_speaks_of_images_and_seeds(tmp_path):
    values = {("mixup", seed): 1.0 for seed in range(3)} | {("cutmix", seed): 0.5 + 0.2 * seed for seed in range(3)}
    table = make_table(tmp_path, values, metric="accuracy", unit="accuracy")
    means = summarize(table, ("metric", "augmentation")).query("level == 'mean'").set_index("augmentation")
    assert set(means["interval_over"]) == {"images and seeds"} and set(means["n"]) == {3}
    expected = {name: share_over_seeds([v for (of, _), v in values.items() if of == name], 50) for name in means.index}
    assert dict(means["low"]) == pytest.approx({name: each.low for name, each in expected.items()})
    assert means.loc["mixup", "high"] == 1 > means.loc["mixup", "low"] and means["high"].max() <= 1


def test_one_seed_gets_no_mean_and_no_interval_over_seeds(tmp_path):
    table = make_table(tmp_path, {("mixup", 7): 3.0})
    by = ("metric", "augmentation")
    summary = summarize(select_rows(table, "rate"), by)
    assert list(summary["level"]) == ["seed"]
    quoted = mean_rows(summary, by).iloc[0]
    assert (quoted["value"], quoted["n"]) == (3.0, 1)
    assert math.isnan(quoted["low"])
    assert math.isnan(quoted["high"])
    kept = mean_rows(summary, by, over_samples=True).iloc[0]
    assert (kept["low"], kept["high"], kept["n"]) == (2.0, 5.0, 50)


def test_two_rows_for_one_seed_raise_and_say_where_they_differ(tmp_path):
    table = make_table(tmp_path, {("mixup", 0): 3.0})
    twice = pd.concat([table, table.assign(model="vae64", value=4.0)])
    with pytest.raises(ValueError, match=r"got 2 for metric rate, augmentation mixup, seed 0; they differ in model"):
        summarize(twice, ("metric", "augmentation"))


def test_summary_keeps_figure_order(tmp_path):
    table = make_table(tmp_path, {("zmix", 0): 1.0, ("fmix", 0): 2.0, ("baseline", 0): 3.0})
    summary = summarize(select_rows(table, "rate"), ("metric", "augmentation"))
    assert list(summary["augmentation"]) == ["baseline", "fmix", "zmix"]


def test_paired_difference_uses_shared_seeds_only(tmp_path):
    values = {("baseline", 0): 10.0, ("baseline", 1): 20.0, ("baseline", 3): 30.0, ("baseline", 2): 99.0, ("mixup", 0): 8.0,
              ("mixup", 1): 17.0, ("mixup", 3): 26.0, ("mixup", 5): -50.0}  # fmt: skip
    difference = paired_difference(make_table(tmp_path, values), "mixup", "baseline")
    assert difference is not None
    half = stats.t.ppf(0.975, 2) * np.std([-2, -3, -4], ddof=1) / math.sqrt(3)
    assert difference.value == pytest.approx(-3)
    assert (difference.low, difference.high) == pytest.approx((-3 - half, -3 + half))
    assert (difference.n, difference.unit) == (3, "nats")


def test_paired_difference_without_a_shared_seed_is_none(tmp_path):
    assert (
        paired_difference(make_table(tmp_path, {("baseline", 0): 1.0, ("mixup", 1): 2.0}), "mixup", "baseline") is None
    )


def test_pairing_narrows_what_seeds_share(tmp_path):
    shared = np.random.default_rng(0).normal(0, 5, 4).tolist()
    values = {("baseline", seed): level for seed, level in enumerate(shared)}
    values |= {("mixup", seed): level - 1 + 0.01 * seed for seed, level in enumerate(shared)}
    difference = paired_difference(make_table(tmp_path, values), "mixup", "baseline")
    assert difference is not None
    assert difference.high is not None
    assert difference.high < 0  # four unpaired means with a spread of 5 could not tell


def test_split_parts_names_only_what_it_must(full_table):
    one = list(split_parts(select_rows(full_table, "rate")))
    assert [(suffix, words) for suffix, words, _ in one] == [("", "cifar10, vae")]
    two = list(split_parts(select_rows(full_table, "train_loss")))
    assert [suffix for suffix, _, _ in two] == ["_cifar10_small_cnn", "_cifar10_vae"]
    odd = full_table.assign(dataset="folder:a/b c")
    assert next(split_parts(select_rows(odd, "train_loss")))[0] == "_folder-a-b-c_small_cnn"


def test_setting_of_finds_values_at_any_depth():
    assert setting_of('{"a": {"norm": "linf"}, "b": [{"norm": "l2"}]}', "norm") == ["linf", "l2"]
    assert setting_of("", "norm") == []


def test_half_epsilon_looks_at_the_baseline_alone(full_table):
    chosen = half_epsilons(full_table)
    rows = select_rows(full_table, "robust_accuracy", attack="pgd", augmentation="baseline")
    means = rows.groupby("epsilon")["value"].mean()
    assert chosen["pgd", "linf"] == (means.loc[0.0005:] - means.loc[0.0] / 2).abs().idxmin() == 0.01
    assert chosen["uniform_noise", "linf"] == 0.1
    moved = full_table.assign(value=full_table["value"].where(full_table["augmentation"] == "baseline", 0.0))
    assert half_epsilons(moved) == chosen


def test_half_epsilon_without_a_baseline_uses_all(full_table):
    assert half_epsilons(full_table[full_table["augmentation"] != "baseline"])["pgd", "linf"] in (0.01, 0.02)


@pytest.mark.parametrize(("n_seeds", "half"), [(2, 0.2), (3, None)])
def test_two_seeds_give_the_interval_of_the_samples_alone(n_seeds, half):
    """Two seeds would give 12.7 standard errors; from three on the interval is between seeds."""
    values = [4.0, 6.0, 5.0][:n_seeds]
    rows = pd.DataFrame([
        {"metric": "rate", "augmentation": name, "seed": i, "value": value + shift, "unit": "nats", "low": value + shift - 0.2,
         "high": value + shift + 0.2, "n": 100, "status": "ok"}
        for name, shift in (("baseline", 0.0), ("mixup", -1.0)) for i, value in enumerate(values)
    ])  # fmt: skip
    mean = summarize(rows, ("metric", "augmentation")).query("level == 'mean' and augmentation == 'mixup'").iloc[0]
    difference = paired_difference(rows, "mixup", "baseline")
    assert difference.value == -1 and difference.n == n_seeds
    if half is None:
        assert mean["high"] - mean["value"] > 2 and difference.warnings == ()
        return
    assert mean["high"] - mean["value"] == pytest.approx(half) and mean["interval_over"] == "samples"
    assert difference.high + 1 == pytest.approx(half * 2**0.5) and difference.warnings == (IMAGES_ALONE,)


def test_shares_of_two_equal_seeds_have_a_width_inside_0_and_1():
    rows = pd.DataFrame([
        {"metric": "accuracy", "augmentation": "fmix", "seed": i, "value": 1.0, "unit": "accuracy", "low": 0.9, "high": 1.0, "n": 60,
         "status": "ok"} for i in range(2)
    ])  # fmt: skip
    mean = summarize(rows, ("metric", "augmentation")).iloc[-1]
    assert 0.9 < mean["low"] < mean["high"] == 1.0
