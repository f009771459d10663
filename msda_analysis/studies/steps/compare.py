"""Who is more robust than whom: paired on the same images, seeds as the outer level, corrected for many tests."""

from pathlib import Path
from typing import Any

from msda_analysis import robustness
from msda_analysis.masks.text import BASELINE
from msda_analysis.models import name_of
from msda_analysis.results import to_rows
from msda_analysis.robustness import Outcome, archive
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.plans import RobustnessPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps import given as given_models
from msda_analysis.studies.steps import measure_classifier

FORMAT = 2


def plan(study: StudyPlan) -> list[Cell]:
    if study.classifier is None or study.attack is None or len(study.augmentations) < 2:
        return []
    needs = tuple(measure_classifier.plan(study))
    return [Cell("compare_classifiers", "all", study.first_seed, _settings(study.compared_with), needs)]


def plan_given(given: RobustnessPlan) -> list[Cell]:
    needs = tuple(cell for cell in measure_classifier.plan_given(given) if cell.augmentation)
    if len({cell.augmentation for cell in needs}) < 2:
        return []
    reference = given_models.compared_with(given, needs)
    return [Cell("compare_given_classifiers", "all", needs[0].seed, _settings(reference), needs)]


def _settings(reference: str) -> dict[str, Any]:
    return versioned(FORMAT) | ({} if reference == BASELINE else {"reference": reference})  # as older cells


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    del folder
    outcomes: dict[str, list[Outcome]] = {}
    for need in cell.needs:
        path = context.store.cell_folder(need) / measure_classifier.OUTCOME
        outcomes.setdefault(need.augmentation, []).extend(archive.read_outcomes(path)[need.augmentation])
    reference, model = cell.settings.get("reference", BASELINE), _model(context, cell)
    found = robustness.measured_differences(outcomes, reference)
    return [row for name, numbers in found.items() for row in to_rows(context.source(cell, model, name), numbers)]


def _model(context: Context, cell: Cell) -> str:
    """The network of all classifiers, by which the rows stand beside theirs; "" where given ones are of several."""
    fit = getattr(context.plan, "classifier", None)
    given = (need.needs[0] for need in cell.needs)
    names = {name_of(context.load_classifier(each)) for each in given} if fit is None else {fit.model}
    return names.pop() if len(names) == 1 else ""


STEPS = (
    Step("compare_classifiers", StudyPlan, plan, run),
    Step("compare_given_classifiers", RobustnessPlan, plan_given, run),
)
