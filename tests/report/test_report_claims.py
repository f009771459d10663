"""The paper's claims held against made-up rows, the matrix of comparisons, and the figure on likeness."""

import math

import pytest
from scipy import stats

from msda_analysis.estimate import ONE_RUN, Estimate, Measured
from msda_analysis.report import words
from msda_analysis.report.sections import claims, comparisons, likeness, notes, robustness
from msda_analysis.results import Source, read_table, to_rows, write_table

FAMILIES = ("baseline", "mixup", "cutmix")


def source(augmentation, seed=0):
    return Source("made-up", f"{augmentation}-{seed}", "cifar10", "small_cnn", augmentation, seed)


def row_of(augmentation, metric, estimate, attack, epsilon=None, *, seed=0, norm="linf", **more):
    return to_rows(source(augmentation, seed), [Measured(metric, estimate, attack, norm, epsilon, **more)])[0]


def claim_rows(attack, accuracy, kept):
    """Rows of one claim from two (value, low, high)."""
    for metric, (value, low, high) in (("claim_accuracy", accuracy), ("claim_kept", kept)):
        estimate = Estimate(value, "accuracy", low, high, 400, warnings=("5 seeds; epsilon 0.004, 0.008",))
        yield row_of("mixup", metric, estimate, attack, reference="baseline", verdict="undecided")


def curve_rows():
    for a, b, value, p in (("baseline", "mixup", 0.05, 0.001), ("baseline", "cutmix", 0.01, 0.4), ("mixup", "cutmix", -0.04, 0.02)):  # fmt: skip
        for attack in ("deepfool", "pgd", "worst_case"):
            for metric, scale in (("curve_accuracy", 1.0), ("curve_kept", 0.5)):
                estimate = Estimate(scale * value, "accuracy", scale * value - 0.02, scale * value + 0.02, 400)
                p_value = p if metric == "curve_accuracy" else 1.0
                verdict = "undecided" if p_value >= 0.05 else a if value > 0 else b
                yield row_of(a, metric, estimate, attack, reference=b, p_value=p_value, verdict=verdict)


def likeness_rows(deepfool=0.08, n_seeds=3, half=0.01):
    values = {("deepfool", ""): deepfool, ("deepfool", "shuffled"): 0.06, ("uniform_noise", ""): 0.041,
              ("uniform_noise", "shuffled"): 0.04, ("gaussian", ""): 0.04, ("fade", ""): 0.07, ("mixup", ""): 0.8}  # fmt: skip
    for family in FAMILIES:
        for seed in range(n_seeds):
            for (attack, reference), value in values.items():
                where = {"seed": seed, "reference": reference, "norm": "linf" if (attack, "shuffled") in values else ""}
                estimate = Estimate(value + 0.002 * seed, "cosine", n=100)
                yield row_of(family, "energy_share", estimate, attack, **where)
                distance = Estimate(math.sqrt(1 - value**2), "perturbation lengths", n=100)
                yield row_of(family, "distance_to_mixup", distance, attack, **where)
            for attack in ("deepfool", "uniform_noise"):
                chance = values[attack, "shuffled"]
                share = (values[attack, ""] - chance) / (0.8 - chance)
                likeness = Estimate(share, "share of a MixUp step", share - half, share + half, 100)
                for metric in ("mixup_likeness", "mixup_likeness_beyond_fading"):
                    yield row_of(family, metric, likeness, attack, seed=seed)


def survival_rows():
    for family in FAMILIES:
        for seed in range(3):
            for attack in ("deepfool", "worst_case"):
                for i, epsilon in enumerate((0.0, 0.001, 0.01, 0.1)):
                    value = 0.7 - 0.2 * i + 0.01 * seed
                    estimate = Estimate(value, "accuracy", value - 0.07, value + 0.07, 400)
                    yield row_of(family, "survival", estimate, attack, epsilon, seed=seed)


@pytest.fixture
def as_table(tmp_path):
    def make(*parts):
        write_table([row for part in parts for row in part], tmp_path / "results.csv")
        return read_table(tmp_path / "results.csv")

    return make


