"""What a section of the report is made of, and the figures and tables that several sections share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msda_analysis.estimate import FEWEST_SEEDS
from msda_analysis.report import draw, pictures, shapes, tables
from msda_analysis.report.select import has_metric, select_rows, split_parts, summarize
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Table, attack_label, in_brackets, metric_of, sentence

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

_MOST_NAMED = 5  # metrics in a caption
#: Caption of a table of means.
MEANS = (
    "Mean over seeds with 95 % interval, Student's over seeds, for accuracies over images and seeds; with two seeds it is over the test "
    "images alone, and a single seed has none."
)
#: Limit of lower bounds from samples.
CEILING_LIMIT = (
    "InfoNCE cannot exceed ln K for K samples; close to it, it says only that the information is at least that large."
)
#: Ending of a pictures file, by the axes of what it holds -> what draws it, how to read it, and how many it draws of each row.
_GRIDS = {
    "": (pictures.draw_picture_grid, "", None),
    "_1d": (
        shapes.draw_signal_grid,
        "Time runs to the right, values upwards from 0 to 1; of a mask the part that is kept is filled. At most three channels "
        "are drawn.",
        shapes.SIGNALS,
    ),
    "_3d": (
        shapes.draw_volume_grid,
        "Two volumes a row, each as slices from the first to the last along its first axis; of a mask also the surface where "
        "it crosses one half, seen from a corner.",
        shapes.VOLUMES,
    ),
}


@dataclass(frozen=True)
class FigureItem:
    """One figure of a section: what is drawn is the table that lies beside it as CSV.

    Attributes:
        name: of its files.
        numbers: what is drawn; None for pictures.
        draw: makes the figure of it, of the pictures where there are no numbers, or of both.
        caption: how to read it, plain text.
        alt: what it shows in one sentence, for readers who cannot see it.
        is_folded: whether the page shows it only when asked.
        pictures: rows of a grid by name, [image, (channel,) height, width].
        brief: what the first screen says below it, where the caption is folded; "" for the caption.
    """

    name: str
    numbers: Table | None
    draw: "Callable[..., Figure]"
    caption: str
    alt: str
    is_folded: bool = False
    pictures: "Mapping[str, np.ndarray] | None" = None
    brief: str = ""

    def figure(self) -> "Figure":
        """Draw it."""
        return self.draw(*(part for part in (self.numbers, self.pictures) if part is not None))


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
        is_headline: whether figures and findings open the page, before all that follows by subject.
        answer: one sentence that says what came out, above the findings of a headline.
    """

    key: str
    title: str
    text: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    figures: tuple[FigureItem, ...] = ()
    tables: tuple[ResultTable, ...] = ()
    metrics: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    is_headline: bool = False
    answer: str = ""


#: (table, folder) -> Section, or None when its rows are missing
SectionMaker = Callable[[Table, Path], Section | None]


def present(table: Table, metrics: Sequence[str]) -> list[str]:
    """Those of the metrics that the table has finished rows of."""
    return [metric for metric in metrics if has_metric(table, metric)]


def picture_grid(folder: Path, name: str, caption: str) -> tuple[FigureItem, ...]:
    """The grid of a file in pictures/, of pictures, signals or volumes, with a caption whose first sentence says what it shows."""
    items = []
    for suffix, (grid, how, most) in _GRIDS.items():
        path = folder / "pictures" / f"{name}{suffix}.npz"
        if path.exists():
            classes = pictures.load_classes(path)[:most]
            painter = partial(_draw_grid, grid, name == "masks", classes)
            alt = f"Grid of pictures: {caption.partition('.')[0]}."
            told, rows = sentence(caption, list_classes(classes), how), pictures.load_pictures(path)
            items.append(FigureItem(f"{name}{suffix}", None, painter, told, alt, pictures=rows))
    return tuple(items)


def list_classes(names: Sequence[str]) -> str:
    """Which classes the columns of a grid show; "" where that is not known."""
    return f"Classes, from left to right: {', '.join(names)}." if names else ""


def _draw_grid(grid: "Callable[..., Figure]", is_mask: bool, classes: Sequence[str], rows: Any) -> "Figure":
    if grid is pictures.draw_picture_grid:
        return grid(rows, columns=classes)
    return grid(rows, is_mask=True) if is_mask else grid(rows)


