"""Masks and mixed images of every family, on the study's own test images; no numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from msda_analysis.data import sample_images
from msda_analysis.masks import Alternate, MaskFamily, masks_at
from msda_analysis.mixing import augmentation_settings, mix_pairs
from msda_analysis.mixing.mixer import mixes_without
from msda_analysis.rng import stream
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows, save_arrays
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import data_settings, describable

FORMAT = 4
_FILES = ("masks_half", "mixed")
_ENDINGS = ("_1d", "", "_3d")  # by number of spatial axes, for the report to know signals from pictures and volumes
_N_PICTURES = 8
_N_MASKS, _HALF = 3, 0.5  # masks of one lambda, for families side by side


def plan(study: StudyPlan) -> list[Cell]:
    names = (name for name in (*study.augmentations, *study.more_masks) if name != "baseline")
    families = {name: augmentation_settings(describable(name)) for name in names}
    return [
        Cell(
            "pictures",
            "all",
            study.first_seed,
            {"data": data_settings(study.data), "families": families} | versioned(FORMAT),
        )
    ]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    first, second = _pairs(context, cell.seed).chunk(2)
    masks, mixed = {}, {"image_a": first.numpy(), "image_b": second.numpy()}
    for name in cell.settings["families"]:
        family = describable(name)
        if family is None or isinstance(family, Alternate):
            continue  # batches of an Alternate look like those of its parts
        if isinstance(family, MaskFamily):
            masks[name] = masks_of_half(family, tuple(first.shape[2:]), cell.seed)
        elif not mixes_without(family):
            continue
        mixed[name] = mix_pairs(first, second, family, seed=cell.seed).numpy()
    for name, arrays in zip(_FILES, (masks, mixed), strict=True):
        save_arrays(folder / f"{name}{ending_of(first.shape[2:])}.npz", arrays)
    return []


def masks_of_half(family: MaskFamily, size: tuple[int, ...], seed: int) -> np.ndarray:
    """[3, 1, *size]: masks for lambda one half."""
    return masks_at(family, _HALF, _N_MASKS, size, generator=stream(seed, "masks at one half")).numpy()


def ending_of(size: Sequence[int]) -> str:
    """What a pictures file's name ends in for images of this size: "_1d" for signals, "_3d" for volumes."""
    return _ENDINGS[len(size) - 1]


def _pairs(context: Context, seed: int) -> Tensor:
    """[2 n, channel, *size] in [0, 1] of as many classes as there are; where no grid can show them, photographs that foolbox
    ships instead.
    """
    test = context.test
    is_shown = len(test.image_size) == 1 or test.in_channels in (1, 3)
    if not is_shown or len(test) < 2:
        return sample_images("cifar10", 2 * _N_PICTURES)[0].float() / 255
    part = test.take(2 * min(_N_PICTURES, len(test) // 2), name="test_size")
    return part.unit_images().cpu()[torch.randperm(len(part), generator=stream(seed, "picture pairs"))]


def collect(context: Context, cells: Sequence[Cell]) -> None:
    for cell in cells:
        for path in [path for name in _FILES for path in context.store.cell_folder(cell).glob(f"{name}*.npz")]:
            context.copy_out(cell, path.name, "pictures", path.name)


STEPS = (Step("pictures", StudyPlan, plan, run, collect=collect),)
