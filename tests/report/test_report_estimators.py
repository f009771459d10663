"""The page of estimators on known answers, from rows made up here."""

import math

import pandas as pd
import pytest

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.information.truths.known_answers import Answer
from msda_analysis.report import write_report
from msda_analysis.report.answers import label_of_method, read_answers, symbol_of, wide_table
from msda_analysis.report.sections import encoders, estimators
from msda_analysis.report.sections.encoders import draw_bounds
from msda_analysis.report.sections.estimators import draw_error_map, split_tables
from msda_analysis.results import Source, to_rows, to_table, write_table

#: (case, truth) and what each method errs by; "far" is beyond any tolerance.
TRUTHS = {"near": 0.5, "uniform_noise_0.75": 0.3, "additivity_2x2": 0.6, "far": 1.5, "big": 9.0}
KINDS = {"near": "gaussian_copula"}
ERRORS = {
    "auto": {"near": 0.05, "uniform_noise_0.75": -0.02, "additivity_2x2": 0.01, "far": -0.6, "big": -0.8},
    "mine": {"near": 0.2, "uniform_noise_0.75": -0.2, "additivity_2x2": 0.01, "far": -0.6, "big": -3.0},
}


def sample_rows(*, silent=False):
    for method, errors in ERRORS.items():
        for case, error in errors.items():
            value, warned = TRUTHS[case] + error, method == "auto" and abs(error) > 0.5 and not silent
            source = Source("estimators", f"samples-{case}-{method}", case, method, "", 0)
            warnings = ("falls short",) if warned else ()
            details = {"ceiling_nats": math.log(2000), "method": "ksg1"}
            found = Estimate(value, "nats", value - 0.01, value + 0.01, 4000, warnings=warnings, details=details)
            dimensions = Measured("case_dimensions", Estimate(2.0, "variables"), label=KINDS.get(case, "other_copula"))
            numbers = Answer(case, method, TRUTHS[case], found).measured("samples")
            yield from to_rows(source, [*numbers, Measured("estimator_seconds", Estimate(2.0, "s")), dimensions])


def bound_rows(check, methods):
    for kind, truth in (("equal_64_2_nats", 2.0), ("unequal_64_40_nats", 40.0)):
        for method, (factor, bound) in methods.items():
            source = Source("estimators", f"{check}-{kind}", kind, method, "", 0)
            value = factor * truth
            found = Estimate(value, "nats", value, value, 8000, bound, details={"ceiling_nats": 9.0})
            yield from to_rows(source, Answer(kind, method, truth, found).measured(check))


@pytest.fixture
def table():
    bounds = {"rate": (2.0, "upper"), "fitted": (1.001, "upper"), "info_nce": (0.2, "lower")}
    shared = {"upper": (2.0, "upper"), "difference": (1.0, None), "lower": (1.1, "lower")}
    return to_table([*sample_rows(), *bound_rows("encoder", bounds), *bound_rows("between", shared)])


def test_answers_know_their_error_and_tolerance(table):
    answers = read_answers(table, "samples").set_index(["method", "case"])
    far = answers.loc["auto", "far"]
    assert far["error"] == pytest.approx(-0.6) and not far["good"] and far["warned"] and far["chosen"] == "ksg1"
    assert far["tolerance"] == pytest.approx(0.15) and far["ceiling"] == pytest.approx(math.log(2000))
    assert answers.loc["auto", "near"]["good"] and answers.loc["auto", "near"]["tolerance"] == 0.1
    assert answers.loc["auto", "big"]["good"]  # 10 % of 9 nats
    assert answers.loc["mine", "far"]["chosen"] == "" and not far["gaussian"] and far["dim"] == 2
    assert answers.loc["mine", "near"]["gaussian"]


def test_findings_state_the_goal_plainly(table):
    section = estimators.samples_section(table, None)
    share, far, best = section.findings
    assert "on 3 of 4 cases below 2 nats (75 %" in share and "4000 samples" in share and "is missed" in share
    assert "off by more than 0.5 nats on 2 of 5 cases, each time with a warning: far, big" in far
    assert "MINE, is within it on 25 %" in best
    partial = table[~((table["model"] == "mine") & (table["dataset"] == "near"))]
    assert len(estimators.samples_section(partial, None).findings) == 2  # no method beside it saw the same cases
    silent = estimators.samples_section(to_table(sample_rows(silent=True)), None)
    assert "without a warning on far, big" in silent.findings[1]


