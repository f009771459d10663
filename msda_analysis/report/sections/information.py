"""Mutual information of VAEs: the paper's figures, and tighter bounds on the same quantity."""

from pathlib import Path

from msda_analysis.report.section import (
    CEILING_LIMIT,
    MEANS,
    Section,
    dot_figures,
    metric_tables,
    picture_grid,
    present,
)
from msda_analysis.report.select import HEADLINE_BOUNDS, has_metric, headline_bound, select_rows, split_parts
from msda_analysis.report.sentences import BOUNDS_LIMIT, compare_section
from msda_analysis.report.style import label_of, order_augmentations
from msda_analysis.report.words import Metric, Table, define, metric_of

_UPPER = "an upper bound on I(X; Z)"
METRICS = {
    "rate": Metric("I(Z_A; X)", "$I(Z_A;\\,X)$",
        "The paper's name for the rate of the VAE trained with augmentation A: the KL divergence of the encoder's "
        "q(z|x) from the prior N(0, I), averaged over clean test images, in nats. An upper bound on the mutual "
        "information of image and latent: it exceeds it by the mismatch KL(q(z) || p(z)) between the average "
        "posterior and the prior.",
    ),
    "rate_reconstructed": Metric("I(Z_A; X-hat)", "$I(Z_A;\\,\\hat{X})$",
        "The same rate when the VAE is shown, instead of the test images, noisy reconstructions of them by a "
        "VAE of another seed, of the baseline unless the page names another reference: what VAE A encodes of the part of "
        "the data that this one keeps. The paper reads it as a lower bound; it is a bound of neither kind, as it carries the same mismatch as the rate.",
    ),
    "mse": Metric("MSE", "MSE",
        "Mean squared difference between test image and reconstruction over pixels and channels, in squared units of"
        " the normalized pixels.",
    ),
    "fitted": Metric("Fitted marginal", "best fitted marginal",
        "Upper bound on I(X; Z): as the rate, with the prior replaced by a density fitted to other images' latents; "
        "of all fitted ones the one that held-out images prefer.",
        kind=_UPPER,
    ),
    "fitted_diagonal": Metric("Fitted diagonal Gaussian", "fitted diagonal",
        "Upper bound on I(X; Z): the same with a diagonal Gaussian.",
    ),
    "fitted_full": Metric("Fitted full Gaussian", "fitted full",
        "Upper bound on I(X; Z): the same with a Gaussian of full covariance.",
    ),
    "fitted_mixture": Metric("Fitted mixture", "fitted mixture",
        "Upper bound on I(X; Z): the same with a mixture of Gaussians.",
    ),
    "flow": Metric("Flow marginal", "flow",
        "Upper bound on I(X; Z): as the fitted ones with a normalizing flow, which follows latents that are not "
        "normal; the tightest upper bound here. How far it lies above the truth is not known.",
        kind=_UPPER,
    ),
    "leave_one_out": Metric("Leave-one-out", "leave-one-out",
        "Upper bound on I(X; Z) that takes the mixture of all other images' posteriors as the marginal.",
    ),
    "info_nce": Metric("InfoNCE", "InfoNCE",
        "Lower bound on I(X; Z) with the known encoder density as critic, or a trained one where only samples are "
        "known; it cannot exceed ln K for K images.",
    ),
    "flow_gap": Metric("Looseness shown", "fitted less flow",
        "How far the fitted marginal's bound lies above the flow's, paired over images: at least that much of it is "
        "looseness.",
    ),
}  # fmt: skip
define(METRICS)
_INFORMATION = ("rate", "rate_reconstructed", "mse")
_BOUNDS = ("fitted_diagonal", "fitted_full", "fitted_mixture", "fitted", "flow", "leave_one_out", "info_nce")
_FOLDED = ("fitted_diagonal", "fitted_full", "fitted_mixture", "leave_one_out")  # all but the tightest of each kind
_BESIDE = ("flow_gap", "info_nce_ceiling")  # listed in the table, in no figure
_TEXT = (
    "A VAE is trained on images that an augmentation has mixed, and then shown clean test images. How much it encodes "
    "about them, in nats, says how the augmentation changes what is learned; the paper's claim is that MixUp lowers it "
    "while masking augmentations do not."
)
_BOUNDS_TEXT = (
    "The rate above bounds I(X; Z) from above, but loosely. The figures below bound the same quantity of the same VAEs "
    "from both sides: the truth lies between the highest lower bound and the lowest upper bound."
)
_RATE_LIMIT = (
    "I(Z_A; X) is reported as in the paper: the rate of the VAE, an upper bound on the mutual information that includes "
    "the mismatch between the average posterior and the prior. A difference between augmentations can come from either."
)
_GRID = "Clean test images and their reconstruction by VAEs; values outside [0, 1] are drawn as the nearer of the two."


