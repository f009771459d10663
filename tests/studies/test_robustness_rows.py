"""Rows that attack cells leave behind: survival curves, medians, whole-curve comparisons, claims."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from msda_analysis import robustness
from msda_analysis.data import Dataset, load_dataset
from msda_analysis.results import Source, to_rows
from msda_analysis.robustness import Outcome, archive, measured_outcome
from msda_analysis.studies import AttackSpec, DataSpec, StudyPlan, run_study
from msda_analysis.studies.steps import measure_classifier
from msda_analysis.training import ClassifierFit


def make_outcome(attacks=("deepfool", "pgd")):
    norms = torch.tensor([[0.0, 0.02, 0.05, torch.inf], [0.0, 0.1, 0.03, 0.1]])
    success = norms[:, None] <= torch.tensor([0.0, 0.01, 0.1])[None, :, None]
    return Outcome(success, norms, norms[0] > 0, attacks, (0.0, 0.01, 0.1), "linf", 0)


def test_survival_is_of_searched_norms_and_of_the_smallest_over_all_attacks():
    rows = pd.DataFrame(to_rows(Source("study", "cell"), measured_outcome(make_outcome())))
    curves = rows[rows["metric"] == "survival"]
    assert list(dict.fromkeys(curves["attack"])) == ["deepfool", "worst_case"], "PGD's norms are its budgets"
    deepfool = curves[curves["attack"] == "deepfool"]
    assert deepfool["epsilon"].iloc[[0, 1, -1]].tolist() == pytest.approx([0.0, 0.01, 0.1]) and len(deepfool) == 25
    assert deepfool["value"].iloc[[0, 1, -1]].tolist() == [0.75, 0.75, 0.25]
    worst = curves[curves["attack"] == "worst_case"]
    assert worst["value"].iloc[-1] == 0.0 and (worst["value"].diff().dropna() <= 0).all()
    medians = rows[rows["metric"] == "minimum_norm_median"].set_index("attack")["value"]
    assert medians["deepfool"] == pytest.approx(0.035) and medians["worst_case"] == pytest.approx(0.025)


def test_no_curves_without_a_search():
    rows = pd.DataFrame(to_rows(Source("study", "cell"), measured_outcome(make_outcome(("fgsm", "pgd")))))
    assert set(rows["metric"]) == {"robust_accuracy"}


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    attack = AttackSpec(("deepfool", "uniform_noise", "pgd"), (0.0, 0.05, 0.2), n_images=20, likeness_images=10)
    plan = StudyPlan(
        "rows", "Rows", DataSpec("digits", train_size=200, test_size=40), ("baseline", "mixup"), vae=None,
        classifier=ClassifierFit(epochs=1, batch_size=50), attack=attack, n_masks=0,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # the table without the page
        patch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
        assert run_study(plan, folder, progress=False).n_failed == 0
    return folder


@pytest.fixture(scope="module")
def study(study_folder):
    return pd.read_csv(study_folder / "results.csv", keep_default_na=False)


def test_mixup_directions_are_attacked_and_compared_on_the_same_images(study):
    rows = study[(study["metric"] == "robust_accuracy") & (study["attack"] == "mixup_direction")]
    assert set(rows["n"].astype(int)) == {20} and len(rows) == 2 * 2 * 3
    assert "mixup_direction" in set(study[study["metric"] == "accuracy_difference"]["attack"])


def test_claims_and_curves_are_among_the_rows(study):
    claims = study[study["metric"] == "claim_accuracy"]
    assert set(claims["attack"]) == {"deepfool", "uniform_noise", "strong_gradient", "mixup_direction"}
    assert set(claims["augmentation"]) == {"mixup"} and set(claims["reference"]) == {"baseline"}
    assert claims["note"].str.contains(r"2 seeds; epsilon 0\.").all() and set(claims["p_value"]) == {""}
    curves = study[study["metric"] == "curve_kept"].set_index("attack")
    assert list(curves.index) == ["deepfool", "uniform_noise", "pgd", "mixup_direction", "worst_case"]
    assert set(curves["augmentation"]) == {"baseline"} and set(curves["reference"]) == {"mixup"}
    assert curves["p_value"].astype(float).between(0, 1).all()


def test_every_number_under_an_attack_names_its_norm_and_every_difference_its_verdict(study):
    attacked = study[study["metric"].isin(["robust_accuracy", "survival", "minimum_norm_median", "flag"])]
    differences = study[study["metric"].str.match("accuracy_difference|curve_|claim_")]
    assert set(attacked["norm"]) == set(differences["norm"]) == {"linf"}
    assert (
        set(differences["verdict"]) <= {"baseline", "mixup", "undecided", "undecided (2 seeds)"}
        and len(differences) > 20
    )
    assert (
        not study["metric"].str.contains("p_holm").any() and not study["note"].str.contains("more robust|flags:").any()
    )
    assert not study["augmentation"].str.contains(" - ").any()


def test_likeness_is_measured_in_both_norms(study):
    def made(metric):
        rows = study[study["metric"] == metric]
        return set(zip(rows["attack"], rows["norm"], rows["epsilon"], rows["reference"], strict=True))

    given = {
        ("deepfool", "linf", ""),
        ("deepfool", "l2", ""),
        ("uniform_noise", "linf", "0.03"),
        ("pgd", "linf", "0.03"),
    }
    likened = {(*how, "") for how in (*given, ("fade", "", ""))}
    assert made("mixup_likeness") == made("mixup_likeness_beyond_fading") == likened
    shuffled = {(*how[:3], "shuffled") for how in likened}
    assert made("energy_share") == likened | shuffled | {("gaussian", "", "", ""), ("mixup", "", "", "")}


def test_the_outcomes_beside_the_table_give_its_numbers_again(study, study_folder):
    outcomes = robustness.read_outcomes(study_folder / "outcomes.npz")
    assert {name: len(runs) for name, runs in outcomes.items()} == {"baseline": 2, "mixup": 2}
    rows = study[
        (study["metric"] == "robust_accuracy") & (study["attack"] == "pgd") & (study["augmentation"] == "mixup")
    ]
    for seed, run in enumerate(outcomes["mixup"]):
        kept = [float((~run.broken_by("pgd")[k]).double().mean()) for k in range(3)]
        assert kept == rows[rows["seed"].astype(int) == seed]["value"].astype(float).tolist()
    curves = robustness.compare_curves(outcomes).set_index(["attack", "reading"])
    tested = study[study["metric"] == "curve_kept"].set_index("attack")
    for name in ("value", "low", "high"):
        assert curves.loc[("deepfool", "kept"), name] == pytest.approx(float(tested.loc["deepfool", name]))
    labels, places = archive.read_images(study_folder / "outcomes.npz")
    whole = load_dataset("digits", "test").take(40, name="test_size")
    assert torch.equal(labels, whole.labels[places]) and len(labels) == 20


def test_mixup_directions_lead_to_all_classes_of_a_sorted_folder(monkeypatch):
    """The first images of a folder are all of one class."""
    labels = torch.arange(10).repeat_interleave(30)
    images = (labels * 20).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)
    train = Dataset("sorted", "train", images, labels, tuple("0123456789"), (0.5,), (0.2,))
    banks = []
    monkeypatch.setattr(measure_classifier.robustness, "mixup_direction_attack", lambda bank, norm: banks.append(bank))
    monkeypatch.setattr(measure_classifier, "_BANK", 30)
    spec = SimpleNamespace(likeness_images=5, attacks=("pgd",), norm="linf")
    measure_classifier._attacks(SimpleNamespace(train=train, plan=SimpleNamespace(attack=spec)))
    assert len(banks[0]) == 30 and len(banks[0].flatten(1)[:, 0].unique()) == 10


def test_nan_is_no_clean_accuracy_either():
    test = load_dataset("digits", "test").take(20, name="test_size")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 10))
    assert 0 <= measure_classifier._clean_accuracy(model, test, "none").value <= 1
    torch.nn.init.constant_(model[1].bias, torch.nan)
    with pytest.raises(ValueError, match="clean images: logits of 20 of 20 images are NaN"):
        measure_classifier._clean_accuracy(model, test, "none")


def test_one_budget_is_one_point_of_the_survival_curve():
    outcome = make_outcome()
    one = Outcome(
        outcome.success[:, :2], outcome.minimum_norms, outcome.is_correct, outcome.attacks, (0.0, 0.01), "linf", 0
    )
    rows = pd.DataFrame(to_rows(Source("study", "cell"), measured_outcome(one)))
    curve = rows[(rows["metric"] == "survival") & (rows["attack"] == "deepfool")]
    assert curve["epsilon"].tolist() == [0.0, 0.01] and curve["value"].tolist() == [0.75, 0.75]