def test_split_counts_kinds_coverage_and_silent_misses(table):
    answers = read_answers(table, "samples")
    answers = answers.assign(
        gaussian=answers["case"] == "near", dim=[6 if case == "far" else 2 for case in answers["case"]]
    )
    (split,) = split_tables(answers.assign(warned=False))
    rows = {row[0]: row[1:] for row in split.rows}
    number, good, covered, silent = rows["Gaussian copula by construction"]
    assert (number.value, good.value, covered.value, silent.value) == (1, 1, 0, 0)
    number, good, covered, silent = rows["other, up to four dimensions"]
    assert (number.value, good.value, covered.value, silent.value) == (3, 1, 1 / 3, 1)
    number, good, covered, silent = rows["other, more dimensions"]
    assert (number.value, good.value, covered.value, silent.value) == (1, 0, 0, 1)


def test_scored_findings_state_goal_coverage_and_silent_misses(table):
    scored = table.assign(metric=table["metric"].replace("known_samples", "known_scored"))
    (share, silent) = estimators.scored_section(scored, None).findings
    assert "on 4 of 5 cases (80 %" in share and "80 % is met" in share and "holds the truth on 1 of 5" in share
    # far carries a warning, big as well
    assert "without a warning on 0 cases." in silent
    quiet = to_table(row | {"metric": row["metric"].replace("samples", "scored")} for row in sample_rows(silent=True))
    assert "without a warning on 2 cases: far, big." in estimators.scored_section(quiet, None).findings[1]
    assert estimators.scored_section(table, None) is None


def test_encoders_whose_code_is_not_normal_are_told_apart(table):
    rows = table[table["metric"] == "known_encoder"]
    shaped = rows.assign(dataset="shaped_" + rows["dataset"], value=rows["value"] + 1)
    findings = encoders.encoder_section(pd.concat([rows, shaped]), None).findings
    assert "on 2 of 2 linear encoders" in findings[0] and "on 0 of 2 encoders whose code is not normal" in findings[1]


def test_summary_counts_what_it_says(table):
    summary = estimators.samples_section(table, None).tables[0].frame().set_index("Method (all 5 cases)")
    auto, mine = summary.loc["auto (default)"], summary.loc["MINE"]
    assert auto["Cases below 2 nats"] == 4 and auto["Share within 0.1 nats or 10 %"] == 0.75
    assert auto["Off by more than 0.5 nats"] == 2 and auto["of these without a warning"] == 0
    assert mine["of these without a warning"] == 2 and mine["Warnings"] == 0
    assert mine["Mean absolute error (nats)"] == pytest.approx((0.2 + 0.2 + 0.01 + 0.6) / 4)
    assert auto["Mean time (s)"] == 2


def test_misses_and_self_consistency(table):
    _, _, misses, consistency, _ = estimators.samples_section(table, None).tables
    assert [row[0] for row in misses.rows] == ["far"] and misses.rows[0][-2:] == ("ksg1", "falls short")
    (exact, auto, _), law = consistency.frame().to_dict("records"), "additivity: a pair of copies less twice one"
    assert len(consistency.headers) == 2 and exact[law] == 0
    assert auto[law] == pytest.approx(0.61 - 2 * 0.28)
    assert auto[f"{law} high"] - auto[law] == pytest.approx(0.01 * math.sqrt(5))


def test_encoder_and_pair_sentences(table):
    encoder, between = encoders.encoder_section(table, None), encoders.known_between_section(table, None)
    assert (
        "the fitted marginal is within 2 % or 0.3 nats of the truth on 2 of 2 linear encoders (+0.002 to +0.04 nats)"
        in encoder.findings[0]
    )
    assert "Rate +40 nats at 40" in encoder.findings[1] and "InfoNCE \N{MINUS SIGN}32 nats at 40" in encoder.findings[1]
    # the made-up lower bound lies above the truth on both pairs
    assert (
        "2 of 4 bounds lie on their side of the truth by value, 2 within" in between.findings[0]
        and "on 2 of 2 pairs" in between.findings[0]
    )
    assert between.tables[0].headers[2:] == ("Upper", "Estimate", "Lower")


