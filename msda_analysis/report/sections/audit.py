"""The audit of samplers: why released FMix is not the paper's, and who does what."""

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from msda_analysis.report import draw, panels
from msda_analysis.report.presentation import page_width, points
from msda_analysis.report.section import FigureItem, Section
from msda_analysis.report.select import check_columns
from msda_analysis.report.style import DOUBLE_COLUMN, looks_for, styled
from msda_analysis.report.tables import text_table
from msda_analysis.report.words import Table, define

if TYPE_CHECKING:
    from matplotlib.axes import Axes

define({}, told=("audit_*",))
#: Files of an audit folder that these sections draw, beside results.csv.
FINDINGS_FILE, RELEASED_FILE = "audit.csv", "released.csv"
_LAWS = {"isotropic": "fmix", "released": "fmix_released"}
_LAW_TITLES = {"fmix": "Paper", "fmix_released": "Released code"}
_MARKS = {"ok": "✓", "not applicable": "", "differs": "≠", "fault": "✗"}
_COLORS = {"ok": "#d9ead9", "not applicable": "#f4f4f4", "differs": "#fbe3b5", "fault": "#e8a79c"}
_FLOOR = (
    1e-9  # share of power: a logarithm has no zero, so that bins below it, among them the empty ones, are left white
)


_RELEASED = (
    "The released code pairs real and imaginary parts along the wrong axis. Its masks therefore hold no frequency "
    "beyond the first along the last axis. At the default decay the difference is easy to miss; a sweep over "
    "decays, or masks in one dimension, is another experiment altogether."
)
_RELEASED_FIGURE = (
    "The FMix of the paper, Re(IFFT(f^-delta Z)), above; what the released code samples, below; lambda = 1/2. Left: "
    "share of the power of 32x32 grey images by frequency bin, without the constant; the released code has only the "
    "bins 0 and 1 along the width. Middle: a 64x64 mask at decay 3, the paper's default, and at 1.5. Right: regions "
    "per 64x64 mask, with 95 % intervals of the mean, and runs of ones per one-dimensional mask of 64 cells on a "
    "circle: the released law always gives one."
)
_AUDIT = (
    "Each implementation mixes probe images from which masks and pairs can be read; what it does is then compared "
    "with what its label says and with the papers' definitions."
)
_AUDIT_FIGURE = (
    "Each row is an implementation as installed here, each column a check. Green: as the papers define it. Amber: "
    "another choice, consistent in itself. Red: images and labels, or name and law, contradict each other. Ids are "
    "those of the known faults listed below."
)


def released_section(table: Table, folder: Path) -> Section | None:
    """One figure that shows the two laws of FMix."""
    del table
    records = _read(folder / RELEASED_FILE)
    if records is None:
        return None
    regions = records[records["metric"] == "regions"]
    alt = "Spectra, example masks, regions and runs of the two FMix laws."
    return Section(
        "released", "FMix has two laws", (_RELEASED,),
        findings=tuple(_region_sentence(regions, decay) for decay in sorted(regions["decay"].unique())),
        figures=(FigureItem("released_versus_paper", records, draw_laws, _RELEASED_FIGURE, alt),),
    )  # fmt: skip


def audit_section(table: Table, folder: Path) -> Section | None:
    """Who does what, as a matrix, and every finding in words."""
    del table
    rows = _read(folder / FINDINGS_FILE)
    if rows is None or rows.empty:
        return None
    rows[["fault", "fault_text", "note"]] = rows[["fault", "fault_text", "note"]].fillna("")
    met = ", ".join(sorted(set(rows["fault"]) - {""}, key=lambda fault: int(fault[1:])))
    faulty = rows[rows["verdict"] == "fault"]["subject"].unique()
    named = f": {', '.join(name.replace('_', ' ') for name in faulty)}" if len(faulty) else ""
    listed = text_table(
        rows[rows["verdict"].isin(("fault", "differs"))],
        ("subject", "check", "verdict", "fault", "answer", "note"),
        name="audit_findings", caption="Every finding that is not as the papers define it.",
    )  # fmt: skip
    return Section(
        "audit", "Who does what", (_AUDIT,),
        (
            f"{len(faulty)} of {rows['subject'].nunique()} implementations contradict their own labels or the law of their name"
            f"{named}. Known faults met, among them other choices that are consistent in themselves: {met or 'none'}.",
            *_unread(rows),
        ),
        figures=(FigureItem("audit_matrix", rows, draw_findings, _AUDIT_FIGURE, "Implementations by checks."),),
        tables=(listed,),
    )  # fmt: skip


