"""The paper's claims held against made-up rows, the matrix of comparisons, and the figure on likeness."""

import math

import pytest

from msda_analysis.estimate import Estimate
from msda_analysis.figures import claims, robustness_panels, sections, tables
from msda_analysis.results import Source, make_row, read_table, write_table

FAMILIES = ("baseline", "mixup", "cutmix")


def source(augmentation, seed=0):
    settings = {"attack": {"norm": "linf"}}
    return Source("made-up", f"{augmentation}-{seed}", "cifar10", "small_cnn", augmentation, seed, settings)


def claim_rows(attack, accuracy, kept):
    """Rows of one claim from two (value, low, high)."""
    for metric, (value, low, high) in (("claim_accuracy", accuracy), ("claim_kept", kept)):
        estimate = Estimate(value, "accuracy", low, high, 400, warnings=("5 seeds; epsilon 0.004, 0.008",))
        yield make_row(source("mixup - baseline"), metric, estimate, attack=attack)


def curve_rows():
    for a, b, value, p in (("baseline", "mixup", 0.05, 0.001), ("baseline", "cutmix", 0.01, 0.4), ("mixup", "cutmix", -0.04, 0.02)):  # fmt: skip
        for attack in ("deepfool", "pgd", "worst_case"):
            for metric, scale in (("curve_accuracy", 1.0), ("curve_kept", 0.5)):
                estimate = Estimate(scale * value, "accuracy", scale * value - 0.02, scale * value + 0.02, 400)
                yield make_row(source(f"{a} - {b}"), metric, estimate, attack=attack)
                corrected = Estimate(p if metric == "curve_accuracy" else 1.0, "probability", n=400)
                yield make_row(source(f"{a} - {b}"), f"{metric}_p_holm", corrected, attack=attack)


def likeness_rows(deepfool=0.08, n_seeds=3, half=0.01):
    values = {"deepfool": deepfool, "deepfool (shuffled)": 0.06, "uniform_noise": 0.041,
              "uniform_noise (shuffled)": 0.04, "gaussian": 0.04, "fade": 0.07, "mixup": 0.8}  # fmt: skip
    for family in FAMILIES:
        for seed in range(n_seeds):
            for attack, value in values.items():
                estimate = Estimate(value + 0.002 * seed, "cosine", n=100)
                yield make_row(source(family, seed), "energy_share", estimate, attack=attack)
                distance = Estimate(math.sqrt(1 - value**2), "perturbation lengths", n=100)
                yield make_row(source(family, seed), "distance_to_mixup", distance, attack=attack)
            for attack in ("deepfool", "uniform_noise"):
                share = (values[attack] - values[f"{attack} (shuffled)"]) / (0.8 - values[f"{attack} (shuffled)"])
                likeness = Estimate(share, "share of a MixUp step", share - half, share + half, 100)
                for metric in ("mixup_likeness", "mixup_likeness_beyond_fading"):
                    yield make_row(source(family, seed), metric, likeness, attack=attack)


def survival_rows():
    for family in FAMILIES:
        for seed in range(3):
            for attack in ("deepfool", "worst_case"):
                for i, epsilon in enumerate((0.0, 0.001, 0.01, 0.1)):
                    value = 0.7 - 0.2 * i + 0.01 * seed
                    estimate = Estimate(value, "accuracy", value - 0.07, value + 0.07, 400)
                    yield make_row(source(family, seed), "survival", estimate, attack=attack, epsilon=epsilon)


@pytest.fixture
def as_table(tmp_path):
    def make(*parts):
        write_table([row for part in parts for row in part], tmp_path / "results.csv")
        return read_table(tmp_path / "results.csv")

    return make


@pytest.mark.parametrize("attack, interval, word", [
    ("deepfool", (0.01, 0.05), "supported"),
    ("deepfool", (-0.03, 0.019), "refuted"),
    ("deepfool", (-0.06, -0.02), "refuted"),
    ("deepfool", (-0.01, 0.03), "undecided"),
    ("strong_gradient", (0.01, 0.05), "refuted"),
    ("strong_gradient", (0.001, 0.015), "refuted"),
    ("strong_gradient", (-0.03, 0.019), "supported"),
    ("strong_gradient", (-0.01, 0.03), "undecided"),
])  # fmt: skip
def test_verdicts_follow_the_interval(as_table, attack, interval, word):
    number = (sum(interval) / 2, *interval)
    verdicts = claims.judge_claims(as_table(claim_rows(attack, number, number)))
    assert [verdict.word for verdict in verdicts] == [word, word]
    (line,) = claims.claim_findings(verdicts)
    assert f": {word}. Accuracy " in line and line.endswith("(5 seeds; epsilon 0.004, 0.008).")


