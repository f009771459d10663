"""What each VAE knows about the images: the paper's three figures on the test split, the encoder bounds beside them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from msda_analysis.information import (
    between_encoders,
    encode_once,
    encoder_bounds,
    fit_marginals,
    measured_all,
    vae_information,
)
from msda_analysis.models import VAE
from msda_analysis.results import to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows, save_arrays
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps import train_vae
from msda_analysis.studies.steps.common import family_cell

FORMAT = 3
_N_PICTURES = 8
_PICTURES = "reconstructions.npz"


def plan(study: StudyPlan) -> list[Cell]:
    trained = {(cell.augmentation, cell.seed): cell for cell in train_vae.plan(study)}
    made = []
    for (name, seed), cell in trained.items():
        settings = {key: cell.settings[key] for key in ("data", "fit")} | versioned(FORMAT, "information_format")
        settings["between"] = study.between and not _repeats_pair(study, name, seed)
        made.append(
            family_cell("measure_vae", study, name, seed, settings, *_with_other_baseline(study, trained, cell))
        )
    return made


def _repeats_pair(study: StudyPlan, name: str, seed: int) -> bool:
    """Whether the VAE and its other baseline are a pair that was met before, the other way round."""
    return name == "baseline" and study.n_seeds == 2 and seed != study.first_seed


def _with_other_baseline(study: StudyPlan, trained: dict[tuple[str, int], Cell], cell: Cell) -> list[Cell]:
    """The VAE to measure and the baseline VAE of the next seed, through which the paper's second figure goes."""
    place = study.seeds.index(cell.seed)
    other = trained.get(("baseline", study.seeds[(place + 1) % study.n_seeds]))
    return [cell] if other is None or other is cell else [cell, other]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    """The numbers, and pictures of reconstructions."""
    vae, *others = [context.load_vae(need) for need in cell.needs]
    codes = encode_once(vae, context.test.normalize(context.test.images), *others, seed=cell.seed)
    own = fit_marginals(codes.own, cell.seed)
    found = measured_all(vae_information(codes))
    if cell.settings["between"] and codes.baseline is not None:
        # both with one seed: exchanging the VAEs changes no number
        marginals = (fit_marginals(codes.baseline, cell.seed, components=()), own)
        shared = between_encoders(
            codes.baseline, codes.own, cell.seed, reconstructed=codes.reconstructed, marginals=marginals
        )
        found += measured_all(shared, "between_")
    # "rate" is the same number in both: the paper's name is kept once
    bounds = encoder_bounds(*codes.own, seed=cell.seed, marginals=own)
    found += measured_all({name: estimate for name, estimate in bounds.items() if name != "rate"})
    _save_reconstructions(context, cell, vae, folder)
    return to_rows(context.source(cell, "vae"), found)


def _save_reconstructions(context: Context, cell: Cell, vae: VAE, folder: Path) -> None:
    shown = context.test.take(min(_N_PICTURES, len(context.test)), name="test_size")  # as many classes as there are
    with torch.no_grad():
        decoded = vae.decode(vae.encode(shown.normalize(shown.images)).loc)
    mean, std = (torch.tensor(v, device=decoded.device).view(-1, 1, 1) for v in (shown.mean, shown.std))
    # pictures only: what is out of range cannot be shown
    rebuilt = (decoded * std + mean).clamp(0, 1)
    original = shown.unit_images()
    save_arrays(folder / _PICTURES, {"original": original.cpu().numpy(), cell.augmentation: rebuilt.cpu().numpy()})


def collect(context: Context, cells: Sequence[Cell]) -> None:
    """Reconstructions of the first seed side by side."""
    rebuilt: dict[str, np.ndarray] = {}
    for cell in cells:
        if cell.seed == context.plan.first_seed:
            with np.load(context.store.cell_folder(cell) / _PICTURES, allow_pickle=False) as arrays:
                rebuilt |= {name: arrays[name] for name in arrays.files}
    if rebuilt:
        save_arrays(context.store.folder / "pictures" / _PICTURES, rebuilt)


STEPS = (Step("measure_vae", StudyPlan, plan, run, collect=collect),)