def test_error_map_shows_errors_warnings_and_levels(table):
    (axes, _) = draw_error_map(read_answers(table, "samples")).axes
    texts = [text.get_text() for text in axes.texts]
    assert "\N{MINUS SIGN}0.60!" in texts and "+0.05" in texts and "2 nats" in texts
    assert "ln K = 7.60" in texts
    bold = {text.get_text() for text in axes.texts if text.get_weight() == "bold"}
    assert "+0.05" in bold and "\N{MINUS SIGN}0.60!" not in bold
    names = [label.get_text().split()[0] for label in axes.get_yticklabels()]
    assert names[0] == "uniform" and names[-1] == "big"  # in order of the truth


def test_a_refusal_is_a_dash():
    row = {"case": "a", "method": "mine", "truth": 1.0, "error": math.nan, "warned": False, "good": False}
    (axes, _) = draw_error_map(pd.DataFrame([{**row, "ceiling": math.nan}])).axes
    assert [text.get_text() for text in axes.texts] == ["\N{EN DASH}"]


def test_bounds_figure_draws_every_method_in_both_panels(table):
    answers = encoders.encoder_section(table, None).figures[0].numbers
    figure = draw_bounds(answers[answers["method"] != "info_nce"])
    assert len(figure.axes) == 4  # two groups
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["rate, upper", "best fitted marginal, upper"] and symbol_of("rate") == "rate"
    drawn = [list(line.get_ydata()) for line in figure.axes[-1].lines]
    assert [40.0] in drawn and any(errors == pytest.approx([0.04]) for errors in drawn)


def test_no_symbol_of_the_bounds_is_cut_and_no_room_is_wasted(table):
    answers = encoders.encoder_section(table, None).figures[0].numbers
    figure = draw_bounds(answers)
    above, below = figure.axes[:2], figure.axes[2:]
    for row, values in (
        (above, answers),
        (below, answers.assign(**{k: answers[k] - answers["truth"] for k in ("low", "high")})),
    ):
        low, high = row[0].get_ylim()
        assert all(ax.get_ylim() == (low, high) for ax in row)
        assert low < values["low"].min() and high > 1.3 * values["high"].max()
    figure = draw_bounds(answers[answers["method"] != "info_nce"])
    assert figure.axes[0].get_ylim()[0] > 1, "nothing is drawn below two nats"


def test_a_folder_of_estimates_gets_their_sections_alone(tmp_path, table):
    write_table(table.to_dict("records"), tmp_path / "results.csv")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Estimators from samples" in page and "Finished cells by model" not in page
    assert (
        "could not be made" not in page
        and 'id="flags"' not in page
        and 'id="other"' not in page
        and "over seeds" not in page
        and (tmp_path / "tables" / "estimators.tex").is_file()
    )
    assert (tmp_path / "figures" / "encoder_bounds.pdf").is_file()


def test_nothing_measured_is_no_section_and_bad_tables_are_named(table):
    others = table[table["metric"] == "estimator_seconds"]
    makers = (
        estimators.samples_section,
        estimators.scored_section,
        encoders.encoder_section,
        encoders.known_between_section,
    )
    assert all(make(others, None) is None for make in makers)
    answers = read_answers(table, "samples")
    with pytest.raises(ValueError, match="expected columns truth"):
        draw_error_map(answers.drop(columns="truth"))
    with pytest.raises(ValueError, match="got none"):
        draw_error_map(answers[:0])
    with pytest.raises(ValueError, match="got none"):
        draw_bounds(answers[:0].assign(group="a"))


def test_cases_of_one_truth_are_not_joined(table):
    answers = encoders.encoder_section(table, None).figures[0].numbers
    again = {name: answers[name] + 1 for name in ("value", "low", "high")}
    twice = pd.concat([answers, answers.assign(case="again", **again)], ignore_index=True)
    joined, apart = (
        [line for line in draw_bounds(rows).axes[0].lines if line.get_marker() not in ("None", "")]
        for rows in (answers, twice)
    )
    assert joined and not apart


def test_no_information_is_no_negative_rounding(table):
    answers = read_answers(table, "between").assign(truth=-8.9e-16)
    answers["method"] = "between_" + answers["method"]
    made = wide_table(answers, "between", "")
    assert {row[1].value for row in made.rows} == {0.0} and made.headers[2:] == ("Upper", "Estimate", "Lower")
    assert label_of_method("between_info_nce") == "InfoNCE"
