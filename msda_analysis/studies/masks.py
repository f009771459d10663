"""The `masks` command: sample one family, describe it, keep the masks."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from msda_analysis import mask_stats
from msda_analysis.environment import device_name
from msda_analysis.files import replace_file
from msda_analysis.masks import Alternate, CutMix, Family, FMix, MixUp, family_from_name, sample_masks
from msda_analysis.results import Source, to_rows, write_table
from msda_analysis.rng import stream
from msda_analysis.studies.store import refuse_study
from msda_analysis.studies.workshop import save_arrays

if TYPE_CHECKING:
    from msda_analysis.commands import Masks

_SHOWN = 12


def write_masks(command: "Masks", device: str) -> Path:
    """Write masks.npz (masks, lam), statistics.csv (one row per mask), results.csv (means) and a picture.

    Returns:
        The folder.

    Raises:
        ValueError: unknown family, an option that the family does not have, a bad size, or a folder with a study.
    """
    refuse_study(command.out)
    family = _family(command)
    batch = sample_masks(
        family, command.n, command.size, generator=stream(command.seed, "masks command"), device=device
    )
    folder = command.out
    folder.mkdir(parents=True, exist_ok=True)
    save_arrays(folder / "masks.npz", {"masks": batch.masks.cpu().numpy(), "lam": batch.lam.cpu().numpy()})
    with replace_file(folder / "statistics.csv") as file:
        mask_stats.describe(batch.masks).to_csv(file, index_label="mask", lineterminator="\n")
    settings = {"family": {"name": command.family, **asdict(family)}, "size": list(command.size)}
    source = Source("masks", "masks", "", "", command.family, command.seed, settings, device_name(device))
    write_table(to_rows(source, mask_stats.summarize(batch.masks)), folder / "results.csv")
    if len(command.size) == 2:
        _draw(batch.masks[:_SHOWN, 0].cpu().numpy(), command.family, folder / "masks")
    return folder


def _family(command: "Masks") -> Family:
    family = family_from_name(command.family)
    if family is None or isinstance(family, Alternate):
        raise ValueError(f"family: expected a single family that has masks, got {command.family!r}")
    family = replace(family, alpha=command.alpha)
    if isinstance(family, FMix):
        return replace(family, decay_power=command.decay_power, max_soft=command.max_soft)
    if command.max_soft or command.decay_power != FMix.decay_power:
        raise ValueError(f"max_soft, decay_power: only fmix and fmix_released have them, not {command.family!r}")
    assert isinstance(family, (MixUp, CutMix))
    return family


def _draw(masks: np.ndarray, name: str, path: Path) -> None:
    from msda_analysis.figures import pictures

    figure = pictures.draw_picture_grid({name: masks})
    for kind in ("png", "pdf"):
        with replace_file(path.with_suffix(f".{kind}"), binary=True) as file:
            figure.savefig(file, format=kind)