def test_readings_that_differ_leave_a_claim_undecided(as_table):
    rows = claim_rows("uniform_noise", (-0.05, -0.08, -0.02), (0.03, 0.01, 0.05))
    (line,) = claims.claim_findings(claims.judge_claims(as_table(rows)))
    assert line.startswith("Claim (b) MixUp is more robust to uniform noise: undecided, as the readings differ. ")
    assert "5.0 points less [2.0, 8.0], refuted" in line and "3.0 points more [1.0, 5.0], supported" in line


def test_likeness_is_the_way_from_chance_to_a_mixup_step(as_table):
    table = as_table(likeness_rows())
    assert [each.value for each in claims.likeness_of(table, "deepfool")] == pytest.approx([0.02 / 0.74] * 3)
    verdicts = {verdict.claim: verdict.word for verdict in claims.judge_claims(table)}
    assert verdicts == {
        "(d) perturbations of DeepFool look like MixUp": "refuted",
        "(d) perturbations of Uniform noise look like MixUp": "refuted",
    }
    alike = claims.judge_claims(as_table(likeness_rows(deepfool=0.7)))
    assert alike[0].word == "supported" and alike[0].number.value == pytest.approx(0.64 / 0.74)
    assert alike[0].number.low == pytest.approx(0.64 / 0.74 - 0.01), "seeds that agree leave the images' interval"
    wide = claims.judge_claims(as_table(likeness_rows(deepfool=0.7, half=0.5)))
    assert wide[0].word == "undecided", "the interval speaks of images too"
    assert claims.likeness_of(table, "pgd") == []
    faded = as_table(row for row in likeness_rows(deepfool=0.7) if row["metric"] != "mixup_likeness_beyond_fading")
    assert claims.judge_claims(faded)[0].word == "undecided", "fading alone may explain it"


def test_matrix_shows_each_pair_both_ways_and_marks_what_is_significant(as_table):
    table = as_table(curve_rows())
    figure, pairs = robustness_panels.draw_matrix(table)
    assert len(pairs) == 3 * 3 * 2 and set(pairs["p_holm"]) == {0.001, 0.4, 0.02, 1.0}
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels[:2]] == ["DeepFool: accuracy", "Worst case: accuracy"]
    texts = {text.get_position(): (text.get_text(), text.get_weight()) for text in panels[0].texts}
    assert texts[1, 0] == ("+5.0", "bold"), "baseline, first row, minus MixUp, second column"
    assert texts[0, 1] == ("\N{MINUS SIGN}5.0", "bold")
    assert texts[2, 0] == ("+1.0", "normal")


def test_table_of_curves_names_the_winner_and_the_reading(as_table):
    pairs = robustness_panels.shown_pairs(robustness_panels.matrix_pairs(as_table(curve_rows())))
    made = tables.curve_table(pairs, name="who", caption="")
    assert {row[1] for row in made.rows} == {"DeepFool", "Worst case"}
    assert [row[-1] for row in made.rows[:3]] == ["Baseline (accuracy)", "undecided", "CutMix (accuracy)"]
    assert len(made.rows) == 6
    undecided = pairs.assign(p_holm=1.0)
    assert {row[0] for row in tables.curve_table(undecided, name="who", caption="").rows} == {
        "Baseline \N{MINUS SIGN} MixUp", "Baseline \N{MINUS SIGN} CutMix",
    }  # fmt: skip


def test_likeness_figure_has_chance_and_a_mixup_step_in_each_panel(as_table):
    figure, numbers = robustness_panels.draw_likeness(as_table(likeness_rows()))
    cosine, distance = figure.axes
    assert [label.get_text() for label in cosine.get_yticklabels()] == ["DeepFool", "Uniform noise"]
    steps = [line.get_xdata()[0] for line in cosine.lines if line.get_linestyle() in (":", "--", "-") and not line.get_marker().strip("None")]  # fmt: skip
    assert steps == pytest.approx([0.042, 0.072, 0.802])
    assert distance.get_xlabel() == "distance to MixUp" and set(numbers["level"]) == {"seed", "mean"}


def test_sections_of_a_robustness_study(as_table, tmp_path):
    number = (-0.03, -0.06, -0.01)
    table = as_table(claim_rows("deepfool", number, number), curve_rows(), likeness_rows(), survival_rows())
    judged = sections.claims_section(table, tmp_path)
    assert len(judged.findings) == 3 and judged.tables[0].name == "claims"
    compared = sections.comparison_section(table, tmp_path)
    assert [item.name for item in compared.figures] == ["who_is_more_robust"]
    likeness = sections.likeness_section(table, tmp_path)
    assert [item.name for item in likeness.figures] == ["likeness", "likeness_details"]
    robust = sections.robustness_section(table, tmp_path)
    assert [item.name for item in robust.figures] == ["survival"]
    assert sections.other_section(table, tmp_path) is None
    assert sections.flags_section(table, tmp_path) is None
