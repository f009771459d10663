"""A small real study killed at random moments: see kills.py, which also runs as a script."""

import pytest
from kills import kill_often


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_and_leave_nothing(tmp_path):
    tally = kill_often(tmp_path, n=10, seed=0)
    assert tally.kills == 10 and tally.rounds >= 1 and tally.faults == []
