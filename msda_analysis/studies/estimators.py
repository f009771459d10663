"""Every estimator on every case with a known answer: resumable rows and one page."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from msda_analysis.checks import check_choice, check_count
from msda_analysis.environment import describe_environment
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.information import METHODS
from msda_analysis.information.truths.known_answers import (
    CHECKS,
    Answer,
    answer_between,
    answer_encoder,
    answer_samples,
    known_cases,
)
from msda_analysis.results import Source, read_rows, to_rows
from msda_analysis.studies.runner import Runner
from msda_analysis.studies.store import Store, find_damaged_cells

#: Raise when a change makes old finished cells wrong.
FORMAT = 3
_SMOKE_CASES = {"samples": 2, "scored": 1, "encoder": 1, "between": 1}
_FROM_SAMPLES = ("samples", "scored")
#: Of the methods of a plan, those that are scored: the default, and what it is made of.
_SCORED = ("auto", "ksg1", "gaussian_copula")


@dataclass(frozen=True)
class AnswerCell:
    """One piece of work: a case, and for samples the method (encoders give all bounds at once).

    Attributes:
        check: one of known_answers.CHECKS.
        case: name of the case.
        method: estimator, or "" where the check has only one way.
    """

    check: str
    case: str
    method: str = ""

    @property
    def name(self) -> str:
        """Folder name."""
        return "-".join(filter(None, (self.check, self.case, self.method)))

    @property
    def needs(self) -> tuple["AnswerCell", ...]:
        """None: no case builds on another."""
        return ()


@dataclass(frozen=True)
class EstimatorPlan:
    """Which methods meet which cases.

    Attributes:
        methods: estimators from samples, out of information.METHODS.
        samples: of every case for them.
        images: of every encoder.
        seed: of samples and estimators.
        smoke: the first few cases only.
    """

    methods: tuple[str, ...] = METHODS
    samples: int = 4000
    images: int = 8000
    seed: int = 0
    smoke: bool = False

    def __post_init__(self) -> None:
        for method in self.methods:
            check_choice("methods", method, METHODS)
        check_count("samples", self.samples, 64)
        check_count("images", self.images, 64)

    def identity(self) -> dict[str, Any]:
        """All that decides the numbers, as plain JSON values."""
        cases = {check: self.cases(check) for check in CHECKS}
        return {"kind": "EstimatorPlan", "format": FORMAT, "methods": list(self.methods), "samples": self.samples,
                "images": self.images, "seed": self.seed, "cases": cases}  # fmt: skip

    def cases(self, check: str) -> list[str]:
        """Names of a check's cases."""
        return list(known_cases(check))[: _SMOKE_CASES[check] if self.smoke else None]

    def cells(self) -> list[AnswerCell]:
        """All pieces of work, in order: encoders, which take little time, then method by method, the default first."""
        encoders = [
            AnswerCell(check, case) for check in CHECKS if check not in _FROM_SAMPLES for case in self.cases(check)
        ]
        scored = [method for method in self.methods if method in _SCORED]
        return [
            *encoders,
            *(AnswerCell("scored", case, method) for method in scored for case in self.cases("scored")),
            *(AnswerCell("samples", case, method) for method in self.methods for case in self.cases("samples")),
        ]


def write_estimator_table(plan: EstimatorPlan, folder: Path, *, command: str = "") -> Path:
    """Measure what is not measured yet, then write results.csv, manifest.json, figures, tables and report.html.

    An interruption loses at most the cell that was running; the same call goes on where it stopped. A method that
    refuses a case is noted and the others go on.

    Args:
        plan: what to measure.
        folder: new, empty, or holding this same plan.
        command: the command line, for the page.

    Returns:
        The page.

    Raises:
        ValueError: the folder holds another plan or another study.
        OSError: the folder cannot be written; finished cells stay.
    """
    from msda_analysis.report import write_report

    store, cells = Store(folder, plan), plan.cells()
    store.claim()
    for line in find_damaged_cells(folder, [cell.name for cell in cells]):
        tqdm.write(line, file=sys.stderr)
    # a ValueError is a method that refuses the case; anything else is our own mistake
    runner = Runner[AnswerCell](
        store, lambda cell, _: _measure(plan, cell), lambda cell: _source(plan, cell, cell.method),
        noted=ValueError, label="known answers",
    )  # fmt: skip
    runner.run(cells)
    with store.hold("outputs", wait=True):
        failed = sum(row["status"] == "failed" for row in read_rows(store.collect(cells)))
        _write_manifest(plan, store, cells, failed, command)
        return write_report(folder)


def _measure(plan: EstimatorPlan, cell: AnswerCell) -> list[dict[str, Any]]:
    start = time.perf_counter()
    answers = _answer(plan, cell)
    seconds = time.perf_counter() - start
    rows = [
        row for answer in answers for row in to_rows(_source(plan, cell, answer.method), answer.measured(cell.check))
    ]
    about = [Measured("estimator_seconds", Estimate(seconds, "s"), label=cell.case), *_describe_case(cell)]
    return [*rows, *to_rows(_source(plan, cell, cell.method), about)]


def _describe_case(cell: AnswerCell) -> list[Measured]:
    """What a reader tells kinds of cases apart by: dimensions of both variables, and whether the copula is Gaussian."""
    if cell.check not in _FROM_SAMPLES:
        return []
    case: Any = known_cases(cell.check)[cell.case]
    dimensions = Estimate(float(case.dim_x + case.dim_z), "variables")
    kind = "gaussian_copula" if case.gaussian_copula else "other_copula"
    return [Measured("case_dimensions", dimensions, label=kind)]


def _answer(plan: EstimatorPlan, cell: AnswerCell) -> list[Answer]:
    case: Any = known_cases(cell.check)[cell.case]
    if cell.check in _FROM_SAMPLES:
        return [answer_samples(case, cell.method, plan.samples, plan.seed)]
    return (answer_encoder if cell.check == "encoder" else answer_between)(case, plan.images, plan.seed)


def _source(plan: EstimatorPlan, cell: AnswerCell, method: str) -> Source:
    """Columns of a row: the case as its dataset, the method as its model."""
    case: Any = known_cases(cell.check)[cell.case]
    if cell.check in _FROM_SAMPLES:
        settings: dict[str, Any] = {"dim_x": case.dim_x, "dim_z": case.dim_z, "samples": plan.samples}
    else:
        settings = {"latent": case.latent, "images": plan.images}
    return Source("estimators", cell.name, cell.case, method, "", plan.seed, settings)


def _describe_cases(plan: EstimatorPlan) -> dict[str, Any]:
    return {
        "known distributions": f"{len(plan.cases('samples'))} cases, {plan.samples} samples each",
        "distributions that no threshold was chosen on": f"{len(plan.cases('scored'))} cases, {plan.samples} samples each",
        "estimators": list(plan.methods),
        "encoders": f"{len(plan.cases('encoder'))} cases, {plan.images} images each",
        "pairs of linear encoders": f"{len(plan.cases('between'))} cases, {plan.images} images each",
    }


def _write_manifest(plan: EstimatorPlan, store: Store, cells: Sequence[AnswerCell], failed: int, command: str) -> None:
    done = sum(store.is_done(cell) for cell in cells)
    store.write_manifest({
        "study": "estimators", "title": "Estimators of mutual information on known answers", "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": _describe_cases(plan),
        "settings": plan.identity(),
        "cells": {"total": len(cells), "done": done, "failed": failed},
        "environment": describe_environment("cpu", ("torch", "numpy", "scipy", "scikit-learn")),
        "cells_s": store.seconds(cells),
    })  # fmt: skip
