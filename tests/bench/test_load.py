"""Mixing under load: rows for every family in both states, and no process left behind."""

import subprocess

import pytest

from msda_analysis.bench import load


def test_every_family_is_timed_idle_and_busy_and_the_other_processes_end(monkeypatch):
    started = []
    start = subprocess.Popen
    monkeypatch.setattr(load.subprocess, "Popen", lambda *args: started.append(start(*args)) or started[-1])
    monkeypatch.setattr(load.os, "cpu_count", lambda: 1)
    rows = load.bench_rows(batch=4, size=(8, 8), rounds=10)
    found = {(row["family"], row["name"]) for row in rows}
    assert len(found) == len(rows) == 5 * 5 and all(row["value"] > 0 for row in rows)
    assert len(started) == 1 and started[0].returncode is not None


def test_it_refuses_too_few_rounds():
    with pytest.raises(ValueError, match="rounds"):
        load.bench_rows(rounds=1)
