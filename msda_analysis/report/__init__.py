"""From a study's table to one page with figures and tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msda_analysis.report.section import SectionMaker


def write_report(folder: Path, damage: Sequence[str] = (), left_out: Sequence[str] = ()) -> Path:
    """Make figures/, tables/ and report.html of a study from its results.csv, manifest.json and pictures.

    Args:
        folder: a study's output folder.
        damage: what is known to be wrong with it, one line each, to be said on the page.
        left_out: cells whose rows are not shown.

    Returns:
        Path of report.html.

    Raises:
        FileNotFoundError: the folder has no results.csv.
        ValueError: results.csv or manifest.json cannot be read.
        OSError: the disk is full or the folder cannot be written; the old report is kept.
    """
    from msda_analysis.report.page import write_page  # matplotlib, needed only here

    return write_page(Path(folder), all_sections(), damage, left_out)


def all_sections() -> "tuple[SectionMaker, ...]":
    """What makes the sections of a page, in their order."""
    from msda_analysis.report.sections import SECTIONS

    return SECTIONS
