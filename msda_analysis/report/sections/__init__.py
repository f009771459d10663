"""The page as a list of sections, a file a subject.

A file has what belongs to its subject: words of its metrics, captions, figures, tables, sentences, and a function
(table, folder) -> Section | None, which says nothing where the table has no rows of it. A new one gets its line in SECTIONS.
"""

from msda_analysis.report.section import SectionMaker
from msda_analysis.report.sections import (
    attribution,
    audit,
    between,
    claims,
    comparisons,
    encoders,
    estimators,
    information,
    layers,
    likeness,
    masks,
    notes,
    robustness,
    training,
)

#: In the order of the page.
SECTIONS: tuple[SectionMaker, ...] = (
    audit.released_section,
    audit.audit_section,
    estimators.samples_section,
    estimators.scored_section,
    encoders.encoder_section,
    encoders.known_between_section,
    claims.claims_section,
    masks.masks_section,
    information.information_section,
    information.bounds_section,
    between.between_section,
    layers.layers_section,
    robustness.robustness_section,
    comparisons.comparisons_section,
    likeness.likeness_section,
    attribution.attribution_section,
    training.training_section,
    notes.flags_section,
    notes.other_section,
)
