"""Statistics of the masks of each family."""

from pathlib import Path

from msda_analysis import mask_stats
from msda_analysis.masks import Alternate, family_settings, sample_masks
from msda_analysis.results import to_rows
from msda_analysis.rng import stream
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import describable

FORMAT = 1


def plan(study: StudyPlan) -> list[Cell]:
    if not study.n_masks:
        return []
    shared = {"data": {"name": study.data.name}, "n_masks": study.n_masks} | versioned(FORMAT)
    made = []
    for name in dict.fromkeys((*study.augmentations, *study.more_masks)):
        family = describable(name)
        # an Alternate has no law of its own: its parts are described where they are listed
        if family is not None and not isinstance(family, Alternate):
            made.append(Cell("masks", name, study.first_seed, shared | {"family": family_settings(family)}))
    return made


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    """At the dataset's image size."""
    del folder
    family = describable(cell.augmentation)
    assert family is not None
    generator = stream(cell.seed, "described masks")
    masks = sample_masks(family, context.plan.n_masks, context.test.image_size, generator=generator).masks
    return to_rows(context.source(cell, ""), mask_stats.summarize(masks))


STEPS = (Step("masks", StudyPlan, plan, run),)