def _unread(rows: Table) -> tuple[str, ...]:
    """On mixers whose masks probe images cannot tell, and so not the checks that look at many masks."""
    names = ", ".join(dict.fromkeys(rows[rows["answer"] == "masks follow the images"]["subject"]))
    said = "Masks that depend on what the images show cannot be read from probe images for others: checks of where masks lie and of draws"
    return (f"{said} do not apply to {names}.",) if names else ()


@styled
def draw_laws(records: Table) -> Figure:
    """Why released FMix is not the paper's FMix.

    Each row is a law: power of its grey images by frequency bin, and a mask at each of the two decays. On the right:
    regions per 64x64 mask, and runs per line of one-dimensional masks at the weaker decay. lambda is 1/2 throughout.

    Args:
        records: of audit.released_versus_paper() as a table.

    Raises:
        ValueError: the table lacks a column or holds no records of one of the laws.
    """
    check_columns(records, ("law", "metric", "decay", "row", "column", "value", "low", "high"))
    if missing := set(_LAWS) - set(records["law"]):
        raise ValueError(f"records: expected both laws, {', '.join(_LAWS)}; {', '.join(missing)} is missing")
    records = records.assign(augmentation=records["law"].map(_LAWS))
    decays = sorted(records[records["metric"] == "regions"]["decay"].unique(), reverse=True)
    figure = Figure(figsize=(page_width(DOUBLE_COLUMN), 3.9), layout=ConstrainedLayoutEngine(w_pad=0.08))
    grid = figure.add_gridspec(2, 2 + len(decays), width_ratios=[1.25, *[1.0] * len(decays), 1.35])
    for i, law in enumerate(_LAW_TITLES):
        mine = records[records["augmentation"] == law]
        _draw_spectrum(figure, figure.add_subplot(grid[i, 0]), mine[mine["metric"] == "power_share"], law, i)
        for k, decay in enumerate(decays):
            mask = mine[(mine["metric"] == "example_mask") & (mine["decay"] == decay)]
            _draw_mask(figure.add_subplot(grid[i, 1 + k]), mask, "" if i else f"Mask, $\\delta$ = {decay:g}")
    looks = looks_for(_LAW_TITLES)
    for i, (label, part) in enumerate(_counted(records, decays).items()):
        ax = figure.add_subplot(grid[i, -1])
        draw.draw_dots(ax, part, "side", looks)
        ax.set(xlabel=label, xlim=(0, None))
    panels.add_legend(figure, looks, ncols=2, joined=False, labels=lambda name: _LAW_TITLES[name])
    return figure


