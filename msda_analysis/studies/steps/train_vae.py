"""Train a VAE under each augmentation, from each seed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msda_analysis.masks import Alternate
from msda_analysis.mixing import Augmentation
from msda_analysis.mixing.mixer import network_argument, networks_for
from msda_analysis.models import save_checkpoint
from msda_analysis.settings import to_settings
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import MODEL_FILE, Context, Rows
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import data_settings, family_cell, history_rows
from msda_analysis.studies.store import RESUME
from msda_analysis.training import fit_vae

FORMAT = 1
_UNGUIDED = "trained without the classifier that this augmentation looks at elsewhere, by what it does without one"


def plan(study: StudyPlan) -> list[Cell]:
    if study.vae is None:
        return []
    settings = {"data": data_settings(study.data), "fit": to_settings(study.vae)} | versioned(FORMAT)
    return [
        family_cell("train_vae", study, name, seed, settings) for seed in study.seeds for name in study.augmentations
    ]


def check(context: Context, cells: Sequence[Cell]) -> None:
    """Refuse mixers that cannot do without a classifier, before anything is trained."""
    for name in dict.fromkeys(cell.augmentation for cell in cells):
        for mixer in _mixers(context.plan.family_of(name)):
            networks_for(mixer, None)  # raises


def _mixers(family: Augmentation | None) -> list[Callable[..., Any]]:
    """The mixers of an augmentation that take the network that is trained."""
    parts = family.families if isinstance(family, Alternate) else (family,)
    return [part for part in parts if callable(part) and network_argument(part) is not None]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    study: StudyPlan = context.plan
    family = study.family_of(cell.augmentation)
    vae, history = fit_vae(
        context.train, family, study.vae,
        seed=cell.seed, device=study.device, progress=context.progress,
        resume=folder / RESUME,
    )  # fmt: skip
    save_checkpoint(vae, folder / MODEL_FILE, cell.describe() | {"threads": history.threads})
    return history_rows(context.source(cell, "vae"), history, (_UNGUIDED,) if _mixers(family) else ())


STEPS = (Step("train_vae", StudyPlan, plan, run, check=check),)
