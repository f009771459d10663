"""Tables of the report: raw numbers for CSV, rounded text for the page and for LaTeX (booktabs)."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msda_analysis.estimate import Estimate
from msda_analysis.report.columns import PAGE, Layout, fit_columns
from msda_analysis.report.files import Provenance, write_bytes, write_csv
from msda_analysis.report.select import has_metric, mean_rows, select_rows, summarize
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.words import Table, metric_of


@dataclass(frozen=True)
class Marked(Estimate):
    """An Estimate that stands out in its column.

    Attributes:
        is_best: set in bold.
        mark: behind the value, such as "*".
    """

    is_best: bool = False
    mark: str = ""


Cell = str | Estimate | None
_MOST_COLUMNS = 6  # with more, a table with few rows is turned in print


@dataclass(frozen=True)
class ResultTable:
    """A table as readers see it; cells are text, an Estimate, or None where nothing was measured.

    Attributes:
        name: of its files.
        caption: plain text.
        headers: one per column.
        rows: cells.
        units: one per column, "" for none; () where no column has one.
        is_folded: whether the page shows it only when asked.
        widths: that it may have in print, in inches; the first that holds it is taken.
    """

    name: str
    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    units: tuple[str, ...] = ()
    is_folded: bool = False
    widths: tuple[float, ...] = (PAGE,)

    def __post_init__(self):
        for row in (*self.rows, *([self.units] if self.units else [])):
            if len(row) != len(self.headers):
                raise ValueError(f"rows: expected {len(self.headers)} cells as in headers, got {len(row)}: {row!r}")

    @property
    def titles(self) -> list[str]:
        """Headers with their units in brackets."""
        units = self.units or [""] * len(self.headers)
        return [f"{header} ({unit})" if unit else header for header, unit in zip(self.headers, units, strict=True)]

    @property
    def is_number(self) -> list[bool]:
        """Whether a column holds numbers."""
        return [any(isinstance(row[i], Estimate) for row in self.rows) for i in range(len(self.headers))]

    def texts(self) -> list[list[str]]:
        """Rounded cells, for the page."""
        return [[format_cell(cell) for cell in row] for row in self.rows]

    def frame(self) -> Table:
        """Unrounded: an Estimate becomes four columns, the value and its low, high and n."""
        import pandas as pd

        columns = list(zip(self.titles, self.is_number, strict=True))
        return pd.DataFrame([
            {key: value for (title, is_wide), cell in zip(columns, row, strict=True) for key, value in _raw(title, cell, is_wide).items()}
            for row in self.rows
        ])  # fmt: skip

    def latex(self, provenance: Provenance | None = None) -> str:
        """A tabular with booktabs rules in small print, units in a row of their own, everything escaped.

        A table with many more columns than rows is turned. Provenance and caption stand above as comments.
        """
        table = self.upright()
        parts = [table.headers, table.units] if any(table.units) else [table.headers]
        texts = [*parts, *table.texts()]
        layout = fit_columns(texts, len(parts), table.is_number, self.widths)
        bodies = [table._tabular(parts, layout, block) for block in layout.blocks]
        notes = [
            provenance.line() if provenance else "",
            self.caption,
            f"at most {layout.room:g} inches wide; needs the package booktabs",
        ]
        comments = "".join(
            f"% {' '.join(text.encode('ascii', 'replace').decode().split())}\n" for text in notes if text
        )
        body = "\n\n\\medskip\n".join(bodies)
        return f"{comments}{{{layout.size}\\setlength{{\\tabcolsep}}{{3pt}}%\n{body}}}\n"

    def upright(self) -> "ResultTable":
        """The same, columns down the side where it has many more of them than rows."""
        return self._turned() if self._is_flat else self

    def write(self, folder: Path, provenance: Provenance) -> None:
        """Write NAME.csv and NAME.tex, each in one step.

        Raises:
            OSError: the disk is full or the folder cannot be written; older files are kept.
        """
        write_csv(self.frame(), folder / f"{self.name}.csv")
        write_bytes(folder / f"{self.name}.tex", self.latex(provenance).encode())

    def _tabular(self, heads: Sequence[Sequence[str]], layout: Layout, block: Sequence[int]) -> str:
        """One tabular of some of the columns."""
        kinds = "".join(layout.kind(i) for i in block)
        lines = [[layout.head(i, _latex_text(head[i])) for i in block] for head in heads]
        rows = [[layout.cell(i, _latex_cell(row[i])) for i in block] for row in self.rows]
        shown = ["".join(f"{' & '.join(line)} \\\\\n" for line in part) for part in (lines, rows)]
        rules = "\\toprule\n", "\\midrule\n", "\\bottomrule\n"
        body = f"{rules[0]}{shown[0]}{rules[1]}{shown[1]}{rules[2]}"
        return f"\\begin{{tabular}}{{{kinds}}}\n{body}\\end{{tabular}}\n"

    @property
    def _is_flat(self) -> bool:
        """Whether what stands in rows would better stand in columns: few rows with many numbers each."""
        return (
            len(self.headers) > max(_MOST_COLUMNS, len(self.rows) + 1) and sum(self.is_number) >= len(self.headers) - 2
        )

    def _turned(self) -> "ResultTable":
        units = self.units or ("",) * len(self.headers)
        rows = [(self.headers[i], units[i], *(row[i] for row in self.rows)) for i in range(1, len(self.headers))]
        headers = ("", "Unit", *(str(row[0]) for row in self.rows))
        return replace(self, headers=headers, rows=tuple(rows), units=())


def metrics_table(
    table: Table, metrics: Sequence[str], *, name: str, caption: str, over_samples: bool = False
) -> ResultTable:
    """Augmentation by metric: mean over seeds with Student's 95 % interval; one seed has none.

    Args:
        table: the long table.
        metrics: columns, where the table has them.
        name, caption: of the table.
        over_samples: one seed shows its interval over samples instead; for masks, where nothing was trained.

    Raises:
        ValueError: the table has none of the metrics.
    """
    rows = select_rows(table, metrics)
    parts = [(metric, select_rows(rows, metric)) for metric in metrics if has_metric(rows, metric)]
    columns = [(metric_of(metric).label, _unit(metric, part), part) for metric, part in parts]
    return by_augmentation(columns, name=name, caption=caption, over_samples=over_samples)


def by_augmentation(
    columns: Sequence[tuple[str, str, Table]], *, name: str, caption: str, over_samples: bool = False
) -> ResultTable:
    """One row per augmentation, one column per (header, unit, rows), and the number of seeds."""
    by = ("metric", "augmentation")
    parts = [part for *_, part in columns]
    chosen = [mean_rows(summarize(part, by), by, over_samples=over_samples) for part in parts]
    cells = [{row["augmentation"]: estimate_of(row) for row in part.to_dict("records")} for part in chosen]
    n_seeds = [part.groupby("augmentation")["seed"].nunique(dropna=False).to_dict() for part in parts]
    rows = []
    for augmentation in order_augmentations(key for column in cells for key in column):
        found = [column.get(augmentation) for column in cells]
        counts = sorted({column[augmentation] for column in n_seeds if augmentation in column})
        seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        rows.append((label_of(augmentation), seeds, *found))
    headers, units = zip(*((header, unit) for header, unit, _ in columns), strict=True)
    return ResultTable(name, caption, ("Augmentation", "Seeds", *headers), tuple(rows), ("", "", *units))


def text_table(rows: Table, columns: Sequence[str], *, name: str, caption: str, is_folded: bool = False) -> ResultTable:
    """Rows of the long table as they are: text columns, and value with its interval where "value" is asked for."""
    shown = [column for column in columns if column == "value" or rows[column].astype(str).str.strip().ne("").any()]
    cells = tuple(tuple(_plain(row, column) for column in shown) for row in rows.to_dict("records"))
    return ResultTable(name, caption, tuple(column.capitalize() for column in shown), cells, is_folded=is_folded)


def format_cell(cell: Cell) -> str:
    """A cell rounded for reading: text as it is, "45.91 ± 0.32" for an estimate, a dash for nothing."""
    if cell is None:
        return "\N{EN DASH}"
    if isinstance(cell, str):
        return cell
    return _format_number(cell) + _mark_of(cell)


def _format_number(cell: Estimate) -> str:
    if math.isnan(cell.value):
        return "undefined"
    if cell.low is None or cell.high is None:
        return f"{cell.value:.4g}"
    if cell.low == cell.high == cell.value:
        return f"{cell.value:.4g} \N{PLUS-MINUS SIGN} 0"
    below, above = cell.value - cell.low, cell.high - cell.value
    digits = interval_digits(cell.value, (cell.high - cell.low) / 2)
    if math.isclose(below, above, rel_tol=1e-6, abs_tol=1e-12):
        return f"{cell.value:.{digits}f} \N{PLUS-MINUS SIGN} {above:.{digits}f}"
    return f"{cell.value:.{digits}f} [{cell.low:.{digits}f}, {cell.high:.{digits}f}]"


def estimate_of(row: dict) -> Estimate:
    """Value, interval and n of a row of the long table or of a summary."""
    low, high = (None if row[end] is None or math.isnan(row[end]) else float(row[end]) for end in ("low", "high"))
    return Estimate(float(row["value"]), str(row["unit"]), low, high, int(row["n"]))


def interval_digits(value: float, half_width: float) -> int:
    """Decimals that show two significant digits of the half width, but no more than six of the value."""
    if not half_width > 0 or math.isinf(half_width):
        return 3
    wanted = 1 - math.floor(math.log10(half_width))
    largest = 5 - math.floor(math.log10(max(abs(value), half_width)))
    return max(0, min(wanted, largest))


def escape_latex(text: str) -> str:
    """Text safe in LaTeX and free of characters that it must be told; informations, epsilon and signs become math."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
               **{letter: "\\" + letter for letter in "&%$#_{}"}}  # fmt: skip
    safe = "".join(special.get(letter, letter) for letter in text)
    for plain, math_text in _MATH.items():
        safe = safe.replace(plain, math_text)
    return re.sub(r"\bepsilon\b", r"$\\epsilon$", safe)


