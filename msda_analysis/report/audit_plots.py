"""Figures of the mask audit: released FMix against the paper's, and who does what. Drawn from tables alone."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from msda_analysis.report.style import DOUBLE_COLUMN, looks_for, styled
from msda_analysis.report.words import Table

_LAWS = {"isotropic": "fmix", "released": "fmix_released"}
_LAW_TITLES = {"isotropic": "Paper", "released": "Released code"}
_MARKS = {"ok": "✓", "not applicable": "", "differs": "≠", "fault": "✗"}
_COLORS = {"ok": "#d9ead9", "not applicable": "#f4f4f4", "differs": "#fbe3b5", "fault": "#e8a79c"}


@styled
def plot_released_versus_paper(table: Table) -> Figure:
    """Why released FMix is not the paper's FMix.

    Each row is a law: power of its grey images by frequency bin, and a mask at each of the two decays. On the right:
    regions per 64x64 mask, and runs per line of one-dimensional masks at the weaker decay. lambda is 1/2 throughout.

    Args:
        table: records of audit.released_versus_paper() as a table.

    Raises:
        ValueError: the table lacks a column or holds no records of one of the laws.
    """
    _check_columns(table, ("law", "metric", "decay", "row", "column", "value", "low", "high"))
    for law in _LAWS:
        if not (table["law"] == law).any():
            raise ValueError(f"table: expected records of both laws, {', '.join(_LAWS)}; {law} is missing")
    decays = sorted(table.loc[table["metric"] == "regions", "decay"].unique(), reverse=True)
    figure = Figure(figsize=(DOUBLE_COLUMN, 3.7), layout="constrained")
    grid = figure.add_gridspec(2, 2 + len(decays), width_ratios=[1.25, *[1.0] * len(decays), 1.35])
    for i, law in enumerate(_LAWS):
        rows = table[table["law"] == law]
        _draw_spectrum(figure, figure.add_subplot(grid[i, 0]), rows, title=i == 0, labels=i == len(_LAWS) - 1, law=law)
        for k, decay in enumerate(decays):
            _draw_example(figure.add_subplot(grid[i, 1 + k]), rows[rows["decay"] == decay], decay if i == 0 else None)
    _draw_regions(figure.add_subplot(grid[0, -1]), table, decays)
    _draw_runs(figure.add_subplot(grid[1, -1]), table, min(decays))
    return figure


@styled
def plot_audit_matrix(table: Table) -> Figure:
    """Who does what: one row per implementation, one column per check, with the id of the known fault it is.

    Args:
        table: rows of audit.audit_rows() as a table.

    Raises:
        ValueError: the table is empty or lacks a column.
    """
    _check_columns(table, ("subject", "check", "verdict", "fault", "fault_text"))
    if table.empty:
        raise ValueError("table: expected the rows of an audit, got an empty table")
    subjects, checks = list(dict.fromkeys(table["subject"])), list(dict.fromkeys(table["check"]))
    verdicts = list(_COLORS)
    levels = np.full((len(subjects), len(checks)), verdicts.index("not applicable"))
    height = 1.4 + 0.19 * len(subjects) + 0.12 * len(_fault_key(table))
    # browsers may set the longest names a little wider than measured here
    figure = Figure(figsize=(DOUBLE_COLUMN, height), layout=ConstrainedLayoutEngine(w_pad=0.1))
    axes = figure.add_subplot()
    for row in table.to_dict("records"):
        i, k = subjects.index(row["subject"]), checks.index(row["check"])
        levels[i, k] = verdicts.index(row["verdict"])
        axes.text(k, i, row["fault"] or _MARKS[row["verdict"]], ha="center", va="center", fontsize=6)
    cells = ListedColormap([_COLORS[verdict] for verdict in verdicts])
    axes.imshow(levels, cmap=cells, vmin=-0.5, vmax=len(verdicts) - 0.5, aspect="auto")
    _frame_matrix(axes, subjects, checks)
    axes.set_xlabel("\n".join(_fault_key(table)), loc="left", fontsize=6, linespacing=1.4)
    handles = [Patch(color=_COLORS[verdict], label=f"{_MARKS[verdict]} {verdict}".strip()) for verdict in verdicts]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7)
    return figure


def _draw_spectrum(figure: Figure, axes: Axes, rows: Table, *, title: bool, labels: bool, law: str) -> None:
    power = _image(rows[rows["metric"] == "power_share"])
    floor = 1e-9
    # a logarithm has no zero: bins below the floor, among them the empty ones, are left white
    shown = np.ma.masked_where(~(power > floor), power)
    picture = axes.imshow(shown, norm=LogNorm(floor, 1), cmap="viridis", origin="lower")
    bar = figure.colorbar(picture, ax=axes, shrink=0.85, ticks=[1e-9, 1e-6, 1e-3, 1])
    bar.ax.tick_params(labelsize=6)
    axes.grid(visible=False)
    axes.set_ylabel(f"{_LAW_TITLES[law]}\nfrequency bin (height)")
    if labels:
        axes.set_xlabel("frequency bin (width)")
    if not np.all(power[:, 2:] > floor):
        axes.text(0.55, 0.5, "no power", transform=axes.transAxes, ha="center", color="#666666", fontsize=7)
    axes.set_xticks([0, 5, 10, 15])
    if title:
        axes.set_title("Share of power")


def _draw_example(axes: Axes, rows: Table, decay: float | None) -> None:
    axes.imshow(_image(rows[rows["metric"] == "example_mask"]), cmap="gray", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    if decay is not None:
        axes.set_title(f"Mask, $\\delta$ = {decay:g}")


def _draw_regions(axes: Axes, table: Table, decays: list[float]) -> None:
    rows = table[table["metric"] == "regions"]
    width = 0.38
    for i, (law, name) in enumerate(_LAWS.items()):
        mine = rows[rows["law"] == law].sort_values("decay", ascending=False)
        place = np.arange(len(decays)) + (i - 0.5) * width
        bars = _draw_bars(axes, mine, place, width, law=law, name=name)
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=6)
    axes.set_xticks(range(len(decays)), [f"$\\delta$ = {decay:g}" for decay in decays])
    axes.margins(y=0.15)
    axes.set_title("Regions per mask")


def _draw_runs(axes: Axes, table: Table, decay: float) -> None:
    rows = table[(table["metric"] == "runs_share") & (table["decay"] == decay)]
    width = 0.38
    for i, (law, name) in enumerate(_LAWS.items()):
        mine = rows[rows["law"] == law]
        _draw_bars(axes, mine, mine["column"].to_numpy() + (i - 0.5) * width, width, law=law, name=name)
    axes.set_title(f"1-D masks, $\\delta$ = {decay:g}")
    axes.set_xlabel("runs per mask")
    axes.set_ylabel("share of masks")
    axes.set_xticks(np.unique(rows["column"].to_numpy()))
    axes.legend(loc="upper right")


def _draw_bars(axes: Axes, rows: Table, place: Any, width: float, *, law: str, name: str) -> Any:
    """Bars with 95 % intervals in the colour of an augmentation."""
    value, low, high = (rows[column].to_numpy() for column in ("value", "low", "high"))
    bars = axes.bar(place, value, width, color=looks_for([name])[name].color, label=_LAW_TITLES[law])
    axes.errorbar(place, value, np.stack([value - low, high - value]), fmt="none", ecolor="black", elinewidth=0.8)
    return bars


def _frame_matrix(axes: Axes, subjects: list[str], checks: list[str]) -> None:
    axes.set_xticks(
        range(len(checks)), [check.replace("_", " ") for check in checks], rotation=50, ha="left", fontsize=6
    )
    axes.set_yticks(range(len(subjects)), subjects, fontsize=6)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.grid(visible=False)
    axes.set_xticks(np.arange(len(checks) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(subjects) + 1) - 0.5, minor=True)
    axes.grid(visible=True, which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)


def _fault_key(table: Table) -> list[str]:
    """One line for each fault id that occurs, by number."""
    found = {row["fault"]: row["fault_text"] for row in table.to_dict("records") if row["fault"]}
    return [f"{fault}  {found[fault]}" for fault in sorted(found, key=lambda fault: (len(fault), fault))]


def _image(rows: Table) -> np.ndarray[Any, Any]:
    """Values on the grid of their row and column; cells without a record are NaN."""
    row, column = rows["row"].to_numpy().astype(int), rows["column"].to_numpy().astype(int)
    image = np.full((row.max() + 1, column.max() + 1), np.nan)
    image[row, column] = rows["value"].to_numpy()
    return image


def _check_columns(table: Table, needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise ValueError(f"table: expected columns {', '.join(needed)}; missing: {', '.join(missing)}")
