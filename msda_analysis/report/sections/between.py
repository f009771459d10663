"""What the latents of two VAEs share."""

from pathlib import Path

from msda_analysis.report.section import CEILING_LIMIT, MEANS, Section, dot_figures, metric_tables, present
from msda_analysis.report.select import say_reference
from msda_analysis.report.sentences import compare_section
from msda_analysis.report.words import Metric, Table, define

METRICS = {
    "between_upper": Metric("Between VAEs (upper)", "between VAEs, upper",
        "Upper bound on the information that the latents of two VAEs share.",
    ),
    "between_difference": Metric("Between VAEs (estimate)", "between VAEs, estimate",
        "Estimate of the information that the latents of two VAEs share: a conditional density network against the "
        "tightest marginal, both ways round and averaged. A difference of two upper bounds, it bounds nothing.",
    ),
    "between_through_reconstruction": Metric("Between VAEs (paper's route)", "through reconstruction",
        "Fitted bound on what VAE A's latent holds of the reconstruction by a VAE of the baseline, or of another reference that the "
        "page names; no bound on what they share.",
    ),
    "between_info_nce": Metric("Between VAEs (InfoNCE)", "between VAEs, InfoNCE",
        "Lower bound on the shared information with the conditional density as critic; at most ln K for K images.",
    ),
    "between_lower": Metric("Between VAEs (lower)", "between VAEs, lower",
        "Barber-Agakov lower bound on the shared information, with the entropy bounded by InfoNCE; falls below zero "
        "once a latent holds much more than ln K.",
    ),
    "between_difference_gap": Metric("Gap of both ways", "gap of both ways",
        "What the estimate of the information between two VAEs differs by when their roles are exchanged: an error "
        "of the method, which the interval leaves out.",
    ),
    "between_lower_gap": Metric("Gap of both ways (lower)", "gap of both ways", "The same of the lower bound."),
    "between_info_nce_gap": Metric("Gap of both ways (InfoNCE)", "gap of both ways", "The same of InfoNCE."),
}  # fmt: skip
define(METRICS)
_SHOWN = (
    "between_upper", "between_difference", "between_info_nce", "between_lower", "between_through_reconstruction",
)  # fmt: skip
_BESIDE = ("between_difference_gap", "between_info_nce_ceiling")  # listed in the table, in no figure
_MAIN = "between_difference"  # the bounds leave too wide a gap to tell augmentations apart
_TEXT = (
    "The paper's abstract speaks of the information between the functions that two models learn. Here it is estimated from "
    "the latents that a VAE and a VAE of {reference} of another seed give to the same images."
)


def between_section(table: Table, folder: Path) -> Section | None:
    """What the latents of two VAEs share."""
    del folder
    shown = present(table, _SHOWN)
    if not shown:
        return None
    listed = [*shown, *present(table, _BESIDE)]
    lines, compared = compare_section(table, [_MAIN], "between", claimed=(_MAIN,))
    return Section(
        key="between",
        title="What two VAEs share",
        text=(_TEXT.format(reference=say_reference(table)),),
        findings=tuple(lines),
        figures=dot_figures(table, shown, "between", "test images"),
        tables=(*metric_tables(table, listed, "between", MEANS), *compared),
        metrics=tuple(listed),
        limits=(CEILING_LIMIT,),
    )


SECTIONS = (between_section,)
