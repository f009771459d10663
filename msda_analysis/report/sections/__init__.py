"""The page as a list of sections, a file a subject.

A file has what belongs to its subject: words of its metrics, captions, figures, tables, sentences, and functions
(table, folder) -> Section | None, which say nothing where the table has no rows of it, in a table SECTIONS. A new one gets
its line in FILES.
"""

from importlib import import_module

from msda_analysis.report.section import SectionMaker

#: The files of this folder, in the order of the page.
FILES = (
    "audit",
    "estimators",
    "encoders",
    "claims",
    "paper",
    "masks",
    "information",
    "between",
    "layers",
    "robustness",
    "published",
    "comparisons",
    "likeness",
    "attribution",
    "sweep",
    "training",
    "speed",
    "notes",
)
SECTIONS: tuple[SectionMaker, ...] = tuple(
    make for file in FILES for make in import_module(f"{__package__}.{file}").SECTIONS
)
