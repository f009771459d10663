"""The steps that plans are made of: one file a measurement or a training, with a table STEPS, and its line in FILES."""

from importlib import import_module
from typing import Any

from msda_analysis.studies.cell import Cell
from msda_analysis.studies.step import Step

#: The files of this folder that hold steps, in the order in which a plan's cells run.
FILES = (
    "pictures",
    "masks",
    "given",
    "train_vae",
    "measure_vae",
    "train_classifier",
    "measure_classifier",
    "paper_numbers",
    "likeness",
    "attribution",
    "compare",
    "layers",
    "audit",
    "estimators",
    "bench",
)
#: Every step by the kind of its cells.
STEPS: dict[str, Step] = {
    step.kind: step for file in FILES for step in import_module(f"{__package__}.{file}").STEPS
}  # fmt: skip


def cells_of(plan: Any) -> list[Cell]:
    """All cells of a plan, each after those it needs."""
    return [cell for step in STEPS.values() if isinstance(plan, step.serves) for cell in step.plan(plan)]
