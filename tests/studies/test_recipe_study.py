"""A study with the fast network: scores by epoch, and accuracy over views beside the plain one, in table and page."""

from dataclasses import replace

import pytest
from PIL import Image

from msda_analysis.cli import DOORS
from msda_analysis.commands import read
from msda_analysis.report.sections.published import published_section
from msda_analysis.report.sections.robustness import robustness_section
from msda_analysis.report.sections.training import training_section
from msda_analysis.results import read_table
from msda_analysis.studies import DataSpec, StudyPlan, cells_of, run_study
from msda_analysis.training import FAST_CLASSIFIER_FIT, PAPER_CLASSIFIER_FIT, ClassifierFit

FIT = replace(FAST_CLASSIFIER_FIT, model="fast_cnn(widths=(8, 8, 8))", epochs=2, batch_size=20, lr=0.03, curve=True)
PLAN = StudyPlan(
    name="fashion_preact_resnet18-paper", data=DataSpec("digits", train_size=40, test_size=50), augmentations=("baseline",),
    n_seeds=1, vae=None, classifier=FIT, attack=None, n_masks=0, more_masks=(), views="mirror_shift",
)  # fmt: skip


_BY_EPOCH = {
    "epoch_top1": "accuracy", "epoch_top5": "accuracy", "epoch_nll": "nats", "epoch_ece": "fraction", "epoch_brier": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe") / "out"
    with pytest.MonkeyPatch.context() as patch:  # the table without the page
        patch.setattr(
            "msda_analysis.studies.run._write_outputs", lambda context, cells, *_: context.store.collect(cells)
        )
        assert run_study(PLAN, out, workers=1, progress=False).n_failed == 0
    return out


def test_rows(folder):
    rows = read_table(folder / "results.csv")
    by_epoch = rows[rows["metric"].str.startswith("epoch_") & (rows["metric"] != "epoch_seconds")]
    assert {(row.metric, row.x, row.unit) for row in by_epoch.itertuples()} == {
        (metric, x, unit) for metric, unit in _BY_EPOCH.items() for x in (1, 2)
    }  # fmt: skip
    clean = rows[rows["metric"] == "accuracy"].iloc[0]
    last = by_epoch[(by_epoch["metric"] == "epoch_top1") & (by_epoch["x"] == 2)].iloc[0]
    assert clean["value"] == pytest.approx(last["value"]), "the model that is kept is the last epoch's"
    over = rows[rows["metric"] == "accuracy_over_views"].iloc[0]
    assert (over["label"], over["n"], over["unit"]) == ("mirror_shift", 50, "accuracy") and over["low"] < over["high"]


def test_sections(folder):
    table = read_table(folder / "results.csv")
    makers = (training_section, robustness_section, published_section)
    training, accuracy, beside = (make(table, folder) for make in makers)
    assert training is not None and accuracy is not None and beside is not None
    assert [figure.name for figure in training.figures] == ["training", "test_scores"]
    assert set(training.figures[1].numbers["metric"]) == set(training.metrics) & set(_BY_EPOCH)
    (clean,), (published,) = accuracy.tables, beside.tables
    assert clean.headers == ("Augmentation", "Seeds", "Clean", "Clean, mean over views")
    assert published.headers[2:] == ("Accuracy", "Published", "Difference") and published.rows[0][3].value == 0.957


@pytest.mark.parametrize("words, fit, views", [
    ("", ClassifierFit(), "none"),
    ("--classifier-preset fast", FAST_CLASSIFIER_FIT, "mirror_shift"),
    ("--classifier-preset fast --classifier-epochs 30", replace(FAST_CLASSIFIER_FIT, epochs=30), "mirror_shift"),
    ("--classifier-preset paper", PAPER_CLASSIFIER_FIT, "none"),
    ("--dataset cifar10", FAST_CLASSIFIER_FIT, "mirror_shift"),
    ("--dataset cifar100 --classifier-preset auto --classifier-epochs 30", replace(FAST_CLASSIFIER_FIT, epochs=30), "mirror_shift"),
    ("--dataset cifar10 --classifier-preset default", ClassifierFit(), "none"),
    ("--dataset cifar10 --classifier small_cnn", ClassifierFit(), "none"),
    ("--dataset cifar10 --weights published", ClassifierFit(), "none"),
    ("--dataset cifar10 --classifier-preset paper", PAPER_CLASSIFIER_FIT, "none"),
    ("--dataset fashion_mnist", ClassifierFit(), "none"),
])  # fmt: skip
def test_the_study_command_takes_them_by_name(words, fit, views):
    plan, _ = read(DOORS["study"][0], words.split(), prog="study", description="A study.")
    assert isinstance(plan, StudyPlan) and (plan.classifier, plan.views) == (fit, views)


@pytest.mark.parametrize("words", ["--no-classifier", "--classifier-epochs 0"])
def test_a_study_without_classifiers_is_known_as_before(words):
    """Folders of VAEs on such images grow on: views would be another setting."""
    plan, _ = read(DOORS["study"][0], ["--dataset", "cifar10", *words.split()], prog="study", description="A study.")
    assert isinstance(plan, StudyPlan) and (plan.classifier, plan.views) == (None, "none")


@pytest.mark.parametrize("mode, side, words, is_fast", [
    ("RGB", 32, "", True), ("RGB", 48, "", False), ("L", 32, "", False), ("RGB", 48, "--resize 32", True),
    ("RGB", 32, "--resize 64", False),
])  # fmt: skip
def test_the_pictures_of_a_folder_choose_the_recipe(tmp_path, mode, side, words, is_fast):
    (tmp_path / "train" / "a").mkdir(parents=True)
    Image.new(mode, (side, side)).save(tmp_path / "train" / "a" / "1.png")
    words = ["--dataset", f"folder:{tmp_path}", *words.split()]
    plan, _ = read(DOORS["study"][0], words, prog="study", description="A study.")
    assert isinstance(plan, StudyPlan) and plan.classifier == (FAST_CLASSIFIER_FIT if is_fast else ClassifierFit())
    announced = DOORS["study"][0].announce(plan)
    assert announced == [
        f"classifiers: {plan.classifier.model}, epochs {plan.classifier.epochs}, batch size {plan.classifier.batch_size}"
    ]


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_folder_without_a_picture_is_for_the_loader_to_refuse(tmp_path, content):
    if content is not None:
        (tmp_path / "train" / "a").mkdir(parents=True)
        (tmp_path / "train" / "a" / "1.png").write_bytes(content)
    plan, _ = read(DOORS["study"][0], ["--dataset", f"folder:{tmp_path}"], prog="study", description="A study.")
    assert isinstance(plan, StudyPlan) and plan.classifier == ClassifierFit()


def test_views_name_other_cells_and_none_names_the_old_ones():
    def measured(plan):
        return [cell.name for cell in cells_of(plan) if cell.kind == "measure_classifier"]

    plain = replace(PLAN, views="none")
    assert measured(PLAN) != measured(plain)
    (cell,) = [cell for cell in cells_of(plain) if cell.kind == "measure_classifier"]
    assert "views" not in cell.settings
    with pytest.raises(ValueError, match="views: expected one of 'none', 'mirror', 'mirror_shift'; got 'ten'"):
        replace(PLAN, views="ten")