@pytest.mark.parametrize("attack, interval, region, word", [
    ("deepfool", (0.021, 0.05), "above the margin: an advantage", "supported"),
    ("deepfool", (0.01, 0.05), "on both sides of the margin's upper end", "undecided"),
    ("deepfool", (0.001, 0.015), "within the margin: no practical difference", "refuted"),
    ("deepfool", (-0.02, 0.02), "within the margin: no practical difference", "refuted"),
    ("deepfool", (-0.03, 0.019), "not above the margin: no practical advantage", "refuted"),
    ("deepfool", (-0.06, -0.021), "below the margin: a disadvantage", "refuted"),
    ("deepfool", (-0.03, 0.03), "on both sides of the margin's upper end", "undecided"),
    ("strong_gradient", (0.03, 0.05), "above the margin: an advantage", "refuted"),
    ("strong_gradient", (0.001, 0.015), "within the margin: no practical difference", "supported"),
    ("strong_gradient", (-0.06, -0.03), "below the margin: a disadvantage", "supported"),
    ("strong_gradient", (0.01, 0.05), "on both sides of the margin's upper end", "undecided"),
])  # fmt: skip
def test_verdicts_follow_the_region_of_the_interval(as_table, attack, interval, region, word):
    number = (sum(interval) / 2, *interval)
    verdicts = claims.judge_claims(as_table(claim_rows(attack, number, number)))
    assert [(verdict.region, verdict.word) for verdict in verdicts] == [(region, word)] * 2
    (line,) = claims.claim_findings(verdicts)
    assert f": {word}. Accuracy " in line and line.endswith("(5 seeds; epsilon 0.004, 0.008).")
    assert region not in line, "the table has it"
    table = claims.claims_table(verdicts, name="claims", caption="")
    assert table.rows[0][3:5] == (region, word.capitalize())


def test_a_single_training_run_decides_no_claim(as_table):
    number = (0.3, 0.25, 0.35)
    rows = [{**row, "verdict": ONE_RUN} for row in claim_rows("deepfool", number, number)]
    verdicts = claims.judge_claims(as_table(rows))
    assert {verdict.word for verdict in verdicts} == {"undecided (one run)"}
    (line,) = claims.claim_findings(verdicts)
    assert line.startswith("Claim (a) MixUp is more robust to DeepFool: undecided (one run). ")
    assert "an advantage" not in line and "supported" not in line


def test_readings_that_differ_leave_a_claim_undecided(as_table):
    rows = claim_rows("uniform_noise", (-0.05, -0.075, -0.025), (0.04, 0.021, 0.059))
    (line,) = claims.claim_findings(claims.judge_claims(as_table(rows)))
    assert line.startswith("Claim (b) MixUp is more robust to uniform noise: undecided, as the readings differ. ")
    assert "5.0 points less [2.5, 7.5], below the margin: a disadvantage, refuted" in line
    assert "4.0 points more [2.1, 5.9], above the margin: an advantage, supported" in line


def test_likeness_is_the_way_from_chance_to_a_mixup_step(as_table):
    table = as_table(likeness_rows())
    assert [each.value for each in claims.likeness_of(table, "deepfool", "linf")] == pytest.approx([0.02 / 0.74] * 3)
    verdicts = {verdict.claim: verdict.word for verdict in claims.judge_claims(table)}
    assert verdicts == {
        "(d) perturbations of DeepFool look like MixUp": "refuted",
        "(d) perturbations of uniform noise look like MixUp": "refuted",
    }
    alike = claims.judge_claims(as_table(likeness_rows(deepfool=0.7)))
    assert alike[0].word == "supported" and alike[0].number.value == pytest.approx(0.64 / 0.74)
    assert alike[0].number.low == pytest.approx(0.64 / 0.74 - 0.01), "seeds that agree leave the images' interval"
    wide = claims.judge_claims(as_table(likeness_rows(deepfool=0.7, half=0.5)))
    assert wide[0].word == "undecided", "the interval speaks of images too"
    assert claims.judge_claims(as_table(likeness_rows(n_seeds=1)))[0].word == "undecided (one run)"
    assert claims.likeness_of(table, "pgd", "linf") == []
    faded = as_table(row for row in likeness_rows(deepfool=0.7) if row["metric"] != "mixup_likeness_beyond_fading")
    assert claims.judge_claims(faded)[0].word == "undecided", "fading alone may explain it"


