"""Studies: plans made of cells, kept in a folder, run to the last or resumed.

Plans are there at once; the rest is imported when first used, so that the command line can show its help without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from msda_analysis.studies.plan import AttackSpec, DataSpec, StudyPlan

_HOMES = {"Cell": "cell", "Store": "store", "Summary": "run", "cells_of": "steps", "run_study": "run"}

__all__ = ["AttackSpec", "Cell", "DataSpec", "Store", "StudyPlan", "Summary", "cells_of", "run_study"]

if TYPE_CHECKING:
    from msda_analysis.studies.cell import Cell
    from msda_analysis.studies.run import Summary, run_study
    from msda_analysis.studies.steps import cells_of
    from msda_analysis.studies.store import Store


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
