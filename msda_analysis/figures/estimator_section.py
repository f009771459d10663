"""Sections of the estimators' page."""

from msda_analysis.figures.sections import SectionMaker

#: Sections of the page, in order.
ESTIMATOR_SECTIONS: tuple[SectionMaker, ...] = ()