def test_matrix_shows_each_pair_both_ways_and_marks_what_is_significant(as_table):
    table = as_table(curve_rows())
    item = comparisons.matrix_figure(table)
    figure, pairs = item.figure(), item.numbers
    assert len(pairs) == 2 * 3 * 3 * 2 and set(pairs["p_value"]) == {0.001, 0.4, 0.02, 1.0}
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert sorted(pairs["value"]) == sorted(-pairs["value"])
    assert [ax.get_title() for ax in panels[:2]] == ["DeepFool: accuracy", "Worst case: accuracy"]
    texts = {text.get_position(): (text.get_text(), text.get_weight()) for text in panels[0].texts}
    assert texts[1.5, 0.5] == ("+5.0", "bold"), "baseline, first row, minus MixUp, second column"
    assert texts[0.5, 1.5] == ("\N{MINUS SIGN}5.0", "bold")
    assert texts[2.5, 0.5] == ("+1.0", "normal")


def test_table_of_curves_names_the_winner_and_the_reading(as_table):
    pairs = as_table(curve_rows())
    made = comparisons.curve_table(pairs, name="who", caption="")
    assert [row[1] for row in made.rows] == ["DeepFool"] * 3 + ["Worst case"] * 3 + ["PGD"] * 2
    assert [row[-1] for row in made.rows[:3]] == ["Baseline (accuracy)", "undecided", "CutMix (accuracy)"]
    assert [row[0] for row in made.rows[-2:]] == ["Baseline \N{MINUS SIGN} MixUp", "MixUp \N{MINUS SIGN} CutMix"], (
        "under attacks outside the matrix: what differs significantly, and no more"
    )
    undecided = comparisons.curve_table(pairs.assign(p_value=1.0, verdict="undecided"), name="who", caption="")
    assert [row[1] for row in undecided.rows] == ["DeepFool"] * 3 + ["Worst case"] * 3
    assert {row[0] for row in undecided.rows} == {
        f"{a} \N{MINUS SIGN} {b}" for a, b in (("Baseline", "MixUp"), ("Baseline", "CutMix"), ("MixUp", "CutMix"))
    }  # fmt: skip


def test_significant_pairs_are_counted_and_the_largest_told(as_table):
    pairs = as_table(curve_rows())
    (line,) = comparisons.significant_findings(pairs)
    assert line.startswith("Whole curves after Holm's correction over all 18 pairs, attacks and readings, 6 differ. ")
    assert "PGD, accuracy: Baseline 5.0 points above MixUp [3.0, 7.0] (p = 0.001)" in line
    (calm,) = comparisons.significant_findings(pairs.assign(p_value=0.06, verdict="undecided"))
    assert calm.endswith("readings: no two augmentations differ.")


def test_a_long_list_of_differences_is_cut_to_the_largest_and_counted(as_table):
    (line,) = comparisons.significant_findings(as_table(curve_rows()))
    assert "The 3 largest, of all that the table has: DeepFool, accuracy: Baseline 5.0 points above MixUp" in line
    assert line.count("(p = ") == 3 and "MixUp 4.0 points below CutMix" not in line
    few = as_table(curve_rows())
    (line,) = comparisons.significant_findings(few[few["attack"] == "pgd"])
    assert line.count("(p = ") == 2 and "largest" not in line


def test_mixup_is_set_against_each_masking_family(as_table, tmp_path):
    section = comparisons.comparisons_section(as_table(curve_rows()), tmp_path)
    told = [line for line in section.findings if "MixUp against each masking family" in line]
    assert len(told) == 4, "DeepFool and worst case, two readings each"
    assert told[0] == (
        "Difference in accuracy under DeepFool, mean over budgets, MixUp against each masking family: "
        "against CutMix it lies 4.0 points below [2.0, 6.0] (p = 0.02)."
    )
    assert "−2.0 points [−4.0, +0.0] (p = 1)" in told[1]


def test_a_single_training_run_has_no_bold_winner(as_table, tmp_path):
    table = as_table([{**row, "verdict": ONE_RUN} for row in curve_rows()])
    item = comparisons.matrix_figure(table)
    assert {text.get_weight() for ax in item.figure().axes for text in ax.texts} == {"normal"}
    made = comparisons.curve_table(table, name="who", caption="")
    assert {row[-1] for row in made.rows} == {"undecided (one run)"} and {row[1] for row in made.rows} == {
        "DeepFool",
        "Worst case",
    }
    assert "no two augmentations differ" in comparisons.significant_findings(table)[0]
    told = comparisons.comparisons_section(table, tmp_path).findings[1]
    assert told.endswith("against CutMix it −4 points, undecided (one run).")


