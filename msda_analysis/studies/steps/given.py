"""Models from checkpoints of elsewhere, copied into the folder so that what was measured of them can be repeated."""

import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from msda_analysis.files import file_digest, replace_path
from msda_analysis.models import VAE, Normalized, check_classes, load_checkpoint
from msda_analysis.models.state import existing_file
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import MODEL_FILE, Context, Rows
from msda_analysis.studies.plans import CheckpointPlan, InformationPlan, RobustnessPlan
from msda_analysis.studies.step import Step, versioned

FORMAT = 1


def plan(given: CheckpointPlan) -> list[Cell]:
    """A cell for each file: augmentation, seed and settings of its training, as its metadata tells them."""
    kind = "given_vae" if isinstance(given, InformationPlan) else "given_classifier"
    cells = [_cell(kind, path) for path in given.checkpoints]
    return list({cell.name: cell for cell in cells}.values())


def baseline_cell(given: InformationPlan) -> list[Cell]:
    """The VAE through which the paper's second figure goes, where there is one."""
    return [] if given.baseline is None else [_cell("given_vae", given.baseline)]


def _plan_vaes(given: InformationPlan) -> list[Cell]:
    return list({cell.name: cell for cell in (*plan(given), *baseline_cell(given))}.values())


def _cell(kind: str, path: Path) -> Cell:
    digest = file_digest(existing_file(path))
    metadata = _metadata(path, digest)
    settings = {"checkpoint": digest, "trained": metadata.get("settings", {})} | versioned(FORMAT)
    augmentation, seed = metadata.get("augmentation", ""), cast(int, metadata.get("seed"))  # None where it does not say
    return Cell(kind, augmentation, seed, settings, label=augmentation or path.stem)


@cache
def _metadata(path: Path, digest: str) -> dict[str, Any]:
    del digest  # a changed file is read again
    return load_checkpoint(path)[1]


def _paths(given: CheckpointPlan) -> dict[str, Path]:
    """Files by digest."""
    named = (*given.checkpoints, getattr(given, "baseline", None))
    return {file_digest(path): path for path in named if path is not None}


def check(context: Context, cells: Sequence[Cell]) -> None:
    """Refuse models that cannot be measured on these images."""
    paths, normalizations = _paths(context.plan), {}
    for cell in cells:
        path = paths[cell.settings["checkpoint"]]
        model = load_checkpoint(path)[0]
        if isinstance(context.plan, RobustnessPlan):
            _check_classifier(model, path, context.test.classes)
        else:
            normalizations[path] = _normalization(model, path)
        if not cell.augmentation:
            tqdm.write(
                f"{path}: its metadata names no augmentation, so reports will not show it; "
                'save_checkpoint(model, path, {"augmentation": ..., "seed": ...}) writes one',
                file=sys.stderr,
            )
    if isinstance(context.plan, InformationPlan) and context.plan.baseline is not None:
        _check_units(normalizations, context.plan.baseline)


def _check_classifier(model: Any, path: Path, classes: Sequence[str]) -> None:
    if not isinstance(model, Normalized):
        raise ValueError(f"{path}: expected a classifier that normalizes inside (models.Normalized), got another model")
    check_classes(model, classes, str(path))


def _normalization(model: Any, path: Path) -> Any:
    if not isinstance(model, VAE):
        raise ValueError(
            f"{path}: expected a VAE checkpoint, got {type(model).__name__}; use `msda-analysis robustness`"
        )
    if model.normalization is None:
        raise ValueError(
            f"{path}: does not say how the images that it was trained on were normalized (an older version wrote it), "
            "and rates depend on that; train it again"
        )
    return model.normalization


def _check_units(normalizations: dict[Path, Any], baseline: Path) -> None:
    for path, found in normalizations.items():
        if found != normalizations[baseline]:
            raise ValueError(
                f"baseline: expected a VAE trained on images normalized as those of {path}, by (mean, std) {found}; "
                f"got one trained with {normalizations[baseline]}"
            )


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    with replace_path(folder / MODEL_FILE) as part:
        shutil.copyfile(_paths(context.plan)[cell.settings["checkpoint"]], part)
    return []


STEPS = (
    Step("given_vae", InformationPlan, _plan_vaes, run, check=check),
    Step("given_classifier", RobustnessPlan, plan, run, check=check),
)
