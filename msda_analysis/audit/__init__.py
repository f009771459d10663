"""Audit of MSDA implementations: what do they sample, how do they label, and can it be repeated?

What is known of an implementation is what it does to probe images. In the order of the work:

subject     what is audited, and with which probe batches
peers       the implementations known here: ours, torchvision's, timm's and kornia's
probe       images from which masks and pairs can be read back
texture     images that show whether every pixel comes from its own place
evidence    what many batches show: independent masks, pairs, label weights
laws        is what was sampled what the papers define?
places      is every pixel where it was, and does a mask lie anywhere alike?
draws       is every image used, every call new, and what should be independent so?
behavior    does a call do what a training loop expects: seeds, labels, odd batches?
recover     the masks of a mixer, for statistics
findings    the form of an answer
run         all checks of one implementation, or of many

two_laws stands alone: the FMix of the paper against the FMix that was released.
"""

from msda_analysis.audit.findings import FAULTS, Finding
from msda_analysis.audit.peers import known_subjects
from msda_analysis.audit.recover import recover_masks
from msda_analysis.audit.run import CHECKS, audit, audit_rows, audit_table
from msda_analysis.audit.subject import Subject, subject_from_path
from msda_analysis.audit.two_laws import released_versus_paper

__all__ = [
    "CHECKS", "FAULTS", "Finding", "Subject", "audit", "audit_rows", "audit_table", "known_subjects",
    "recover_masks", "released_versus_paper", "subject_from_path",
]  # fmt: skip
