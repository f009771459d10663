import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from msda_analysis.estimate import IMAGES_ALONE, ONE_RUN, holm
from msda_analysis.robustness import (
    Outcome,
    compare,
    compare_claims,
    compare_curves,
    mcnemar,
    median_norm,
    nested_difference,
    survival_curve,
)


def bits(n, share, seed):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) < share


def test_mcnemar_by_hand():
    a = torch.tensor([True] * 8 + [False] * 2 + [True] * 5)
    b = torch.tensor([False] * 8 + [True] * 2 + [True] * 5)
    result = mcnemar(a, b)
    # two-sided binomial: 2 * (C(10,0) + C(10,1) + C(10,2)) / 2^10
    assert result.p_value == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert (result.only_a, result.only_b, result.n, result.difference) == (8, 2, 15, 6 / 15)
    assert mcnemar(a, a).p_value == 1.0


def test_nested_interval_counts_the_variation_between_training_seeds():
    """Seeds whose images all agree: the variance between seeds is s^2 / seeds on each side."""
    rates_a, rates_b = [0.2, 0.5, 0.8, 0.4], [0.1, 0.3, 0.2, 0.4]
    n = 1000
    a, b = (torch.stack([torch.arange(n) < rate * n for rate in rates]).numpy() for rates in (rates_a, rates_b))
    result, _ = nested_difference(a, b)
    parts = [(np.var(rates, ddof=1) / 4, 3) for rates in (rates_a, rates_b)]
    parts.append(((a.mean(0) - b.mean(0)).var(ddof=1) / n, n - 1))
    variance = sum(part for part, _ in parts)
    degrees = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    half = stats.t.ppf(0.975, degrees) * variance**0.5
    assert (result.low, result.high) == pytest.approx((result.value - half, result.value + half))
    assert result.warnings == ()


@pytest.mark.parametrize("n_seeds, spread", [(3, 0.05), (3, 0.3), (5, 0.1)])
def test_intervals_of_few_seeds_cover_the_true_difference(n_seeds, spread):
    """No true difference: 95 % intervals of compare() hold 0 in 95 % of 150 studies, less three standard errors.

    Two seeds have no interval between seeds: see the next test.
    """
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for _ in range(150):
        difficulty = torch.rand(100, generator=generator)
        shift = spread * torch.randn(2 * n_seeds, 1, generator=generator)
        broken = torch.rand(2 * n_seeds, 100, generator=generator) >= difficulty + shift
        runs = [make_outcome(success[None, None]) for success in broken]
        (row,) = compare({"baseline": runs[:n_seeds], "mixup": runs[n_seeds:]}).table.itertuples()
        covered += row.low <= 0 <= row.high
    assert covered / 150 >= 0.95 - 3 * (0.05 * 0.95 / 150) ** 0.5


def test_nested_difference_is_welch_when_images_do_not_vary():
    a = torch.tensor([[True] * 6, [True] * 6, [False] * 6])
    b = torch.tensor([[False] * 6, [True] * 6, [False] * 6, [False] * 6])
    expected = stats.ttest_ind(a.double().mean(1), b.double().mean(1), equal_var=False).pvalue
    assert nested_difference(a, b)[1] == pytest.approx(expected)
    assert nested_difference(a[:2], a[:2])[1] == 1.0
    assert nested_difference(a[:2], ~a[:2])[1] == 0.0


def test_nested_difference_keeps_its_level():
    """No true difference: at most 5 % of p-values below 0.05, up to three standard errors of 300 trials."""
    generator = torch.Generator().manual_seed(0)
    false_findings = 0
    for _ in range(300):
        difficulty = torch.rand(100, generator=generator)
        shift = 0.1 * torch.randn(6, 1, generator=generator)
        survived = torch.rand(6, 100, generator=generator) < (difficulty + shift)
        false_findings += nested_difference(survived[:3], survived[3:])[1] < 0.05
    assert false_findings / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()
    assert min(corrected) == min(1.0, len(p_values) * min(p_values))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"p_values\[0\]: expected a number in"):
        holm([1.5])


