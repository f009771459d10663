"""Tables of the report: raw numbers for CSV, rounded text for the page and for LaTeX (booktabs)."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msda_analysis.estimate import Estimate
from msda_analysis.report.files import Provenance, write_bytes, write_csv
from msda_analysis.report.plots import attacks_of
from msda_analysis.report.select import has_metric, mean_rows, select_rows, summarize
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.words import Table, attack_label, metric_of

if TYPE_CHECKING:
    from pathlib import Path

Cell = str | Estimate | None
#: Corrected p values below this decide a comparison.
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class ResultTable:
    """A table as readers see it; cells are text, an Estimate, or None where nothing was measured.

    Attributes:
        name: of its files.
        caption: plain text.
        headers: one per column, with the unit.
        rows: cells.
    """

    name: str
    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(f"rows: expected {len(self.headers)} cells as in headers, got {len(row)}: {row!r}")

    def texts(self) -> list[list[str]]:
        """Rounded cells, for the page."""
        return [[format_cell(cell) for cell in row] for row in self.rows]

    def frame(self) -> Table:
        """Unrounded: an Estimate becomes four columns, the value and its low, high and n."""
        import pandas as pd

        wide = [any(isinstance(row[i], Estimate) for row in self.rows) for i in range(len(self.headers))]
        return pd.DataFrame([
            {key: value for i, cell in enumerate(row) for key, value in _raw(self.headers[i], cell, wide[i]).items()}
            for row in self.rows
        ])  # fmt: skip

    def latex(self, provenance: Provenance | None = None) -> str:
        """A tabular with booktabs rules, everything escaped, its provenance as a comment."""
        align = "".join(
            "r" if any(isinstance(row[i], Estimate) for row in self.rows) else "l" for i in range(len(self.headers))
        )
        lines = [
            f"% {' '.join(text.split())}" for text in (provenance.line() if provenance else "", self.caption) if text
        ]
        lines += [
            f"\\begin{{tabular}}{{{align}}}",
            "\\toprule",
            _latex_line(map(escape_latex, self.headers)),
            "\\midrule",
        ]
        lines += [_latex_line(_latex_cell(cell) for cell in row) for row in self.rows]
        return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])

    def write(self, folder: "Path", provenance: Provenance) -> None:
        """Write NAME.csv and NAME.tex, each in one step.

        Raises:
            OSError: the disk is full or the folder cannot be written; older files are kept.
        """
        write_csv(self.frame(), folder / f"{self.name}.csv")
        write_bytes(folder / f"{self.name}.tex", self.latex(provenance).encode())


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
    columns = []
    for metric in metrics:
        if has_metric(rows, metric):
            part = select_rows(rows, metric)
            columns.append((_header(metric, str(part["unit"].iloc[0])), part))
    return _by_augmentation(columns, name=name, caption=caption, over_samples=over_samples)


def accuracy_table(
    table: Table, epsilons: "dict[tuple[str, str], float]", *, name: str = "accuracy", caption: str
) -> ResultTable:
    """Clean accuracy, and accuracy under each attack at one epsilon.

    Args:
        table: the long table.
        epsilons: (attack, norm) -> epsilon to show, see `half_epsilons`.
        name, caption: of the table.

    Raises:
        ValueError: the table has neither accuracy nor robust_accuracy rows.
    """
    rows = select_rows(table, ("accuracy", "robust_accuracy"))
    columns = []
    if has_metric(rows, "accuracy"):
        columns.append(("Clean (fraction)", select_rows(rows, "accuracy")))
    for (attack, norm), epsilon in epsilons.items():
        part = select_rows(rows, "robust_accuracy", attack=attack, norm=norm, epsilon=epsilon)
        columns.append((f"{attack_label(attack, norm)}, epsilon = {epsilon:g}", part))
    return _by_augmentation(columns, name=name, caption=caption)


def half_epsilons(table: Table, reference: str = "baseline") -> dict[tuple[str, str], float]:
    """Per attack and norm, the positive epsilon at which the reference's accuracy is nearest to half of its clean one.

    There augmentations can differ most; the choice looks at the reference alone. Without the reference, the mean
    over all augmentations decides. The smallest epsilon stands for clean accuracy.

    Raises:
        ValueError: the table has no robust_accuracy rows.
    """
    rows = select_rows(table, "robust_accuracy")
    rows = rows[rows["augmentation"] == reference] if (rows["augmentation"] == reference).any() else rows
    chosen = {}
    for attack, norm in attacks_of(rows):
        means = rows[(rows["attack"] == attack) & (rows["norm"] == norm)].groupby("epsilon")["value"].mean()
        positive = means[means.index > 0]
        if len(positive):
            chosen[attack, norm] = float((positive - means.iloc[0] / 2).abs().idxmin())
    return chosen


def text_table(rows: Table, columns: Sequence[str], *, name: str, caption: str) -> ResultTable:
    """Rows of the long table as they are: text columns, and value with its interval where "value" is asked for."""
    shown = [column for column in columns if column == "value" or rows[column].astype(str).str.strip().ne("").any()]
    cells = tuple(tuple(_plain(row, column) for column in shown) for row in rows.to_dict("records"))
    return ResultTable(name, caption, tuple(column.capitalize() for column in shown), cells)


def format_cell(cell: Cell) -> str:
    """A cell rounded for reading: text as it is, "45.91 ± 0.32" for an estimate, a dash for nothing."""
    if cell is None:
        return "\N{EN DASH}"
    if isinstance(cell, str):
        return cell
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


def escape_latex(text: str) -> str:
    """Text safe in LaTeX; the two mutual informations, epsilon, minus and other signs become math."""
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


def _by_augmentation(
    columns: list[tuple[str, Table]], *, name: str, caption: str, over_samples: bool = False
) -> ResultTable:
    """One row per augmentation, one column per (header, rows), and the number of seeds."""
    by = ("metric", "augmentation")
    chosen = [mean_rows(summarize(part, by), by, over_samples=over_samples) for _, part in columns]
    cells = [{row["augmentation"]: estimate_of(row) for row in part.to_dict("records")} for part in chosen]
    n_seeds = [part.groupby("augmentation")["seed"].nunique(dropna=False).to_dict() for _, part in columns]
    rows = []
    for augmentation in order_augmentations(key for column in cells for key in column):
        found = [column.get(augmentation) for column in cells]
        counts = sorted({column[augmentation] for column in n_seeds if augmentation in column})
        seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        rows.append((label_of(augmentation), seeds, *found))
    return ResultTable(name, caption, ("Augmentation", "Seeds", *(header for header, _ in columns)), tuple(rows))


def _header(metric: str, unit: str) -> str:
    label = metric_of(metric).label
    return f"{label} ({unit})" if unit and unit.lower() not in label.lower() else label


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


def _raw(header: str, cell: Cell, is_wide: bool) -> dict[str, object]:
    if not is_wide:
        return {header: cell}
    known = cell if isinstance(cell, Estimate) else Estimate(math.nan, "", n=0)
    return {header: known.value, f"{header} low": known.low, f"{header} high": known.high, f"{header} n": known.n}


def _plain(row: dict, column: str) -> Cell:
    if column == "value":
        return None if math.isnan(row["value"]) else estimate_of({**row, "n": 1 if _is_empty(row["n"]) else row["n"]})
    if column == "augmentation":
        return label_of(row[column])
    return "" if _is_empty(row[column]) else f"{row[column]:g}" if isinstance(row[column], float) else str(row[column])


def _is_empty(value: object) -> bool:
    return value is None or str(value) in ("", "<NA>", "nan")


def _latex_line(cells: Iterable[str]) -> str:
    """One row; the line break before it would take a leading bracket or star for its own argument."""
    return " & ".join(f"{{}}{cell}" if cell.startswith(("[", "*")) else cell for cell in cells) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = format_cell(cell)
    if not isinstance(cell, Estimate) or math.isnan(cell.value):
        return escape_latex(text)
    return "$" + text.replace("\N{PLUS-MINUS SIGN}", r"\pm") + "$"
