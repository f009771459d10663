"""Fixtures for tests of studies."""

from pathlib import Path

import pytest

from msda_analysis.estimate import Estimate
from msda_analysis.results import make_row
from msda_analysis.studies import run
from msda_analysis.studies.workshop import Workshop


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """Cheap runners in place of the real ones, and no drawing; the names of the cells that ran, in order."""
    log: list[str] = []

    def work(workshop: Workshop, cell, folder: Path):
        log.append(cell.name)
        (folder / "model.safetensors").write_text(cell.name)
        return [make_row(workshop.source(cell, "toy"), "length", Estimate(float(len(cell.name)), "letters"))]

    monkeypatch.setattr(run, "RUNNERS", dict.fromkeys(run.RUNNERS, work))
    monkeypatch.setattr(run, "_collect_pictures", lambda *_: None)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder: folder / "report.html")
    return log
