"""A folder takes more seeds, augmentations, attacks and parts, runs what is new alone, and refuses what contradicts."""

import json
from dataclasses import replace
from importlib import import_module

import pytest

from msda_analysis import ClassifierFit, VaeFit
from msda_analysis.results import read_table
from msda_analysis.studies import AttackSpec, DataSpec, StudyPlan, cells_of, run_study
from msda_analysis.studies.growth import grow
from msda_analysis.studies.plans import AuditPlan, EstimatorPlan, MasksPlan

PLAN = StudyPlan(
    "grown", "Grown", DataSpec("digits", train_size=20, test_size=10), ("baseline", "mixup"), n_seeds=2,
    vae=None, classifier=ClassifierFit(epochs=1, batch_size=10), attack=AttackSpec(("fgsm",), (0.0, 0.1)), n_masks=5,
)  # fmt: skip


def names(plan) -> list[str]:
    return [cell.name for cell in cells_of(plan)]


@pytest.mark.parametrize(
    "change",
    [
        {"n_seeds": 3},
        {"first_seed": 1},
        {"augmentations": ("fmix",)},
        {"vae": VaeFit(epochs=1, batch_size=10)},
        {"attack": AttackSpec(("pgd",), (0.0, 0.1))},
        {"attack": AttackSpec(("fgsm",), (0.0, 0.1), likeness_images=4)},
        {"n_masks": 9},
        {"title": "Another title"},
        {"classifier": None},
        {"attack": None, "n_seeds": 1},
    ],
    ids=str,
)
def test_what_is_new_runs_alone_and_the_table_holds_all(tmp_path, ran, change):
    run_study(PLAN, tmp_path, progress=False, command="first")
    first = list(ran)
    ran.clear()
    summary = run_study(replace(PLAN, **change), tmp_path, progress=False, command="second")
    both = grow(PLAN.identity(), replace(PLAN, **change))
    assert ran == [name for name in names(both) if name not in first]
    assert summary.n_done == summary.n_cells == len(names(both))
    assert sorted(read_table(tmp_path / "results.csv")["cell"]) == sorted(names(both))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [asked["command"] for asked in manifest["asked"]] == ["first", "second"]
    assert manifest["asked"][0]["plan"] == PLAN.identity() and manifest["settings"] == both.identity()
    assert manifest["asked"][1]["created"] >= manifest["asked"][0]["created"] > "20"
    ran.clear()
    run_study(PLAN, tmp_path, progress=False)  # the smaller one again: nothing is lost
    assert ran == [] and sorted(read_table(tmp_path / "results.csv")["cell"]) == sorted(names(both))


def test_the_union_of_plans():
    newer = replace(
        PLAN, first_seed=2, n_seeds=2, augmentations=("fmix", "mixup"), between=True,
        attack=AttackSpec(("pgd", "fgsm"), (0.1, 0.2), n_images=5), classifier=PLAN.classifier,
    )  # fmt: skip
    both = grow(PLAN.identity(), newer)
    assert both.seeds == (0, 1, 2, 3) and both.augmentations == ("baseline", "mixup", "fmix") and both.between
    assert both.attack == AttackSpec(("fgsm", "pgd"), (0.0, 0.1, 0.2), n_images=None)
    assert grow(both.identity(), PLAN) == replace(both, title=PLAN.title)


def test_other_plans_grow_too():
    assert grow(MasksPlan().identity(), MasksPlan(("mixup",))).families == ("fmix", "mixup")
    assert grow(EstimatorPlan(("ksg1",)).identity(), EstimatorPlan(("auto",))).methods == ("ksg1", "auto")
    with pytest.raises(ValueError, match=r"n_masks \(800, now 900\)"):
        grow(AuditPlan().identity(), AuditPlan(n_masks=900))


@pytest.mark.parametrize(
    "known, words",
    [
        (MasksPlan().identity(), r"kind \(MasksPlan, now StudyPlan\)"),
        ([], "its format"),
        ({"name": "old"}, "its format"),
        (replace(PLAN, attack=AttackSpec(norm="l2")).identity(), r"attack\.norm \('l2', now 'linf'\)"),
    ],
)
def test_what_contradicts_is_named(known, words):
    with pytest.raises(ValueError, match=words):
        grow(known, PLAN)


def test_a_folder_of_an_older_version_grows_too(tmp_path, ran):
    """Which kept the plan alone, without what was asked for."""
    (tmp_path / "study.json").write_text(json.dumps(PLAN.identity()))
    assert run_study(replace(PLAN, n_seeds=3), tmp_path, progress=False).n_cells == len(names(replace(PLAN, n_seeds=3)))


def test_more_attacks_leave_those_done_alone_and_change_no_number(tmp_path, monkeypatch):
    evaluation = import_module("msda_analysis.robustness.evaluate")
    attacked, real = [], evaluation.attack_batch
    monkeypatch.setattr(
        evaluation, "attack_batch", lambda attack, *a, **k: attacked.append(attack.name) or real(attack, *a, **k)
    )
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    one = replace(PLAN, augmentations=("mixup",), n_seeds=1, n_masks=0, more_masks=())
    one = replace(
        one, data=DataSpec("digits", train_size=300, test_size=20), classifier=ClassifierFit(epochs=3, batch_size=20)
    )
    two = replace(one, attack=replace(one.attack, attacks=("fgsm", "pgd")))
    for plan in (one, two):
        assert run_study(plan, tmp_path / "grown", progress=False).n_failed == 0
    assert attacked == ["fgsm", "pgd"], "each once"
    run_study(two, tmp_path / "whole", progress=False)
    tables = [read_table(tmp_path / name / "results.csv") for name in ("grown", "whole")]
    columns = ["cell", "metric", "attack", "epsilon", "x", "value", "low", "high", "n"]
    grown, whole = (table[table["metric"] != "epoch_seconds"][columns].fillna(-1) for table in tables)
    assert len(grown) == 10 and grown.values.tolist() == whole.values.tolist()


def test_another_reference_trains_and_attacks_nothing_again(tmp_path, ran):
    plan = replace(PLAN, vae=VaeFit(epochs=1, batch_size=10))
    run_study(plan, tmp_path, progress=False)
    assert json.loads((tmp_path / "manifest.json").read_text())["reference"] == "baseline"
    ran.clear()
    asked = replace(plan, reference="mixup")
    run_study(asked, tmp_path, progress=False)
    assert {name.partition("-")[0] for name in ran} == {"compare_classifiers", "measure_vae"}
    assert json.loads((tmp_path / "manifest.json").read_text())["reference"] == "mixup"
    ran.clear()
    run_study(plan, tmp_path, progress=False)  # named by nobody: it stays
    assert ran == [] and json.loads((tmp_path / "manifest.json").read_text())["reference"] == "mixup"
    run_study(replace(plan, reference="baseline"), tmp_path, progress=False)
    assert json.loads((tmp_path / "manifest.json").read_text())["reference"] == "baseline"


def test_the_reference_is_the_baseline_or_the_first_or_the_one_that_is_named():
    assert PLAN.compared_with == "baseline" and names(replace(PLAN, reference="baseline")) == names(PLAN)
    others = replace(PLAN, augmentations=("fmix(decay_power=1.5)", "mixup"))
    assert others.compared_with == "fmix(decay_power=1.5)"
    assert replace(others, reference="fmix( decay_power = 1.5 )").compared_with == "fmix(decay_power=1.5)"
    with pytest.raises(ValueError, match="reference: expected one of 'baseline', 'mixup', got 'fmix'"):
        replace(PLAN, reference="fmix")
