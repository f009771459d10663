"""Rows drawn and set by the report's own figure and table: the one place here that knows it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msda_analysis.results import to_table
from msda_analysis.robustness.measured import estimate_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_accuracy(rows: Iterable[Mapping[str, Any]]) -> "Figure":
    """The report's figure of accuracy against epsilon, from rows of the long table."""
    from msda_analysis.report.sections.robustness import accuracy_figure
    from msda_analysis.report.style import styled

    return styled(accuracy_figure(to_table(rows)).figure)()


def write_latex(differences: Sequence[dict[str, Any]]) -> str:
    """Tested differences, see compare(), as the report sets its tables."""
    from msda_analysis.report.tables import ResultTable
    from msda_analysis.report.words import attack_label

    headers = ("Attack", "epsilon", "first", "second", "difference", "p (Holm)", "more robust")
    rows = tuple(
        (
            attack_label(row["attack"], row["norm"]), f"{row['epsilon']:g}", row["a"], row["b"], estimate_of(row),
            f"{row['p_holm']:.2g}", row.get(row["verdict"], row["verdict"]),
        )
        for row in differences
    )  # fmt: skip
    return ResultTable("differences", "Accuracy of the first minus that of the second.", headers, rows).latex()
