"""Statistics of the masks of each family."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from msda_analysis import mask_stats
from msda_analysis.audit import recover_masks
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.files import replace_file
from msda_analysis.masks import Alternate, MaskFamily, sample_masks
from msda_analysis.mixing import augmentation_settings
from msda_analysis.results import to_rows
from msda_analysis.rng import stream
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows, save_arrays
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.plans import MasksPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import describable
from msda_analysis.studies.steps.pictures import ending_of, masks_of_half

FORMAT = 2
_MASKS, _STATISTICS = "masks.npz", "statistics.csv"
_N_PICTURES = 12


def plan(study: StudyPlan) -> list[Cell]:
    if not study.n_masks:
        return []
    shared = {"data": {"name": study.data.name}, "n_masks": study.n_masks} | versioned(FORMAT)
    made = []
    for name in dict.fromkeys((*study.augmentations, *study.more_masks)):
        family = describable(name)
        # an Alternate has no law of its own: its parts are described where they are listed
        if family is not None and not isinstance(family, Alternate):
            made.append(Cell("masks", name, study.first_seed, shared | {"family": augmentation_settings(family)}))
    return made


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    """At the dataset's image size; masks of a mixer are read back from probe images, and where that cannot be, it is said."""
    del folder
    family, n, size = describable(cell.augmentation), context.plan.n_masks, context.test.image_size
    assert family is not None
    source = context.source(cell, "")
    if isinstance(family, MaskFamily):
        masks = sample_masks(family, n, size, generator=stream(cell.seed, "described masks")).masks
        return to_rows(source, mask_stats.summarize(masks))
    try:
        masks = recover_masks(family, n, size, seed=cell.seed)
    except ValueError as error:
        return to_rows(source, [Measured("masks_recovered", Estimate(0.0, "masks", n=n, warnings=(str(error),)))])
    return to_rows(source, mask_stats.summarize(masks))


def plan_samples(asked: MasksPlan) -> list[Cell]:
    made = []
    for name in asked.families:
        family = {"name": name, **(augmentation_settings(describable(name)) or {})}
        settings = {"family": family, "size": list(asked.size), "n": asked.n} | versioned(FORMAT)
        made.append(Cell("mask_samples", name, asked.seed, settings))
    return made


def sample(context: Context, cell: Cell, folder: Path) -> Rows:
    """masks.npz (masks, lam), statistics.csv (one row per mask), and means."""
    family, asked = describable(cell.augmentation), context.plan
    assert isinstance(family, MaskFamily)
    generator = stream(cell.seed, "masks command")
    batch = sample_masks(family, asked.n, asked.size, generator=generator, device=asked.device)
    save_arrays(folder / _MASKS, {"masks": batch.masks.cpu().numpy(), "lam": batch.lam.cpu().numpy()})
    with replace_file(folder / _STATISTICS) as file:
        mask_stats.describe(batch.masks).to_csv(file, index_label="mask", lineterminator="\n")
    return to_rows(context.source(cell, ""), mask_stats.summarize(batch.masks))


def collect_samples(context: Context, cells: Sequence[Cell]) -> None:
    """Files of the family that was asked for last, and pictures of all."""
    folder, shown, half = context.store.folder, {}, {}
    for cell in cells:
        with np.load(context.store.cell_folder(cell) / _MASKS, allow_pickle=False) as arrays:
            shown[cell.augmentation] = arrays["masks"][:_N_PICTURES]
        family = describable(cell.augmentation)
        assert isinstance(family, MaskFamily)
        half[cell.augmentation] = masks_of_half(family, tuple(context.plan.size), cell.seed)
        for name in (_MASKS, _STATISTICS):
            context.copy_out(cell, name)
    for name, arrays in (("masks_half", half), ("masks", shown)):
        save_arrays(folder / "pictures" / f"{name}{ending_of(context.plan.size)}.npz", arrays)


STEPS = (
    Step("masks", StudyPlan, plan, run),
    Step("mask_samples", MasksPlan, plan_samples, sample, collect=collect_samples),
)
