"""Studies: plans made of cells, kept in a folder, run to the last or resumed."""

from msda_analysis.studies.plan import AttackSpec, Cell, DataSpec, StudyPlan
from msda_analysis.studies.run import Summary, run_study
from msda_analysis.studies.store import Store

__all__ = ["AttackSpec", "Cell", "DataSpec", "Store", "StudyPlan", "Summary", "run_study"]
