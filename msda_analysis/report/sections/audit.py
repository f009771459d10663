"""The audit of samplers: why released FMix is not the paper's, and who does what."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import transforms
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
_NARROW = 4.5  # inches: less is a column
_KEY_SIZE = 6.0  # points
_LONGEST = 26  # letters of a line of a row's name
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

    Each row (in a column of print each column) is a law: power of its grey images by frequency bin, and a mask at each of the two decays. On the right:
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
    is_narrow = page_width(DOUBLE_COLUMN) < _NARROW
    figure, places = _lay_out_laws(len(decays), is_narrow=is_narrow)
    for i, law in enumerate(_LAW_TITLES):
        mine = records[records["augmentation"] == law]
        _draw_spectrum(places[i, 0], mine[mine["metric"] == "power_share"])
        for k, decay in enumerate(decays):
            _draw_mask(places[i, 1 + k], mine[(mine["metric"] == "example_mask") & (mine["decay"] == decay)])
    _name_laws(places, decays, is_narrow=is_narrow)
    _add_power_bars(figure, [places[i, 0] for i in range(len(_LAW_TITLES))], is_narrow=is_narrow)
    looks = looks_for(_LAW_TITLES)
    for i, (label, part) in enumerate(_counted(records, decays).items()):
        draw.draw_dots(places[i, 1 + len(decays)], part, "side", looks)
        places[i, 1 + len(decays)].set(xlabel=label, xlim=(0, None))
    panels.add_legend(figure, looks, ncols=2, joined=False, labels=lambda name: _LAW_TITLES[name])
    return figure


@styled
def draw_findings(rows: Table) -> Figure:
    """Who does what: one row per implementation, one column per check, with the id of the known fault it is.

    A narrow figure has the columns alone in which implementations differ, and names the others below.

    Args:
        rows: of audit.audit_rows() as a table.

    Raises:
        ValueError: the table is empty or lacks a column.
    """
    check_columns(rows, ("subject", "check", "verdict", "fault", "fault_text"))
    if rows.empty:
        raise ValueError("rows: expected the rows of an audit, got an empty table")
    verdicts, width, n_subjects = list(_COLORS), page_width(DOUBLE_COLUMN), rows["subject"].nunique()
    cells = rows.assign(
        level=rows["verdict"].map(verdicts.index),
        text=[row["fault"] or _MARKS[row["verdict"]] for row in rows.to_dict("records")],
    )
    checks, quiet = _tell_apart(rows) if width < _NARROW else (list(dict.fromkeys(rows["check"])), [])
    key = [*_fault_key(rows), *([f"{_MARKS['ok']}  or not applicable for all: {', '.join(quiet)}"] if quiet else [])]
    key = [line for entry in key for line in _in_lines(entry, width)]
    body, foot = points(0.19) * n_subjects, points(0.13) * len(key)
    # browsers may set the longest names a little wider than measured here
    figure = Figure(
        figsize=(width, points(1.2) + body + foot),
        layout=ConstrainedLayoutEngine(w_pad=0.1 if width >= _NARROW else 0.05),
    )
    ax, below = figure.subplots(2, height_ratios=(body, foot or 0.01))
    ax.set_facecolor(_COLORS["not applicable"])
    draw.heat_map(
        ax, cells[cells["check"].isin(checks)], "subject", "check", value="level", text="text", columns=checks, labels=_spaced if width >= _NARROW else _broken,
        cmap=ListedColormap(list(_COLORS.values())), vmin=-0.5, vmax=len(verdicts) - 0.5,
    )  # fmt: skip
    draw.put_column_names_on_top(ax, 50)
    _write_key(below, key)
    handles = [Patch(color=_COLORS[verdict], label=f"{_MARKS[verdict]} {verdict}".strip()) for verdict in verdicts]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=points(7))
    return figure


def _lay_out_laws(n_decays: int, *, is_narrow: bool) -> "tuple[Figure, dict[tuple[int, int], Axes]]":
    """A figure, and its panels by law and by what they show: a law is a row of a page, and a column where there is no more room."""
    width, n_parts = page_width(DOUBLE_COLUMN), 2 + n_decays
    height = width * (0.75 + 0.42 * n_decays) if is_narrow else 3.9
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.04 if is_narrow else 0.08))
    if is_narrow:
        grid = figure.add_gridspec(n_parts, 2, height_ratios=[1.0, *[0.75] * n_decays, 0.8])
    else:
        grid = figure.add_gridspec(2, n_parts, width_ratios=[1.25, *[1.0] * n_decays, 1.35])
    cells = [(i, k) for i in range(2) for k in range(n_parts)]
    return figure, {(i, k): figure.add_subplot(grid[k, i] if is_narrow else grid[i, k]) for i, k in cells}


def _name_laws(places: "dict[tuple[int, int], Axes]", decays: list[float], *, is_narrow: bool) -> None:
    """Titles and labels of spectra and masks."""
    for i, name in enumerate(_LAW_TITLES.values()):
        across, height = "frequency bin (width)", "frequency bin (height)"
        if is_narrow:
            places[i, 0].set(title=name, xlabel=across, ylabel="" if i else height)
        else:
            places[i, 0].set(
                title="" if i else "Share of power", ylabel=f"{name}\n{height}", xlabel=across if i else ""
            )
        for k, decay in enumerate(decays if not i else ()):
            words = f"Mask, $\\delta$ = {decay:g}"
            places[i, 1 + k].set(**{"ylabel" if is_narrow else "title": words})


def _add_power_bars(figure: Figure, spectra: "list[Axes]", *, is_narrow: bool) -> None:
    """The scale of shares of power: at each spectrum, or one for both side by side."""
    for ax in spectra if not is_narrow else [spectra]:
        image = spectra[0].collections[0]
        bar = figure.colorbar(image, ax=ax, shrink=0.85, ticks=[1e-9, 1e-6, 1e-3, 1])
        bar.ax.tick_params(labelsize=points(6))
        if is_narrow:
            bar.set_label("share of power", fontsize=points(7))


def _tell_apart(rows: Table) -> tuple[list[str], list[str]]:
    """Checks that some implementation does not pass, and those that all pass or that do not apply."""
    checks = dict.fromkeys(rows["check"])
    loud = set(rows[rows["verdict"].isin(("differs", "fault"))]["check"])
    return [check for check in checks if check in loud], [_spaced(check) for check in checks if check not in loud]


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _broken(name: str) -> str:
    """A name in lines that leave most of a column to the cells."""
    return textwrap.fill(_spaced(name), _LONGEST)


def _in_lines(entry: str, width: float) -> list[str]:
    """An entry of the key in lines that a figure of this width holds, all but the first indented."""
    letters = int(0.97 * width * 72 / (0.54 * points(_KEY_SIZE)))
    return textwrap.wrap(entry, letters, subsequent_indent="      ", break_on_hyphens=False)


def _write_key(ax: "Axes", lines: list[str]) -> None:
    """Below the matrix, from the figure's left edge on."""
    ax.set_axis_off()
    across = transforms.blended_transform_factory(ax.figure.transFigure, ax.transAxes)
    text = ax.text(
        0.01, 1, "\n".join(lines), transform=across, va="top", ha="left", fontsize=points(_KEY_SIZE), linespacing=1.4
    )
    text.set_in_layout(False)  # its room is that of the axes


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


def _draw_mask(ax: "Axes", mask: Table) -> None:
    ax.imshow(mask.pivot(index="row", columns="column", values="value"), cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(True)


def _draw_spectrum(ax: "Axes", power: Table) -> None:
    drawn = power.assign(value=power["value"].where(power["value"] > _FLOOR))
    rows, columns = (sorted(set(power[name])) for name in ("row", "column"))
    draw.heat_map(
        ax, drawn, "row", "column", rows=rows, columns=columns, norm=LogNorm(_FLOOR, 1), cmap="viridis", linewidths=0
    )
    ax.invert_yaxis()
    ticks = range(0, int(power["column"].max()) + 1, 5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([tick + 0.5 for tick in ticks], [f"{tick}" for tick in ticks])
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
