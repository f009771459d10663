"""Which page a folder gets."""

from collections.abc import Sequence
from pathlib import Path

from msda_analysis.report.files import open_study
from msda_analysis.report.section import SectionMaker
from msda_analysis.report.sections import SECTIONS
from msda_analysis.report.sections.audit import AUDIT_SECTIONS, FINDINGS_FILE
from msda_analysis.report.sections.estimators import ESTIMATOR_SECTIONS


def sections_for(folder: Path) -> Sequence[SectionMaker]:
    """Sections of the page that a folder's results ask for: an audit's, the estimators' or a study's.

    Raises:
        FileNotFoundError: the folder has no results.csv.
        ValueError: results.csv or manifest.json cannot be read.
    """
    if (folder / FINDINGS_FILE).is_file():
        return AUDIT_SECTIONS
    metrics = open_study(folder).table["metric"]
    return ESTIMATOR_SECTIONS if metrics.str.startswith("known_").any() else SECTIONS