def make_outcome(success, attacks=("fgsm",), epsilons=(0.1,)):
    norms = torch.zeros(success.shape[0], success.shape[2])
    return Outcome(success, norms, torch.ones(success.shape[2], dtype=torch.bool), attacks, epsilons, "linf", 0)


def test_two_seeds_give_the_interval_of_the_images_alone_and_no_verdict():
    """Student's over two seeds would be hundreds of points wide where they differ, and of no width where they agree."""
    a, b = (np.stack([bits(200, share, seed).numpy() for seed in (1, 2)]) for share in (0.2, 0.8))
    result, _ = nested_difference(a, b)
    paired = (a.mean(0, dtype=float) - b.mean(0, dtype=float)).std(ddof=1) / 200**0.5
    assert result.high - result.value == pytest.approx(stats.t.ppf(0.975, 199) * paired) and result.warnings == (
        IMAGES_ALONE,
    )
    runs = {
        name: [make_outcome(torch.from_numpy(~side)[None, None]) for side in sides]
        for name, sides in (("a", a), ("b", b))
    }
    assert set(compare(runs).table["verdict"]) == {"undecided (2 seeds)"}


def test_compare_says_who_is_more_robust_and_corrects_for_all_rows():
    shares = {"baseline": 0.7, "mixup": 0.3, "cutmix": 0.7}
    outcomes = {
        name: [make_outcome(bits(300, share, 10 * i + seed)[None, None]) for seed in range(3)]
        for i, (name, share) in enumerate(shares.items())
    }
    table = compare(outcomes).table
    assert len(table) == 3 and set(table["test"]) == {"nested t"}
    verdict = {(row.a, row.b): row.verdict for row in table.itertuples()}
    assert verdict == {("baseline", "mixup"): "b", ("baseline", "cutmix"): "undecided", ("mixup", "cutmix"): "a"}
    assert table["p_holm"].tolist() == holm(table["p_value"].tolist())
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


def test_one_run_decides_nothing():
    """A classifier that breaks everywhere against one that never does: the test says so, the verdict does not."""
    weak, strong = torch.ones(1, 2, 300, dtype=torch.bool), torch.zeros(1, 2, 300, dtype=torch.bool)
    weak[0, 0], strong[0, 1, :150] = False, True
    outcomes = {name: [make_outcome(success, epsilons=(0.0, 0.1))] for name, success in
                {"baseline": weak, "mixup": strong}.items()}  # fmt: skip
    single = compare(outcomes).table
    assert set(single["test"]) == {"McNemar exact"} and single["p_holm"].min() < 1e-6
    curves = compare_curves(outcomes)
    assert curves["p_holm"].min() < 1e-6
    assert set(single["verdict"]) == set(curves["verdict"]) == {ONE_RUN} == {"undecided (one run)"}


def test_claims_are_judged_at_the_budgets_that_the_baseline_chooses():
    """The baseline is partly broken at 0.1 alone, MixUp at 0.2 alone."""
    n = 100
    kept = {"baseline": (100, 50, 0), "mixup": (100, 98, 50)}
    outcomes = {
        name: [make_outcome((torch.arange(n) >= torch.tensor(counts)[:, None])[None], ("deepfool",), (0.0, 0.1, 0.2))]
        for name, counts in kept.items()
    }
    claims = compare_claims(outcomes)
    assert set(claims["epsilons"]) == {(0.1,)}
    assert claims["value"].tolist() == pytest.approx([0.48, 0.48])
    assert set(compare_curves(outcomes)["epsilons"]) == {(0.1,)}