_MATH = {
    r"I(Z\_A; X-hat)": r"$I(Z_A; \hat{X})$",
    r"I(Z\_A; X)": r"$I(Z_A; X)$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{EN DASH}": "--",
    "\N{MINUS SIGN}": "$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{GREEK SMALL LETTER EPSILON}": r"$\epsilon$",
    "<": "$<$",
    ">": "$>$",
    "|": r"$|$",
}


def _unit(metric: str, part: Table) -> str:
    """The unit of a metric's rows, where its name does not say it."""
    unit = str(part["unit"].iloc[0])
    return "" if unit.lower() in metric_of(metric).label.lower() else unit


def _raw(title: str, cell: Cell, is_wide: bool) -> dict[str, object]:
    if not is_wide:
        return {title: cell}
    known = cell if isinstance(cell, Estimate) else Estimate(math.nan, "", n=0)
    return {title: known.value, f"{title} low": known.low, f"{title} high": known.high, f"{title} n": known.n}


def _plain(row: dict, column: str) -> Cell:
    if column == "value":
        return None if math.isnan(row["value"]) else estimate_of({**row, "n": 1 if _is_empty(row["n"]) else row["n"]})
    if column == "augmentation":
        return label_of(row[column])
    return "" if _is_empty(row[column]) else f"{row[column]:g}" if isinstance(row[column], float) else str(row[column])


def _is_empty(value: object) -> bool:
    return value is None or str(value) in ("", "<NA>", "nan")


def _latex_cell(cell: Cell) -> str:
    text = format_cell(cell)
    if not isinstance(cell, Estimate) or math.isnan(cell.value):
        return _latex_text(text)
    text, mark = text.removesuffix(_mark_of(cell)), cell.mark if isinstance(cell, Marked) else ""
    if isinstance(cell, Marked) and cell.is_best:
        value, space, rest = text.partition(" ")
        text = rf"\mathbf{{{value}}}{space}{rest}"
    text = text.replace("\N{PLUS-MINUS SIGN}", r"\pm")
    return f"${text}{f'^{{{mark}}}' if mark else ''}$"


def _mark_of(cell: Cell) -> str:
    """What the page says behind a number that stands out."""
    if not isinstance(cell, Marked):
        return ""
    return cell.mark + (" (best)" if cell.is_best else "")


def _latex_text(text: str) -> str:
    """Escaped text; the line break before it would take a leading bracket or star for its own argument."""
    safe = escape_latex(text)
    return f"{{}}{safe}" if safe.startswith(("[", "*")) else safe
