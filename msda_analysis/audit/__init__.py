"""Audit of MSDA implementations: what do they sample, how do they label, and can it be repeated?

What is known of an implementation is what it does to probe images. In the order of the work: peers (whom to audit), probe
(images from which masks and pairs can be read back, under seeds that are put back), evidence (many decoded batches), laws
(is what was sampled what the papers define?), behavior (seeds, labels, odd batches), findings (the form of an answer), run
(all checks of one implementation or many). two_laws compares the FMix of the paper with the one released.
"""

from msda_analysis.audit.findings import FAULTS, VERDICTS, Finding
from msda_analysis.audit.peers import Subject, known_subjects, subject_from_path
from msda_analysis.audit.run import CHECKS, audit, audit_rows, audit_table
from msda_analysis.audit.two_laws import released_versus_paper

__all__ = [
    "CHECKS", "FAULTS", "VERDICTS", "Finding", "Subject", "audit", "audit_rows", "audit_table", "known_subjects",
    "released_versus_paper", "subject_from_path",
]  # fmt: skip
