"""The forest plot: differences from a reference with intervals, against the region of no practical difference."""

import textwrap

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from msda_analysis.report import draw
from msda_analysis.report.panels import GREY, ticks_that_fit
from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.select import reference_of
from msda_analysis.report.style import label_of, looks_for, styled
from msda_analysis.report.words import Table

_WIDTH = 5.2  # inches: readable on a phone
_SAID = 7  # points
_NAME = 24  # letters of a line at the left: the longest names would take the intervals' room
_TITLE = 1.2  # bold letters of one point in a point of the room right of the rows' names
_NARROW, _SHARES = 4.5, (0.36, 0.45)  # below this width, verdicts have less of it


@styled
def draw_forest(numbers: Table) -> Figure:
    """One panel a question, one row a family: interval, region of no practical difference, and verdict.

    Args:
        numbers: columns question, side (text of the row), augmentation, value, low, high, unit, margin (differences of up to
            this make no practical difference) and said (text at the right); of the reference in its attrs.
    """
    width = page_width(_WIDTH)
    letters = int(_SHARES[width >= _NARROW] * width * 72 / (0.52 * points(_SAID)))
    numbers = numbers.assign(
        said=[textwrap.fill(said, letters) for said in numbers["said"]],
        side=[textwrap.fill(side, _NAME) for side in numbers["side"]],
    )
    parts = dict(list(numbers.groupby("question", sort=False)))
    lines = {key: max(text.count("\n") for text in (*part["said"], *part["side"])) for key, part in parts.items()}
    titles = {key: len(textwrap.wrap(str(key), max(1, int(_TITLE * width * 72 / points(8))))) - 1 for key in parts}
    heights = [
        points(0.55 + 0.13 * titles[key] + max(0.24, 0.07 + 0.125 * (lines[key] + 1)) * len(part))
        for key, part in parts.items()
    ]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    axes = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (question, part) in zip(axes, parts.items(), strict=True):
        margin = float(part["margin"].iloc[0])
        ax.axvspan(-margin, margin, color="#e6e6e6", linewidth=0, zorder=0)
        ax.axvline(0, color=GREY, linewidth=0.8)
        draw.draw_dots(ax, part, "side", looks_for(part["augmentation"]))
        for place, said in enumerate(part["said"]):
            ax.text(1.02, place, said, transform=ax.get_yaxis_transform(), va="center", fontsize=points(_SAID))
        ax.grid(visible=False, axis="y")
        ax.set_title(str(question), loc="left", fontweight="bold")
        ax.xaxis.set_major_locator(MaxNLocator(ticks_that_fit(*ax.get_xlim()), steps=[1, 2, 5, 10]))
        ax.set_xlabel(f"minus {label_of(reference_of(numbers))} ({part['unit'].iloc[0]})")
    return figure
