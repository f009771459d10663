"""Sections of the audit's page: why released FMix is not the paper's, and who does what."""

from pathlib import Path

from msda_analysis.report import audit_plots, tables
from msda_analysis.report.section import FigureItem, Section, SectionMaker
from msda_analysis.report.words import Table

#: Files of an audit folder that these sections draw, beside results.csv.
FINDINGS_FILE, RELEASED_FILE = "audit.csv", "released.csv"


def released_section(table: Table, folder: Path) -> Section | None:
    """One figure that shows the two laws of FMix."""
    del table
    records = _read(folder / RELEASED_FILE)
    if records is None:
        return None
    caption = (
        "The FMix of the paper, Re(IFFT(f^-delta Z)), above; what the released code samples, below; lambda = 1/2. Left: "
        "share of the power of 32x32 grey images by frequency bin, without the constant; the released code has only the "
        "bins 0 and 1 along the width. Middle: a 64x64 mask at decay 3, the paper's default, and at 1.5. Right: regions "
        "per 64x64 mask, with 95 % intervals of the mean, and runs of ones per one-dimensional mask of 64 cells on a "
        "circle: the released law always gives one."
    )
    regions = records[records["metric"] == "regions"]
    return Section(
        key="released",
        title="FMix has two laws",
        text=(
            "The released code pairs real and imaginary parts along the wrong axis. Its masks therefore hold no frequency "
            "beyond the first along the last axis. At the default decay the difference is easy to miss; a sweep over "
            "decays, or masks in one dimension, is another experiment altogether.",
        ),
        findings=tuple(_region_sentence(regions, decay) for decay in sorted(regions["decay"].unique())),
        figures=(
            FigureItem(
                "released_versus_paper", audit_plots.plot_released_versus_paper(records), records, caption,
                "Spectra, example masks, regions and runs of the two FMix laws.",
            ),
        ),
    )  # fmt: skip


def audit_section(table: Table, folder: Path) -> Section | None:
    """Who does what, as a matrix, and every finding in words."""
    del table
    rows = _read(folder / FINDINGS_FILE)
    if rows is None or rows.empty:
        return None
    rows[["fault", "fault_text", "note"]] = rows[["fault", "fault_text", "note"]].fillna("")
    faults = rows[rows["verdict"] == "fault"]
    caption = (
        "Each row is an implementation as installed here, each column a check. Green: as the papers define it. Amber: "
        "another choice, consistent in itself. Red: images and labels, or name and law, contradict each other. Ids are "
        "those of the known faults listed below."
    )
    named = rows[rows["fault"] != ""]
    columns = ("subject", "check", "verdict", "fault", "answer", "note")
    listed = tables.text_table(
        rows[rows["verdict"].isin(("fault", "differs"))], columns, name="audit_findings",
        caption="Every finding that is not as the papers define it.",
    )  # fmt: skip
    return Section(
        key="audit",
        title="Who does what",
        text=(
            "Each implementation mixes probe images from which masks and pairs can be read; what it does is then compared "
            "with what its label says and with the papers' definitions.",
        ),
        findings=(
            f"{faults['subject'].nunique()} of {rows['subject'].nunique()} implementations show a fault; known faults met: "
            f"{', '.join(sorted(set(named['fault']), key=lambda fault: int(fault[1:])))}.",
        ),
        figures=(
            FigureItem("audit_matrix", audit_plots.plot_audit_matrix(rows), rows, caption, "Implementations by checks."),
        ),
        tables=(listed,),
    )  # fmt: skip


#: Sections of an audit's page, in order.
AUDIT_SECTIONS: tuple[SectionMaker, ...] = (released_section, audit_section)


def _region_sentence(regions: Table, decay: float) -> str:
    means = regions[regions["decay"] == decay].set_index("law")["value"]
    return (
        f"At decay {decay:g} a 64x64 mask has {means['isotropic']:.3g} regions under the paper's law, "
        f"{means['released']:.3g} under the released one."
    )


def _read(path: Path) -> Table | None:
    import pandas as pd

    return pd.read_csv(path) if path.is_file() else None