def test_accuracies_are_told_by_the_studys_own_tests(as_table, tmp_path):
    """Student's interval over seeds on the same few images would decide; images within seeds do not."""
    rows = []
    for family, level in (("baseline", 0.5), ("cutmix", 0.47)):
        for seed in range(3):
            value = level + 0.001 * seed * (family == "cutmix")
            estimate = Estimate(value, "accuracy", value - 0.07, value + 0.07, 200)
            rows.append(row_of(family, "robust_accuracy", estimate, "pgd", 0.01, seed=seed))
    difference = Estimate(0.03, "accuracy", -0.02, 0.08, 200)
    told = {"reference": "cutmix", "p_value": 0.9, "verdict": "undecided"}
    rows.append(row_of("baseline", "accuracy_difference", difference, "pgd", 0.01, **told))
    (line,) = robustness.robustness_section(as_table(rows), tmp_path).findings
    assert line.endswith("against Baseline: CutMix is not distinguishable, −3.0 points [−8.0, +2.0] (p = 0.9).")
    untested = [row for row in rows if row["metric"] == "robust_accuracy"]
    (line,) = robustness.robustness_section(as_table(untested), tmp_path).findings
    assert line.endswith("against Baseline: CutMix lies 2.90 points below [2.65, 3.15] (p = 0.0004) (3 seeds).")


def test_likeness_figure_has_chance_and_a_mixup_step_in_each_panel(as_table):
    item = likeness.likeness_figure(as_table(likeness_rows()))
    figure, numbers = item.figure(), item.numbers
    cosine, distance = figure.axes
    assert [label.get_text() for label in cosine.get_yticklabels()] == ["DeepFool", "Uniform noise"]
    steps = [line.get_xdata()[0] for line in cosine.lines if line.get_linestyle() in (":", "--", "-") and not line.get_marker().strip("None")]  # fmt: skip
    assert steps == pytest.approx([0.042, 0.072, 0.802])
    assert distance.get_xlabel() == "distance to MixUp\n(perturbation lengths)" and set(numbers["level"]) == {"mean"}


def test_sections_of_a_robustness_study(as_table, tmp_path):
    number = (-0.03, -0.06, -0.01)
    table = as_table(claim_rows("deepfool", number, number), curve_rows(), likeness_rows(), survival_rows())
    judged = claims.claims_section(table, tmp_path)
    assert len(judged.findings) == 3 and judged.tables[0].name == "claims"
    compared = comparisons.comparisons_section(table, tmp_path)
    assert [item.name for item in compared.figures] == ["who_is_more_robust"]
    alike = likeness.likeness_section(table, tmp_path)
    assert [item.name for item in alike.figures] == ["likeness", "likeness_details"]
    robust = robustness.robustness_section(table, tmp_path)
    assert [item.name for item in robust.figures] == ["survival"]
    assert notes.other_section(table, tmp_path) is None
    assert notes.flags_section(table, tmp_path) is None


def information_rows(mixup=(24.9, 25.1, 25.0, 25.0), cutmix=(27.1, 26.9, 27.0, 27.0)):
    levels = {"baseline": (27.2, 26.8, 27.1, 26.9), "mixup": mixup, "cutmix": cutmix}
    for name, values in levels.items():
        for seed, value in enumerate(values):
            found = Estimate(value, "nats", value - 0.1, value + 0.1, 1000, "upper")
            where = Source("made-up", f"vae-{name}-{seed}", "cifar10", "vae", name, seed)
            yield from to_rows(where, [Measured("flow", found)])


