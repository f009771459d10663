"""What the paper reports for one of its rows, beside which a study's own numbers stand; only figures that have a source."""

from pathlib import Path

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.models import network_name
from msda_analysis.results import to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.paper_rows import published_for
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned

FORMAT = 1


def plan(study: StudyPlan) -> list[Cell]:
    if study.classifier is None:
        return []
    return [
        Cell("paper_number", name, study.first_seed, {"row": study.name, "published": accuracy} | versioned(FORMAT))
        for name, accuracy in published_for(study).items()
    ]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    del folder
    number = Measured("published_accuracy", Estimate(cell.settings["published"], "accuracy"), label="the paper's")
    return to_rows(context.source(cell, network_name(context.plan.classifier.model)), [number])


STEPS = (Step("paper_number", StudyPlan, plan, run),)
