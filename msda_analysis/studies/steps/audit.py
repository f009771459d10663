"""Who samples what: every implementation known here, and callables of one's own."""

import ast
import inspect
import json
import sys
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pandas as pd

from msda_analysis.audit import (
    Finding,
    Subject,
    audit,
    audit_table,
    known_subjects,
    released_versus_paper,
    subject_from_path,
)
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.files import replace_file
from msda_analysis.mixing.adapters import PACKAGES
from msda_analysis.results import Source, to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plans import AuditPlan
from msda_analysis.studies.step import Step, versioned

FORMAT = 3
#: Of a cell's folder: what was found, in full.
_FOUND = "findings.json"
#: Of the study's folder, for the page; and of a cell's.
_FINDINGS, _RELEASED = "audit.csv", "released.csv"


def plan(asked: AuditPlan) -> list[Cell]:
    shared = {"n_masks": asked.n_masks} | versioned(FORMAT)
    return [
        Cell("audit", name, asked.seed, shared | {"code": _code(asked.callables, name)} | _claim(asked, name))
        for name in _subjects(asked.callables)
    ]


def plan_laws(asked: AuditPlan) -> list[Cell]:
    return [Cell("two_laws", "", asked.seed, {"n_masks": asked.n_masks} | versioned(FORMAT), label="fmix")]


@cache
def _subjects(callables: tuple[str, ...]) -> dict[str, Subject]:
    return {subject.name: subject for subject in (*known_subjects(), *(subject_from_path(path) for path in callables))}


def _claim(asked: AuditPlan, name: str) -> dict[str, float]:
    """What is claimed of the law of lambda of one's own callables."""
    return {} if asked.alpha is None or name not in asked.callables else {"alpha": asked.alpha}


def _code(callables: tuple[str, ...], name: str) -> str:
    """Digest of the file of one's own callable; what is known here has its version in its name, or is this package."""
    module = sys.modules.get(name.partition(":")[0]) if ":" in name else None
    if name not in callables or module is None or name.partition(":")[0] in PACKAGES:
        return ""
    return blake2b(ast.unparse(ast.parse(inspect.getsource(module))).encode(), digest_size=8).hexdigest()


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    subject, asked = _subjects(context.plan.callables)[cell.augmentation], context.plan
    alpha = _claim(asked, cell.augmentation).get("alpha")
    found = audit(subject, alpha=alpha, n_masks=asked.n_masks, seed=asked.seed)
    with replace_file(folder / _FOUND) as file:
        json.dump([finding.row(subject.name, check) for check, finding in found.items()], file, indent=1)
    return to_rows(
        _source(context, cell), [_measured(check, finding, asked.n_masks) for check, finding in found.items()]
    )


def run_laws(context: Context, cell: Cell, folder: Path) -> Rows:
    """The FMix of the paper against the FMix that was released; its numbers have a table of their own."""
    _write_csv(folder / _RELEASED, released_versus_paper(n=context.plan.n_masks, seed=cell.seed))
    return []


def _measured(check: str, finding: Finding, n_masks: int) -> Measured:
    value = float("nan") if finding.value is None else finding.value
    words = tuple(filter(None, (finding.answer, finding.fault, finding.note)))
    return Measured(f"audit_{check}", Estimate(value, "", n=n_masks, warnings=words), verdict=finding.verdict)


def _source(context: Context, cell: Cell) -> Source:
    settings = {"n_masks": context.plan.n_masks}
    return Source("audit", cell.name, "probe images", "", cell.augmentation, cell.seed, settings)


def collect(context: Context, cells: Sequence[Cell]) -> None:
    texts = [(context.store.cell_folder(cell) / _FOUND).read_text(encoding="utf-8") for cell in cells]
    findings = [finding for text in texts for finding in json.loads(text)]
    _write_csv(context.store.folder / _FINDINGS, findings)
    with pd.option_context("display.width", 200, "display.max_columns", 30, "display.max_colwidth", 24):
        print(audit_table(findings, content="verdict").T.to_string())


def collect_laws(context: Context, cells: Sequence[Cell]) -> None:
    for cell in cells:
        context.copy_out(cell, _RELEASED)


def _write_csv(path: Path, records: list[dict[str, Any]]) -> None:
    with replace_file(path) as file:
        pd.DataFrame(records).to_csv(file, index=False)


STEPS = (
    Step("audit", AuditPlan, plan, run, source=_source, collect=collect),
    Step("two_laws", AuditPlan, plan_laws, run_laws, collect=collect_laws),
)