def dot_figures(
    table: Table, metrics: Sequence[str], name: str = "dots", samples: str = "samples", *, is_folded: bool = False
) -> tuple[FigureItem, ...]:
    """One figure of dots, a panel a metric, for each data set and model.

    Args:
        table: the long table.
        metrics: which, where the table has them.
        name: of the files.
        samples: what the intervals of single seeds speak of, in the plural.
        is_folded: whether the page shows it only when asked.
    """
    items = []
    shown = present(table, metrics)
    for suffix, words, part in split_parts(select_rows(table, shown)) if shown else ():
        listed = _list_metrics(present(part, shown))
        caption = sentence(f"{listed}{in_brackets(words)}.", explain_dots(samples, part))
        numbers = summarize(part, ("metric", "augmentation"))
        painter = partial(draw.dots, panels=[(metric,) for metric in shown])
        alt = f"Dot plot by augmentation of {listed}."
        items.append(FigureItem(f"{name}{suffix}", numbers, painter, caption, alt, is_folded))
    return tuple(items)


def _list_metrics(metrics: Sequence[str]) -> str:
    """Names of metrics, the first of many: each panel says its own."""
    labels, more = [metric_of(metric).label for metric in metrics], len(metrics) - _MOST_NAMED
    return f"{', '.join(labels[: _MOST_NAMED - 1])} and {more + 1} more" if more > 0 else ", ".join(labels)


def metric_tables(
    table: Table,
    metrics: Sequence[str],
    name: str,
    caption: str,
    *,
    over_samples: bool = False,
    is_folded: bool = False,
) -> tuple[ResultTable, ...]:
    """One table of these metrics for each data set and model."""
    made = []
    for suffix, words, part in split_parts(select_rows(table, metrics)) if metrics else ():
        opening = f"{words}. " if words else ""
        one = tables.metrics_table(
            part, metrics, name=f"{name}{suffix}", caption=opening + caption, over_samples=over_samples
        )
        made.append(replace(one, is_folded=is_folded))
    return tuple(made)


def attack_title(attack: str, norm: str) -> str:
    """Title of a panel on one attack: its axis tells the norm."""
    del norm
    return attack_label(attack)


def explain_dots(samples: str, rows: Table) -> str:
    """How to read a dot plot of these rows, whose seeds have intervals over these samples."""
    if rows["seed"].nunique(dropna=False) == 1:
        return f"Each symbol is a single seed; thin bars are 95 % intervals over its {samples}. Nothing here speaks of seeds."
    if rows.groupby("augmentation")["seed"].nunique(dropna=False).max() < FEWEST_SEEDS:
        return (
            f"Small open symbols are single seeds; the large symbol is their mean, and bars are 95 % intervals over the {samples} alone: "
            "two seeds are too few for an interval between seeds."
        )
    return (
        f"Small open symbols are single seeds; their thin bars are 95 % intervals over the {samples} of that seed (often "
        "narrower than the symbol). The large symbol is the mean over seeds and the thick bar the 95 % interval of "
        "that mean, which speaks of the seeds."
    )


def explain_curves(rows: Table) -> str:
    """What lines, bands and bars of a curve figure are, for the number of seeds in these rows."""
    n_seeds = rows.groupby("augmentation")["seed"].nunique(dropna=False)
    if n_seeds.min() >= draw.SEEDS_FOR_BAND:
        return "Lines are means over seeds, bands their 95 % interval (cut off where it leaves the panel)."
    if n_seeds.max() == 1:
        return (
            "Lines are single seeds; thin bars, where given, are 95 % intervals over images or masks. Nothing here speaks "
            "of seeds."
        )
    return (
        "Thick lines are means over seeds. From three seeds on they have a band, the mean's 95 % interval; two say too "
        "little of how runs differ, so the seeds are drawn as thin lines instead."
    )


def count_images(rows: Table) -> str:
    """How many images and seeds stand behind each point of these rows."""
    images = sorted({int(n) for n in rows["n"].dropna()})
    seeds = sorted(set(rows.groupby("augmentation")["seed"].nunique(dropna=False)))
    spans = [f"{part[0]}" if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in (images, seeds) if part]
    return f"n = {spans[0]} test images, {spans[1]} seed{'' if spans[1] == '1' else 's'}." if len(spans) == 2 else ""
