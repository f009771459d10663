"""Masks and mixed images of every family, on sample pictures that foolbox ships; no numbers."""

from collections.abc import Sequence
from pathlib import Path

from msda_analysis.data import sample_images
from msda_analysis.files import replace_file
from msda_analysis.masks import Alternate, MaskFamily, sample_masks
from msda_analysis.mixing import augmentation_settings, mix_pairs
from msda_analysis.rng import stream
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows, save_arrays
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import describable

FORMAT = 1
_FILES = ("masks.npz", "mixed.npz")
_N_PICTURES = 8


def plan(study: StudyPlan) -> list[Cell]:
    names = (name for name in (*study.augmentations, *study.more_masks) if name != "baseline")
    families = {name: augmentation_settings(describable(name)) for name in names}
    return [Cell("pictures", "all", study.first_seed, {"families": families} | versioned(FORMAT))]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    del context
    images, _ = sample_images("cifar10", 2 * _N_PICTURES)
    first, second = images[:_N_PICTURES].float() / 255, images[_N_PICTURES:].float() / 255
    masks, mixed = {}, {"image_a": first.numpy(), "image_b": second.numpy()}
    for name in cell.settings["families"]:
        family = describable(name)
        if family is None or isinstance(family, Alternate):
            continue  # batches of an Alternate look like those of its parts
        if isinstance(family, MaskFamily):
            sampled = sample_masks(family, _N_PICTURES, (32, 32), generator=stream(cell.seed, "pictures")).masks
            masks[name] = sampled[:, 0].numpy()
        mixed[name] = mix_pairs(first, second, family, seed=cell.seed).numpy()
    save_arrays(folder / _FILES[0], masks)
    save_arrays(folder / _FILES[1], mixed)
    return []


def collect(context: Context, cells: Sequence[Cell]) -> None:
    for cell in cells:
        for name in _FILES:
            with replace_file(context.store.folder / "pictures" / name, binary=True) as file:
                file.write((context.store.cell_folder(cell) / name).read_bytes())


STEPS = (Step("pictures", StudyPlan, plan, run, collect=collect),)
