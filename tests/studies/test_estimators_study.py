"""The table of known answers: resumed, refused, and with a row for everything."""

import json

import pytest

from msda_analysis.information.truths.known_answers import answer_samples, known_cases
from msda_analysis.results import read_rows, read_table
from msda_analysis.studies import Store, cells_of, run_study
from msda_analysis.studies.plans import EstimatorPlan
from msda_analysis.studies.steps import estimators

PLAN = EstimatorPlan(("gaussian", "ksg1"), samples=100, images=64, smoke=True)
ANSWERS: dict = {}


@pytest.fixture(autouse=True)
def remembered(monkeypatch):
    """Each question is answered once for all tests here: what they look at is who asks it, when, and what becomes of it."""
    real = estimators._answer

    def answer(plan, settings):
        asked = json.dumps(settings, sort_keys=True)
        if asked not in ANSWERS:
            ANSWERS[asked] = real(plan, settings)
        return ANSWERS[asked]

    monkeypatch.setattr(estimators, "_answer", answer)


def test_an_interrupted_table_goes_on_where_it_stopped(tmp_path, monkeypatch):
    run, seen = estimators._answer, []

    def stop_at_third(plan, settings):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(settings)
        return run(plan, settings)

    monkeypatch.setattr(estimators, "_answer", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        run_study(PLAN, tmp_path)
    assert len(seen) == 2 and not (tmp_path / "results.csv").exists()
    monkeypatch.setattr(estimators, "_answer", lambda plan, settings: seen.append(settings) or run(plan, settings))
    page = run_study(PLAN, tmp_path).report
    assert page is not None and page.name == "report.html" and page.is_file()
    assert seen == [cell.settings for cell in cells_of(PLAN)]  # each once, none again
    rows = read_table(tmp_path / "results.csv")
    known = rows[rows["metric"] == "known_samples"]
    assert list(known["model"]) == ["gaussian"] * 2 + ["ksg1"] * 2 and len(set(known["dataset"])) == 2
    assert set(rows["metric"]) >= {
        *(f"known_{check}" for check in ("samples", "scored", "encoder", "between")),
        "known_encoder_gap", "known_between_ceiling", "estimator_seconds", "case_dimensions",
    }  # fmt: skip
    assert (rows["commit"] != "").any() and (rows["device"] == "cpu").all()


def test_rows_hold_what_the_function_gives(tmp_path, undrawn):
    run_study(PLAN, tmp_path)
    case = next(iter(known_cases("samples").values()))
    answer = answer_samples(case, "ksg1", 100)
    rows = read_rows(tmp_path / "results.csv")
    row = next(row for row in rows if (row["metric"], row["model"]) == ("known_samples", "ksg1"))
    assert float(row["value"]) == answer.found.value and float(row["x"]) == case.truth == answer.truth
    assert answer.error == answer.found.value - case.truth
    assert row["label"] == case.name and json.loads(row["settings"]) == {"dim_x": 1, "dim_z": 1, "samples": 100}
    mine = [each for each in rows if each["cell"] == row["cell"]]
    found = {each["metric"]: each for each in mine}
    ceiling, dimensions = found["known_samples_ceiling"], found["case_dimensions"]
    assert float(ceiling["value"]) == answer.found.details["ceiling_nats"] and ceiling["label"] == case.name
    assert (float(dimensions["value"]), dimensions["label"]) == (2, "gaussian_copula")


def test_a_folder_of_other_settings_is_refused(tmp_path):
    Store(tmp_path, PLAN).claim()
    other = EstimatorPlan(("gaussian", "ksg1"), samples=101, images=64, smoke=True)
    with pytest.raises(ValueError, match=r"already holds another study, which differs in samples \(100, now 101\)"):
        run_study(other, tmp_path)


def test_a_refusal_is_noted_and_the_others_go_on(tmp_path, monkeypatch, undrawn):
    def refuse_ksg(plan, settings):
        if settings["method"] == "ksg1":
            raise ValueError("too few for neighbors")
        return run(plan, settings)

    run = estimators._answer
    monkeypatch.setattr(estimators, "_answer", refuse_ksg)
    run_study(PLAN, tmp_path)
    rows = read_table(tmp_path / "results.csv")
    failed = rows[rows["status"] == "failed"]
    assert list(failed["model"]) == ["ksg1"] * 3 and failed["note"].str.contains("too few for neighbors").all()
    assert json.loads((tmp_path / "manifest.json").read_text())["cells"] == {"total": 7, "done": 4, "failed": 3}


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match="methods: expected one of"):
        EstimatorPlan(("kde",))
    with pytest.raises(ValueError, match="samples: expected an integer >= 64, got 10"):
        EstimatorPlan(samples=10)
