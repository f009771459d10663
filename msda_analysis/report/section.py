"""What a section of the report is made of, and the figures and tables that several sections share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msda_analysis.report import captions, panels, pictures, tables
from msda_analysis.report.select import has_metric, select_rows, split_parts
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureItem:
    """One figure of a section.

    Attributes:
        name: of its files.
        figure: drawn.
        numbers: what it shows, for the CSV; None for pictures.
        caption: how to read it, plain text.
        alt: what it shows in one sentence, for readers who cannot see it.
    """

    name: str
    figure: "Figure"
    numbers: Table | None
    caption: str
    alt: str


@dataclass(frozen=True)
class Section:
    """One part of the report; empty fields are left out of the page.

    Attributes:
        key: anchor in the page.
        title: heading.
        text: plain paragraphs before the figures.
        findings: sentences computed from the table; they also open the report.
        figures, tables: in order.
        metrics: names whose definitions the report must give.
        limits: what a reader must know before quoting the numbers.
    """

    key: str
    title: str
    text: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    figures: tuple[FigureItem, ...] = ()
    tables: tuple[ResultTable, ...] = ()
    metrics: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


#: (table, folder) -> Section, or None when its rows are missing
SectionMaker = Callable[[Table, Path], Section | None]


def present(table: Table, metrics: Sequence[str]) -> list[str]:
    """Those of the metrics that the table has finished rows of."""
    return [metric for metric in metrics if has_metric(table, metric)]


def picture_grid(folder: Path, name: str) -> tuple[FigureItem, ...]:
    """The picture grid of a file in pictures/, where there is one."""
    path = folder / "pictures" / f"{name}.npz"
    if not path.exists():
        return ()
    caption, alt = captions.GRIDS[name]
    return (FigureItem(name, pictures.draw_picture_grid(pictures.load_pictures(path)), None, caption, alt),)


def dot_figures(table: Table, metrics: list[str], name: str, samples: str) -> tuple[FigureItem, ...]:
    """One dot figure of these metrics for each data set and model."""
    items = []
    for suffix, words, part in split_parts(select_rows(table, metrics)) if metrics else ():
        figure, numbers = panels.draw_dots(part, metrics)
        listed = captions.list_metrics(present(part, metrics))
        caption = captions.sentence(f"{listed}{in_brackets(words)}.", captions.explain_dots(samples, part))
        items.append(FigureItem(f"{name}{suffix}", figure, numbers, caption, f"Dot plot by augmentation of {listed}."))
    return tuple(items)


def metric_tables(
    table: Table, metrics: list[str], name: str, caption: str, *, over_samples: bool = False
) -> tuple[ResultTable, ...]:
    """One table of these metrics for each data set and model."""
    made = []
    for suffix, words, part in split_parts(select_rows(table, metrics)) if metrics else ():
        opening = f"{words}. " if words else ""
        made.append(
            tables.metrics_table(
                part, metrics, name=f"{name}{suffix}", caption=opening + caption, over_samples=over_samples
            )
        )
    return tuple(made)


def in_brackets(words: str) -> str:
    """ " (words)", or nothing for no words."""
    return f" ({words})" if words else ""
