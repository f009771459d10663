"""A small real study killed at random moments of every phase: see kills.py, which also runs as a script."""

import pytest
from kills import PHASES, kill_often


@pytest.mark.slow
def test_kills_in_every_phase_lose_nothing_and_leave_nothing(tmp_path):
    tally = kill_often(tmp_path, n=10, seed=0)
    assert tally.aimed == dict.fromkeys(PHASES, 2) and tally.faults == []
    assert all(tally.hit[phase] for phase in PHASES)
