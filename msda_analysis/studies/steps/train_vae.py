"""Train a VAE under each augmentation, from each seed."""

from pathlib import Path

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


def plan(study: StudyPlan) -> list[Cell]:
    if study.vae is None:
        return []
    settings = {"data": data_settings(study.data), "fit": to_settings(study.vae)} | versioned(FORMAT)
    return [
        family_cell("train_vae", study, name, seed, settings) for seed in study.seeds for name in study.augmentations
    ]


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    study: StudyPlan = context.plan
    vae, history = fit_vae(
        context.train, study.family_of(cell.augmentation), study.vae,
        seed=cell.seed, device=study.device, progress=context.progress,
        resume=folder / RESUME,
    )  # fmt: skip
    save_checkpoint(vae, folder / MODEL_FILE, cell.describe() | {"threads": history.threads})
    return history_rows(context.source(cell, "vae"), history)


STEPS = (Step("train_vae", StudyPlan, plan, run),)