def test_information_is_judged_against_two_percent_of_the_baseline(as_table):
    mixup, cutmix = claims.judge_claims(as_table(information_rows()))
    assert (
        mixup.claim == "(e) MixUp lowers what a VAE encodes of clean images, by an upper bound"
        and mixup.word == "supported"
    )
    assert (
        cutmix.claim == "(f) CutMix does not lower what a VAE encodes of clean images, by an upper bound"
        and cutmix.word == "supported"
    )
    assert mixup.margin == pytest.approx(0.02 * 27.0) and mixup.number.value == pytest.approx(-2.0)
    differences = [-2.3, -1.7, -2.1, -1.9]
    half = stats.t.ppf(1 - 0.025 / 2, 3) * stats.sem(differences)
    assert mixup.number.low == pytest.approx(-2.0 - half), "two families at once: Bonferroni"
    (opened, _) = claims.claim_findings([mixup, cutmix])
    assert opened.startswith(
        "Claim (e) MixUp lowers what a VAE encodes of clean images, by an upper bound: supported. Information 2.0"
    )
    same = claims.judge_claims(as_table(information_rows(mixup=(27.0, 27.1, 26.9, 27.0))))
    assert same[0].word == "refuted" and same[0].region == "not below the margin: not lowered in practice"
    lost = claims.judge_claims(as_table(information_rows(cutmix=(25.0, 25.1, 24.9, 25.0))))
    assert lost[1].word == "refuted" and lost[1].region == "below the margin: lowered"


def test_an_undecided_claim_says_how_many_seeds_would_decide(as_table):
    (mixup, _) = claims.judge_claims(as_table(information_rows(mixup=(25.6, 27.0, 26.4, 25.0))))
    assert mixup.word == "undecided"
    needed = int(mixup.needs.removeprefix("needs about ").removesuffix(" seeds"))
    scale = (mixup.number.high - mixup.number.low) / 2 * 2 / stats.t.ppf(0.975, 3)
    reach = [scale * stats.t.ppf(0.975, n - 1) / n**0.5 for n in (needed - 1, needed)]
    distance = abs(mixup.number.value + mixup.margin)
    assert reach[1] < distance <= reach[0]


def test_two_seeds_decide_nothing(as_table):
    (mixup, _) = claims.judge_claims(as_table(information_rows(mixup=(20.0, 20.1), cutmix=(27.0, 27.1))))
    assert mixup.word == "undecided (2 seeds)" and mixup.needs == "needs at least 3 seeds"


def test_the_figure_draws_the_numbers_and_says_the_verdicts(as_table):
    section = claims.claims_section(
        as_table(information_rows(), claim_rows("deepfool", (0.1, 0.05, 0.15), (0.0, -0.05, 0.05)), curve_rows()), None
    )
    (item,) = section.figures
    assert section.is_headline and list(dict.fromkeys(item.numbers["unit"])) == ["nats", "points"]
    robust = item.numbers[item.numbers["question"] == "More robust to DeepFool?"]
    assert list(robust["side"]) == ["MixUp", "MixUp, still right", "CutMix"]
    assert list(robust["value"]) == pytest.approx([10.0, 0.0, -1.0]), "percentage points, less the baseline"
    _, ax = item.figure().axes
    assert [text.get_text() for text in ax.texts] == [
        "more robust: claim supported",
        "undecided; needs 7x as many seeds and images",
        "not more robust",
    ]
    ends = {
        tuple(part[:, 0]) for bars in ax.collections if hasattr(bars, "get_segments") for part in bars.get_segments()
    }
    assert ends == set(zip(robust["low"], robust["high"], strict=True))


def test_the_figure_answers_its_question_where_the_claim_denies_it(as_table):
    """A supported "does not help" beside "More robust?" would read as a yes."""
    number = (-0.1, -0.15, -0.05)
    rows = [
        *claim_rows("strong_gradient", number, number),
        *information_rows(mixup=(25.0, 25.1, 24.9), cutmix=(45.0, 45.1, 44.9)),
    ]
    (item,) = claims.claims_section(as_table(rows), None).figures
    said = item.numbers.set_index("side")["said"]
    assert said["CutMix"] == "more: claim supported"
    assert (
        list(item.numbers[item.numbers["question"].str.startswith("More")]["said"])
        == ["less robust: claim supported"] * 2
    )


