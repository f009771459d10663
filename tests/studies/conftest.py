"""Fixtures for tests of studies."""

from pathlib import Path

import pytest
from replaced import replace_work

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.results import to_rows
from msda_analysis.studies.context import Context
from msda_analysis.studies.steps import STEPS


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """Cheap work in place of the real one, and no drawing; the names of the cells that ran, in order."""
    log: list[str] = []

    def work(context: Context, cell, folder: Path):
        log.append(cell.name)
        (folder / "model.safetensors").write_text(cell.name)
        length = Estimate(float(len(cell.name)), "letters")
        return to_rows(context.source(cell, "toy"), [Measured("length", length)])

    replace_work(monkeypatch, dict.fromkeys(STEPS, work), collect=lambda *_: None)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    return log