def information_section(table: Table, folder: Path) -> Section | None:
    """The paper's three VAE figures, with reconstructions."""
    shown, grid = present(table, _INFORMATION), picture_grid(folder, "reconstructions", _GRID)
    if not shown and not grid:
        return None
    claimed = ("rate", "rate_reconstructed")
    lines, compared = compare_section(table, shown, "information", by_seed=("rate",), claimed=claimed)
    return Section(
        key="information",
        title="What a VAE encodes",
        text=(_TEXT,),
        findings=tuple(lines),
        figures=(*dot_figures(table, shown, "information", "test images"), *grid),
        tables=(*metric_tables(table, shown, "information", f"Clean test images. {MEANS}"), *compared),
        metrics=tuple(shown),
        limits=(_RATE_LIMIT,) if "rate" in shown else (),
    )


def bounds_section(table: Table, folder: Path) -> Section | None:
    """Bounds on I(X; Z) beside the rate."""
    del folder
    shown = present(table, _BOUNDS)
    if not shown:
        return None
    every = [*present(table, ("rate",)), *shown]
    listed = [*every, *present(table, _BESIDE)]
    headline = headline_bound(table)
    told = [headline] if headline else []
    lines, compared = compare_section(table, told, "bounds", by_seed=HEADLINE_BOUNDS, claimed=HEADLINE_BOUNDS)
    parts = [part for _, _, part in split_parts(select_rows(table, every))] if headline else []
    return Section(
        key="bounds",
        title="Tighter bounds on the information",
        text=(_BOUNDS_TEXT,),
        findings=(*(line for part in parts for line in bound_levels(part, str(headline))), *lines),
        figures=(
            *dot_figures(
                table, [metric for metric in shown if metric not in _FOLDED], "bounds", "test images", is_folded=True
            ),
            *dot_figures(table, _FOLDED, "bounds_others", "test images", is_folded=True),
        ),
        tables=(*metric_tables(table, listed, "bounds", MEANS, is_folded=True), *compared),
        metrics=tuple(listed),
        limits=(BOUNDS_LIMIT, *((CEILING_LIMIT,) if "info_nce" in shown else ())),
    )


def bound_levels(table: Table, headline: str) -> list[str]:
    """What the bounds leave room for: at least, at most, and how far the next looser upper bound lies above."""
    upper, lower = _means(table, headline), _means(table, "info_nce")
    clauses = [
        f"{label_of(name)} {f'at least {lower[name]:.3g} and ' if name in lower else ''}at most {value:.3g} nats"
        for name, value in upper.items()
    ]
    label = metric_of(headline).label
    names = f"{metric_of('info_nce').label} and {label}" if lower else label
    line = f"I(X; Z) by {names}, mean over seeds: {'; '.join(clauses)}."
    looser = [metric for metric in HEADLINE_BOUNDS[HEADLINE_BOUNDS.index(headline) + 1 :] if has_metric(table, metric)]
    if not looser:
        return [line, f"No upper bound tighter than {label} was computed, so how loose it is is unknown."]
    gaps = [value - upper[name] for name, value in _means(table, looser[0]).items() if name in upper]
    return [
        line,
        f"{metric_of(looser[0]).label}, the next looser upper bound, lies {min(gaps):.2g} to {max(gaps):.2g} nats higher: "
        "differences of that size may be the method's.",
    ]  # fmt: skip


def _means(table: Table, metric: str) -> dict[str, float]:
    if not has_metric(table, metric):
        return {}
    rows = select_rows(table, metric)
    names = order_augmentations(rows["augmentation"])
    return {name: float(rows[rows["augmentation"] == name]["value"].mean()) for name in names}


SECTIONS = (information_section, bounds_section)