@styled
def draw_findings(rows: Table) -> Figure:
    """Who does what: one row per implementation, one column per check, with the id of the known fault it is.

    Args:
        rows: of audit.audit_rows() as a table.

    Raises:
        ValueError: the table is empty or lacks a column.
    """
    check_columns(rows, ("subject", "check", "verdict", "fault", "fault_text"))
    if rows.empty:
        raise ValueError("rows: expected the rows of an audit, got an empty table")
    verdicts, key = list(_COLORS), _fault_key(rows)
    cells = rows.assign(
        level=rows["verdict"].map(verdicts.index),
        text=[row["fault"] or _MARKS[row["verdict"]] for row in rows.to_dict("records")],
    )
    height = 1.4 + 0.19 * rows["subject"].nunique() + 0.12 * len(key)
    # browsers may set the longest names a little wider than measured here
    figure = Figure(figsize=(page_width(DOUBLE_COLUMN), height), layout=ConstrainedLayoutEngine(w_pad=0.1))
    ax = figure.add_subplot()
    ax.set_facecolor(_COLORS["not applicable"])
    draw.heat_map(
        ax, cells, "subject", "check", value="level", text="text", labels=lambda name: name.replace("_", " "),
        cmap=ListedColormap(list(_COLORS.values())), vmin=-0.5, vmax=len(verdicts) - 0.5,
    )  # fmt: skip
    draw.put_column_names_on_top(ax, 50)
    ax.set_xlabel("\n".join(key), loc="left", fontsize=points(6), linespacing=1.4)
    handles = [Patch(color=_COLORS[verdict], label=f"{_MARKS[verdict]} {verdict}".strip()) for verdict in verdicts]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=points(7))
    return figure


def _counted(records: Table, decays: list[float]) -> dict[str, Table]:
    """Text of the axis -> counts of regions, and of runs at the weakest decay, by what stands down the side."""
    regions = records[records["metric"] == "regions"].sort_values("decay", ascending=False)
    runs = records[(records["metric"] == "runs_share") & (records["decay"] == min(decays))].sort_values("column")
    return {
        "regions per mask": regions.assign(side=[f"$\\delta$ = {decay:g}" for decay in regions["decay"]]),
        f"share of 1-D masks, $\\delta$ = {min(decays):g}": runs.assign(
            side=[f"{count:g} run{'s' if count != 1 else ''}" for count in runs["column"]]
        ),
    }


def _draw_mask(ax: "Axes", mask: Table, title: str) -> None:
    ax.imshow(mask.pivot(index="row", columns="column", values="value"), cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(visible=False)
    ax.spines[:].set_visible(True)


def _draw_spectrum(figure: Figure, ax: "Axes", power: Table, law: str, i: int) -> None:
    drawn = power.assign(value=power["value"].where(power["value"] > _FLOOR))
    rows, columns = (sorted(set(power[name])) for name in ("row", "column"))
    draw.heat_map(
        ax, drawn, "row", "column", rows=rows, columns=columns, norm=LogNorm(_FLOOR, 1), cmap="viridis", linewidths=0
    )
    ax.invert_yaxis()
    ax.set(title="" if i else "Share of power", ylabel=f"{_LAW_TITLES[law]}\nfrequency bin (height)")
    ax.set_xlabel("frequency bin (width)" if i else "")
    ticks = range(0, int(power["column"].max()) + 1, 5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([tick + 0.5 for tick in ticks], [f"{tick}" for tick in ticks])
    bar = figure.colorbar(ax.collections[0], ax=ax, shrink=0.85, ticks=[1e-9, 1e-6, 1e-3, 1])
    bar.ax.tick_params(labelsize=points(6))
    if not (power[power["column"] > 1]["value"] > _FLOOR).all():
        ax.text(0.55, 0.5, "no power", transform=ax.transAxes, ha="center", color="#666666", fontsize=points(7))


def _fault_key(rows: Table) -> list[str]:
    """One line for each fault id that occurs, by number."""
    found = {row["fault"]: row["fault_text"] for row in rows.to_dict("records") if row["fault"]}
    return [f"{fault}  {found[fault]}" for fault in sorted(found, key=lambda fault: (len(fault), fault))]


def _region_sentence(regions: Table, decay: float) -> str:
    means = regions[regions["decay"] == decay].set_index("law")["value"]
    return (
        f"FMix at decay {decay:g}: a 64x64 mask has on average {means['isotropic']:.3g} regions under the paper's law, "
        f"{means['released']:.3g} under that of the released code."
    )


def _read(path: Path) -> Table | None:
    import pandas as pd

    return pd.read_csv(path) if path.is_file() else None


SECTIONS = (released_section, audit_section)