def test_what_came_out_is_counted_in_one_sentence(as_table):
    good, bad, open_ = (0.1, 0.05, 0.15), (-0.1, -0.15, -0.05), (0.0, -0.05, 0.05)
    rows = [
        *claim_rows("deepfool", good, good),
        *claim_rows("uniform_noise", good, open_),
        *claim_rows("mixup_direction", bad, bad),
    ]
    section = claims.claims_section(as_table(rows), None)
    assert section.answer == "Of 3 claims of the paper this study supports 1, refutes 1 and leaves 1 undecided."
    assert claims.claims_section(as_table(claim_rows("deepfool", good, good)), None).answer == (
        "Of 1 claim of the paper this study supports 1, refutes none and leaves none undecided."
    )


def test_rows_without_a_claim_say_what_would_decide_them(as_table):
    wide = [row | {"low": row["value"] - 0.05, "high": row["value"] + 0.05} for row in curve_rows()]
    (item,) = claims.claims_section(
        as_table(claim_rows("deepfool", (0.1, 0.05, 0.15), (0.1, 0.05, 0.15)), wide), None
    ).figures
    assert item.numbers.set_index("side")["said"]["CutMix"] == "undecided; needs 3x as many seeds and images"


def test_the_first_screens_caption_speaks_of_what_the_figure_shows(as_table):
    (item,) = claims.claims_section(
        as_table(claim_rows("deepfool", (0.1, 0.05, 0.15), (0.1, 0.05, 0.15))), None
    ).figures
    assert item.brief.startswith("Bars: 95 % intervals. Grey: no practical difference. Still right: ")
    (item,) = claims.claims_section(as_table(information_rows()), None).figures
    assert "Still right" not in item.brief and item.brief in "Bars: 95 % intervals. Grey: no practical difference."


def test_differences_against_epsilon_are_turned_to_the_reference(as_table):
    rows = [
        row_of("baseline", "accuracy_difference", Estimate(0.1 * i, "accuracy", 0.1 * i - 0.05, 0.1 * i + 0.02, 400), attack, 0.01 * i,
               reference="mixup", p_value=1.0, verdict="undecided")
        for attack in ("deepfool", "pgd") for i in range(3)
    ]  # fmt: skip
    main, others = comparisons.difference_figures(as_table(rows))
    assert set(main.numbers["attack"]) == {"deepfool"} and others.is_folded and not main.is_folded
    assert list(main.numbers["value"]) == pytest.approx([0.0, -10.0, -20.0]) and set(main.numbers["augmentation"]) == {
        "mixup"
    }
    assert list(main.numbers["low"]) == pytest.approx([-2.0, -12.0, -22.0])
    ax = main.figure().axes[0]
    assert ax.get_title() == "DeepFool" and ax.get_ylabel() == "minus Baseline (points)"


def test_claims_of_two_models_are_told_apart(as_table):
    rows = list(claim_rows("deepfool", (0.1, 0.05, 0.15), (0.1, 0.05, 0.15)))
    section = claims.claims_section(as_table(rows, [{**row, "model": "vgg11_bn"} for row in rows]), None)
    first, second = section.findings
    for finding, model in ((first, "small_cnn"), (second, "vgg11_bn")):
        assert finding.startswith(
            f"Claim (a) MixUp is more robust to DeepFool (cifar10, {model}): supported. Accuracy 10.0 points more [5.0, 15.0]; share still right"
        )
    assert len(section.figures[0].figure().axes) == 2


def test_the_tables_caption_speaks_of_the_rows_that_it_has(as_table, tmp_path):
    of_bounds = claims.claims_section(as_table(information_rows()), tmp_path).tables[0].caption
    of_likeness = claims.claims_section(as_table(likeness_rows()), tmp_path).tables[0].caption
    assert "2 % of the level" in of_bounds and "Likeness" not in of_bounds and "points" not in of_bounds
    assert of_likeness.startswith("Likeness is supported")


def test_attacks_with_ordinary_names_have_no_capital_within_a_sentence():
    assert words.attack_in_text("uniform_noise", "linf") == "uniform noise"
    assert words.attack_in_text("uniform_noise", "l2") == "uniform noise (L2)"
    assert words.attack_in_text("worst_case") == "the worst case"
    assert words.attack_in_text("deepfool", "l2") == "DeepFool (L2)" and words.attack_in_text("pgd") == "PGD"


def test_no_two_measures_of_likeness_have_one_name():
    symbols = [metric.symbol for metric in likeness.METRICS.values()]
    assert len(set(symbols)) == len(symbols)
