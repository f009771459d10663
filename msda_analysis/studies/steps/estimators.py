"""Every estimator on every case with a known answer."""

import time
from pathlib import Path
from typing import Any

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.information.truths.known_answers import (
    CHECKS,
    Answer,
    answer_between,
    answer_encoder,
    answer_samples,
    known_cases,
)
from msda_analysis.results import Source, to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plans import EstimatorPlan
from msda_analysis.studies.step import Step, versioned

FORMAT = 3
_SMOKE_CASES = {"samples": 2, "scored": 1, "encoder": 1, "between": 1}
_FROM_SAMPLES = ("samples", "scored")
#: Of the methods of a plan, those that are scored: the default, and what it is made of.
_SCORED = ("auto", "ksg1", "gaussian_copula")


def plan(asked: EstimatorPlan) -> list[Cell]:
    """Encoders, which take little time, then method by method, the default first."""
    scored = [method for method in asked.methods if method in _SCORED]
    return [
        *(_cell(asked, check, case) for check in CHECKS if check not in _FROM_SAMPLES for case in cases(asked, check)),
        *(_cell(asked, "scored", case, method) for method in scored for case in cases(asked, "scored")),
        *(_cell(asked, "samples", case, method) for method in asked.methods for case in cases(asked, "samples")),
    ]


def cases(asked: EstimatorPlan, check: str) -> list[str]:
    """Names of a check's cases."""
    return list(known_cases(check))[: _SMOKE_CASES[check] if asked.smoke else None]


def _cell(asked: EstimatorPlan, check: str, case: str, method: str = "") -> Cell:
    n = {"samples": asked.samples} if check in _FROM_SAMPLES else {"images": asked.images}
    settings = {"check": check, "case": case, "method": method} | n | versioned(FORMAT)
    return Cell("known_answer", "", asked.seed, settings, label="-".join(filter(None, (check, case, method))))


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    del folder
    start = time.perf_counter()
    answers = _answer(context.plan, cell.settings)
    seconds = time.perf_counter() - start
    check = cell.settings["check"]
    rows = [row for each in answers for row in to_rows(_source(context, cell, each.method), each.measured(check))]
    about = [Measured("estimator_seconds", Estimate(seconds, "s"), label=cell.settings["case"]), *_about(cell)]
    return [*rows, *to_rows(_source(context, cell), about)]


def _about(cell: Cell) -> list[Measured]:
    """What a reader tells kinds of cases apart by: dimensions of both variables, and whether the copula is Gaussian."""
    if cell.settings["check"] not in _FROM_SAMPLES:
        return []
    case = _case(cell)
    dimensions = Estimate(float(case.dim_x + case.dim_z), "variables")
    kind = "gaussian_copula" if case.gaussian_copula else "other_copula"
    return [Measured("case_dimensions", dimensions, label=kind)]


def _case(cell: Cell) -> Any:
    return known_cases(cell.settings["check"])[cell.settings["case"]]


def _answer(asked: EstimatorPlan, settings: dict[str, Any]) -> list[Answer]:
    case: Any = known_cases(settings["check"])[settings["case"]]
    if settings["check"] in _FROM_SAMPLES:
        return [answer_samples(case, settings["method"], asked.samples, asked.seed)]
    return (answer_encoder if settings["check"] == "encoder" else answer_between)(case, asked.images, asked.seed)


def _source(context: Context, cell: Cell, method: str | None = None) -> Source:
    """Columns of a row: the case as its dataset, the method as its model."""
    case, asked = _case(cell), context.plan
    if cell.settings["check"] in _FROM_SAMPLES:
        settings: dict[str, Any] = {"dim_x": case.dim_x, "dim_z": case.dim_z, "samples": asked.samples}
    else:
        settings = {"latent": case.latent, "images": asked.images}
    shown = cell.settings["method"] if method is None else method
    return Source("estimators", cell.name, case.name, shown, "", cell.seed, settings)


def describe(asked: EstimatorPlan) -> dict[str, Any]:
    def count(check: str, what: str) -> str:
        return f"{len(cases(asked, check))} cases, {what} each"

    return {
        "known distributions": count("samples", f"{asked.samples} samples"),
        "distributions that no threshold was chosen on": count("scored", f"{asked.samples} samples"),
        "estimators": list(asked.methods),
        "encoders": count("encoder", f"{asked.images} images"),
        "pairs of linear encoders": count("between", f"{asked.images} images"),
    }


STEPS = (Step("known_answer", EstimatorPlan, plan, run, source=_source, describe=describe),)
