"""Train a classifier under each augmentation, from each seed, or take a published one."""

from pathlib import Path

from msda_analysis.models import save_checkpoint
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import MODEL_FILE, Context, Rows
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps import published
from msda_analysis.studies.steps.common import classifier_settings, data_settings, family_cell, history_rows
from msda_analysis.studies.store import RESUME
from msda_analysis.training import fit_classifier

FORMAT = 1


def plan_classifiers(study: StudyPlan) -> list[Cell]:
    """The cells that leave a classifier, trained or published."""
    return [*plan_trained(study), *plan_published(study)]


def plan_trained(study: StudyPlan) -> list[Cell]:
    if study.classifier is None or study.weights is not None:
        return []
    settings = classifier_settings(study) | versioned(FORMAT)
    return [
        family_cell("train_classifier", study, name, seed, settings)
        for seed in study.seeds for name in study.augmentations
    ]  # fmt: skip


def plan_published(study: StudyPlan) -> list[Cell]:
    if study.classifier is None or study.weights is None:
        return []
    return [
        Cell("import_classifier", name, seed, {"data": data_settings(study.data), "weights": weights})
        for seed in study.seeds for name in study.augmentations
        if (weights := published.describe(study.weights, name, seed))
    ]  # fmt: skip


def train(context: Context, cell: Cell, folder: Path) -> Rows:
    study: StudyPlan = context.plan
    assert study.classifier is not None
    classifier, history = fit_classifier(
        context.train, study.family_of(cell.augmentation), study.classifier,
        seed=cell.seed, device=study.device, progress=context.progress,
        test=context.test if study.classifier.curve else None, resume=folder / RESUME,
    )  # fmt: skip
    save_checkpoint(classifier, folder / MODEL_FILE, cell.describe() | {"threads": history.threads})
    return history_rows(context.source(cell, study.classifier.model), history)


def take_published(context: Context, cell: Cell, folder: Path) -> Rows:
    assert context.plan.weights is not None
    classifier = published.load(context.plan.weights, cell.augmentation, cell.seed)
    save_checkpoint(classifier, folder / MODEL_FILE, cell.describe())
    return []


STEPS = (
    Step("train_classifier", StudyPlan, plan_trained, train),
    Step("import_classifier", StudyPlan, plan_published, take_published),
)