def test_compare_uses_seeds_as_the_outer_level_and_adds_the_worst_case():
    outcomes = {
        name: [make_outcome(torch.stack([bits(200, share, 10 * s + k) for k in range(2)])[:, None], ("fgsm", "pgd"))
               for s in range(3)]
        for name, share in (("baseline", 0.8), ("mixup", 0.3))
    }  # fmt: skip
    table = compare(outcomes).table
    assert table["attack"].tolist() == ["fgsm", "pgd", "worst_case"]
    assert set(table["test"]) == {"nested t"} and set(table["verdict"]) == {"b"} and set(table["seeds_a"]) == {3}
    row = table.iloc[0]
    sides = [~torch.stack([run.success[0, 0] for run in outcomes[name]]).numpy() for name in ("baseline", "mixup")]
    expected, p_value = nested_difference(*sides)
    assert (row["low"], row["high"], row["p_value"]) == (expected.low, expected.high, p_value)


def test_survival_curve_and_its_band():
    norms = torch.tensor([0.0, 0.1, 0.2, 0.3, torch.inf])
    curve = survival_curve(norms, [0.0, 0.1, 0.25])
    assert curve["value"].tolist() == [0.8, 0.6, 0.4]
    half = (np.log(2 / 0.05) / 10) ** 0.5
    assert np.allclose(curve["high"] - curve["value"], half) and np.allclose(curve["value"] - curve["low"], half)


def test_band_covers_the_whole_true_curve():
    """400 draws of 50 uniform norms: the band misses somewhere in at most 5 % plus three standard errors."""
    grid = np.linspace(0, 1, 41)
    missed = 0
    for seed in range(400):
        norms = torch.rand(50, generator=torch.Generator().manual_seed(seed))
        half = (np.log(2 / 0.05) / 100) ** 0.5
        value = (norms[:, None] > torch.from_numpy(grid)).double().mean(0).numpy()
        missed += (np.abs(value - (1 - grid)) > half).any()
        if seed == 0:
            curve = survival_curve(norms, grid)
            assert np.allclose(curve["value"], value) and np.allclose(curve["high"] - value, half)
    assert missed / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_median_norm_interval_covers():
    covered = 0
    for seed in range(300):
        estimate = median_norm(torch.rand(40, generator=torch.Generator().manual_seed(seed)))
        covered += estimate.low <= 0.5 <= estimate.high
    assert covered / 300 >= 0.95 - 3 * (0.05 * 0.95 / 300) ** 0.5
    assert median_norm(torch.tensor([0.0, 0.2, torch.inf])).value == pytest.approx(0.2)
    assert median_norm(torch.tensor([1.0])).low is None


def test_errors():
    a = bits(10, 0.5, 0)
    with pytest.raises(ValueError, match=r"survived_a: expected bool \[image\]"):
        mcnemar(a.float(), a)
    with pytest.raises(ValueError, match=r"survived_b: expected bool \[image\] as survived_a"):
        mcnemar(a, a[:5])
    with pytest.raises(ValueError, match="values_b: expected the same 10 images"):
        nested_difference(a[None].numpy(), a[None, :5].numpy())
    with pytest.raises(ValueError, match=r"values_a: expected numbers \[training seed, image\], got shape \(10,\)"):
        nested_difference(a.numpy(), a.numpy())
    one = make_outcome(a[None, None])
    with pytest.raises(ValueError, match="outcomes: expected at least two augmentations"):
        compare({"baseline": [one]})
    with pytest.raises(ValueError, match=r"outcomes\['mixup'\]: expected the same attacks"):
        compare({"baseline": [one], "mixup": [make_outcome(a[None, None], ("pgd",))]})
    with pytest.raises(ValueError, match=r"outcomes\['mixup'\]: expected the same images"):
        compare({"baseline": [one], "mixup": [make_outcome(a[None, None, :5])]})
    with pytest.raises(ValueError, match="one training seed each or at least two each, got 1 and 2"):
        compare({"baseline": [one], "mixup": [one, one]})
    with pytest.raises(ValueError, match=r"minimum_norms: expected float \[image\] >= 0 without NaN"):
        survival_curve(torch.tensor([0.1, torch.nan]), [0.1])
