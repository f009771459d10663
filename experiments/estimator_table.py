"""Which estimator of mutual information can be trusted where? All methods on all cases with a known answer.

    python experiments/estimator_table.py --out runs/estimators

About half an hour on one core. Samples of known distributions for every estimator; linear Gaussian encoders for the
bounds of encoders, alone and in pairs. Expected: the default, "auto", within 0.1 nats or 10 % on more than 80 % of the
cases below 2 nats from 4,000 samples.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from msda_analysis.cli import command_line
from msda_analysis.commands import Common
from msda_analysis.endings import run_guarded
from msda_analysis.information import METHODS
from msda_analysis.studies.estimators import EstimatorPlan, write_estimator_table


@dataclass(frozen=True)
class Settings(Common):
    """Every estimator on every case with a known answer."""

    out: Path = Path("estimators")
    """Output folder. A run that was interrupted goes on where it stopped."""
    threads: int = 1
    """CPU threads; more than one gains little here."""
    methods: tuple[str, ...] = METHODS
    """Estimators from samples."""
    samples: int = 4000
    """Samples of every case."""
    images: int = 8000
    """Images of every linear encoder."""
    smoke: bool = False
    """Seconds instead of minutes: the numbers mean nothing."""


def make_plan(settings: Settings) -> EstimatorPlan:
    """The plan; a smoke run has few cases of few samples."""
    if settings.smoke:
        return EstimatorPlan(settings.methods, 200, 200, settings.seed, smoke=True)
    return EstimatorPlan(settings.methods, settings.samples, settings.images, settings.seed)


def main(arguments: list[str] | None = None) -> int:
    """Run; exit code as msda-analysis."""
    settings = tyro.cli(Settings, args=arguments, description=__doc__)

    def run() -> int:
        print(write_estimator_table(make_plan(settings), settings.out, command=command_line()))
        return 0

    return run_guarded(run, settings.threads, settings.out)


if __name__ == "__main__":
    sys.exit(main())
