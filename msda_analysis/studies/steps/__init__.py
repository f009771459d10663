"""The steps that plans are made of: one file a measurement or a training, one line here."""

from typing import Any

from msda_analysis.studies.cell import Cell
from msda_analysis.studies.step import Step
from msda_analysis.studies.steps import (
    attribution,
    audit,
    bench,
    compare,
    estimators,
    given,
    layers,
    likeness,
    masks,
    measure_classifier,
    measure_vae,
    pictures,
    train_classifier,
    train_vae,
)

#: Every step by the kind of its cells, in the order in which a plan's cells run.
STEPS: dict[str, Step] = {
    step.kind: step
    for module in (
        pictures,
        masks,
        given,
        train_vae,
        measure_vae,
        train_classifier,
        measure_classifier,
        likeness,
        compare,
        layers,
        attribution,
        audit,
        estimators,
        bench,
    )
    for step in module.STEPS
}


def cells_of(plan: Any) -> list[Cell]:
    """All cells of a plan, each after those it needs."""
    return [cell for step in STEPS.values() if isinstance(plan, step.serves) for cell in step.plan(plan)]
