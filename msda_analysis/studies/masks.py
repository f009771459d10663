"""The `masks` command: sample one family, describe it, keep the masks."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from msda_analysis import mask_stats
from msda_analysis.environment import device_name
from msda_analysis.files import replace_file
from msda_analysis.masks import MaskFamily, family_from_text, family_settings, family_to_text, sample_masks
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
    name = family_to_text(family)
    settings = {"family": {"name": name, **(family_settings(family) or {})}, "size": list(command.size)}
    source = Source("masks", "masks", "", "", name, command.seed, settings, device_name(device))
    write_table(to_rows(source, mask_stats.summarize(batch.masks)), folder / "results.csv")
    if len(command.size) == 2:
        _draw(batch.masks[:_SHOWN, 0].cpu().numpy(), name, folder / "masks")
    return folder


def _family(command: "Masks") -> MaskFamily:
    family = family_from_text(command.family)
    if not isinstance(family, MaskFamily):
        raise ValueError(f"family: expected a single family that has masks, got {command.family!r}")
    if family.per_batch:
        raise ValueError(
            f"family: expected independent masks, to describe them; leave per_batch out of {command.family!r}"
        )
    options = {"alpha": command.alpha, "decay_power": command.decay_power, "max_soft": command.max_soft}
    given = {name: value for name, value in options.items() if value is not None}
    known = {field.name for field in fields(family)}
    if missing := [name for name in given if name not in known]:
        raise ValueError(
            f"{', '.join(missing)}: {command.family!r} has no such setting, only {', '.join(sorted(known))}"
        )
    return replace(family, **given)


def _draw(masks: np.ndarray, name: str, path: Path) -> None:
    from msda_analysis.report import pictures

    figure = pictures.draw_picture_grid({name: masks})
    for kind in ("png", "pdf"):
        with replace_file(path.with_suffix(f".{kind}"), binary=True) as file:
            figure.savefig(file, format=kind)
