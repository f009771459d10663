"""What each VAE knows about the images: the paper's three figures on the test split, the encoder bounds beside them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msda_analysis.data import Dataset
from msda_analysis.information import (
    between_encoders,
    encode_once,
    encoder_bounds,
    fit_marginals,
    measured_all,
    vae_information,
)
from msda_analysis.masks.text import BASELINE
from msda_analysis.models import VAE
from msda_analysis.results import to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows, save_arrays
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.plans import InformationPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps import given as given_models
from msda_analysis.studies.steps import train_vae
from msda_analysis.studies.steps.common import (
    data_settings,
    family_cell,
    names_of_shown,
    shown_of_each_class,
)
from msda_analysis.studies.steps.pictures import ending_of

FORMAT = 5
_PICTURES = "reconstructions"


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


def plan_given(given: InformationPlan) -> list[Cell]:
    baseline = given_models.baseline_cell(given)
    return [
        Cell("measure_given_vae", cell.augmentation, cell.seed, _settings(given, cell), (cell, *baseline), cell.label)
        for cell in given_models.plan(given)
    ]


def _settings(given: InformationPlan, cell: Cell) -> dict[str, Any]:
    measured = {"seed": given.seed} | versioned(FORMAT)
    return {"trained": cell.settings["trained"], "measured": measured, "data": data_settings(given.data)}


def _through(study: StudyPlan) -> str:
    """The augmentation whose VAE reconstructs for the others: the reference that is named, else the baseline, where there is one."""
    return study.reference or BASELINE


def _repeats_pair(study: StudyPlan, name: str, seed: int) -> bool:
    """Whether the VAE and the reference's other one are a pair that was met before, the other way round."""
    return name == _through(study) and study.n_seeds == 2 and seed != study.first_seed


def _with_other_baseline(study: StudyPlan, trained: dict[tuple[str, int], Cell], cell: Cell) -> list[Cell]:
    """The VAE to measure and the reference's VAE of the next seed, through which the paper's second figure goes."""
    place = study.seeds.index(cell.seed)
    other = trained.get((_through(study), study.seeds[(place + 1) % study.n_seeds]))
    return [cell] if other is None or other is cell else [cell, other]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    """The numbers, and pictures of reconstructions."""
    is_given, dataset = isinstance(context.plan, InformationPlan), context.test
    seed = context.plan.seed if is_given else cell.seed
    vae, *others = [context.load_vae(need) for need in cell.needs]
    if is_given and vae.normalization:  # in the units that it was trained in, which for a study's own are the dataset's
        mean, std = vae.normalization
        dataset = replace(dataset, mean=mean, std=std)
    codes = encode_once(vae, dataset.normalize(dataset.images), *others, seed=seed)
    own = fit_marginals(codes.own, seed)
    found = measured_all(vae_information(codes))
    if cell.settings.get("between") and codes.baseline is not None:
        # both with one seed: exchanging the VAEs changes no number
        marginals = (fit_marginals(codes.baseline, seed, components=()), own)
        shared = between_encoders(
            codes.baseline, codes.own, seed, reconstructed=codes.reconstructed, marginals=marginals
        )
        found += measured_all(shared, "between_")
    # "rate" is the same number in both: the paper's name is kept once
    bounds = encoder_bounds(*codes.own, seed=seed, marginals=own)
    found += measured_all({name: estimate for name, estimate in bounds.items() if name != "rate"})
    _save_reconstructions(dataset, cell, vae, folder)
    return to_rows(context.source(cell, "vae"), found)


def _save_reconstructions(dataset: Dataset, cell: Cell, vae: VAE, folder: Path) -> None:
    """Of each class, in order of class; of pictures and volumes that no grid shows, none."""
    if len(dataset.image_size) > 1 and dataset.in_channels not in (1, 3):
        return
    chosen = shown_of_each_class(dataset)
    shown = replace(dataset, images=dataset.images[chosen], labels=dataset.labels[chosen])
    with torch.no_grad():
        decoded = vae.decode(vae.encode(shown.normalize(shown.images)).loc)
    channel = (-1, *[1] * len(shown.image_size))
    mean, std = (torch.tensor(v, device=decoded.device).view(channel) for v in (shown.mean, shown.std))
    # pictures only: what is out of range cannot be shown
    rebuilt = (decoded * std + mean).clamp(0, 1)
    rows = {"original": shown.unit_images().cpu().numpy(), cell.label or cell.augmentation: rebuilt.cpu().numpy()}
    save_arrays(folder / f"{_PICTURES}{ending_of(shown.image_size)}.npz", names_of_shown(dataset, chosen) | rows)


def collect(context: Context, cells: Sequence[Cell]) -> None:
    """Reconstructions side by side, of a study's first seed."""
    rebuilt: dict[str, dict[str, np.ndarray]] = {}
    first = getattr(context.plan, "first_seed", None)
    for cell in cells:
        if first is None or cell.seed == first:
            for path in context.store.cell_folder(cell).glob(f"{_PICTURES}*.npz"):
                with np.load(path, allow_pickle=False) as arrays:
                    rebuilt.setdefault(path.name, {}).update({name: arrays[name] for name in arrays.files})
    for name, shown in rebuilt.items():
        save_arrays(context.store.folder / "pictures" / name, shown)


STEPS = (
    Step("measure_vae", StudyPlan, plan, run, collect=collect),
    Step("measure_given_vae", InformationPlan, plan_given, run, collect=collect),
)
