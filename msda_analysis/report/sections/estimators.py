"""Sections of the estimators' page: samples of known distributions, one known encoder, two known encoders."""

from pathlib import Path

from msda_analysis.report import estimator_plots
from msda_analysis.report.answers import read_answers
from msda_analysis.report.estimator_findings import (
    between_findings,
    encoder_findings,
    sample_findings,
    scored_findings,
)
from msda_analysis.report.estimator_tables import (
    consistency_tables,
    misses_tables,
    split_tables,
    summary_table,
    wide_table,
)
from msda_analysis.report.section import FigureItem, Section, SectionMaker
from msda_analysis.report.select import has_metric, select_rows
from msda_analysis.report.words import Table


def samples_section(table: Table, folder: Path) -> Section | None:
    """All estimators on all samples."""
    del folder
    if not has_metric(table, "known_samples"):
        return None
    answers = read_answers(table, "samples")
    n = int(answers["n"].max())
    caption = (
        f"Estimate minus truth in nats, {n} samples per case, cases in order of their exact information (number beside the "
        "name). Blue is too high, red too low; bold: within 0.1 nats or 10 %, whichever is larger; an exclamation mark: the "
        "estimate carries a warning; a dash: the method refused. Lines: 2 nats, and ln K, the ceiling of critics."
    )
    return Section(
        key="samples",
        title="Estimators from samples",
        text=(
            "Pairs of samples are drawn from distributions whose mutual information is known exactly: normal variables, dense "
            "and sparse, and images of them under maps that can be undone; uniform noise; Student's t; independent variables. "
            "All methods see the same samples, with the same settings for all cases.",
        ),
        findings=sample_findings(answers),
        figures=(
            FigureItem(
                "estimator_errors", estimator_plots.plot_error_map(answers), answers, caption,
                "Matrix of errors, cases by methods.",
            ),
        ),
        tables=(
            summary_table(answers, select_rows(table, "estimator_seconds")),
            *split_tables(answers),
            *misses_tables(answers),
            *consistency_tables(answers),
            wide_table(
                answers, "estimates",
                "Every estimate in nats with its 95 % interval over samples; results.csv has the warnings in words.",
            ),
        ),
        metrics=tuple(dict.fromkeys(answers["method"])),
        limits=(
            "Other distributions can be harder than all of these: an estimator that does well here is not proved elsewhere.",
            "One draw of samples per case: intervals speak of the samples, a share of cases with its interval speaks of cases "
            "like these.",
            "No lower bound from samples alone can exceed about ln K for K samples; above that line a critic cannot be right.",
            "Seconds are wall time on one thread of a machine that did other work; they are no benchmark.",
        ),
    )  # fmt: skip


def scored_section(table: Table, folder: Path) -> Section | None:
    """The default estimator and its parts on the cases that no threshold was chosen on."""
    del folder
    if not has_metric(table, "known_scored"):
        return None
    answers = read_answers(table, "scored")
    return Section(
        key="scored",
        title="The default estimator, scored on other cases",
        text=(
            "The thresholds of the default were chosen on the cases above. These were not looked at for that: heavy tails, "
            "sparse and irrelevant variables, clusters, curves, rotations of them, 2 to 50 dimensions.",
        ),
        findings=scored_findings(answers),
        figures=(
            FigureItem(
                "scored_errors", estimator_plots.plot_error_map(answers), answers,
                "As above, on the scoring list.", "Matrix of errors, cases by methods.",
            ),
        ),
        tables=(
            *split_tables(answers, "scored_split"), *misses_tables(answers, "scored_misses"),
            wide_table(answers, "scored", "Every estimate in nats with its 95 % interval over samples."),
        ),
        metrics=tuple(dict.fromkeys(answers["method"])),
        limits=("An interval is that of the chosen method's sampling error; the method's bias is not in it.",),
    )  # fmt: skip


def encoder_section(table: Table, folder: Path) -> Section | None:
    """Bounds of one linear encoder."""
    del folder
    if not has_metric(table, "known_encoder"):
        return None
    answers = _grouped(read_answers(table, "encoder"))
    tolerance = (0.02 * answers["truth"]).clip(lower=0.3)
    shaped = answers["case"].str.startswith("shaped")
    answers = answers.assign(tolerance=tolerance, good=answers["error"].abs() <= tolerance, shaped=shaped)
    methods = tuple(dict.fromkeys(answers["method"]))
    n = int(answers["n"].max())
    return Section(
        key="encoder",
        title="Bounds of one Gaussian encoder",
        text=(
            f"A linear encoder z = W x + noise with 64 latents, shown {n} images of a standard normal source, holds exactly "
            "ln det(I + W W') / 2. The rate is what the paper reports; the fitted ones replace the prior by a density fitted "
            "to other images; the last two need no fit and have the ceiling ln K. The code of a linear encoder is normal, as "
            "the fitted Gaussian is. Those of encoders of uniform and Laplace sources, of curves (rings) and of clusters are "
            "not; their information is an integral.",
        ),
        findings=encoder_findings(answers),
        figures=(
            FigureItem(
                "encoder_bounds", estimator_plots.plot_bounds(answers, methods), answers,
                "Above: bounds against the exact information; below: their distance from it, on a scale that is linear "
                "within 0.1 nats; the band is 0.3 nats or 2 %. Equal: all latents carry alike; unequal: signal-to-noise ratios "
                "of the latents differ by a factor of 55; not normal: other sources, rings, clusters. Bars, mostly narrower than the symbols: 95 % intervals over images.",
                "Bounds against exact information for two encoders.",
            ),
        ),
        tables=(
            wide_table(answers, "encoder_bounds", "Bounds in nats with 95 % intervals over images; results.csv has the warnings in words."),
        ),
        metrics=methods,
    )  # fmt: skip


def between_section(table: Table, folder: Path) -> Section | None:
    """Bounds between two linear encoders."""
    del folder
    if not has_metric(table, "known_between"):
        return None
    rows = read_answers(table, "between")
    answers = _grouped(rows.assign(method="between_" + rows["method"]))
    methods = tuple(dict.fromkeys(answers["method"]))
    return Section(
        key="between",
        title="Information between two encoders",
        text=(
            "Two linear encoders of the same source share an amount of information that is a determinant. Upper and lower "
            "bounds must lie on their side of it; the estimate should follow it.",
        ),
        findings=between_findings(answers),
        figures=(
            FigureItem(
                "between_bounds", estimator_plots.plot_bounds(answers, methods), answers,
                "As above, for two encoders of 6 and of 64 latents each; the band is 0.1 nats or 10 %.",
                "Bounds between two encoders against exact information.",
            ),
        ),
        tables=(
            wide_table(answers, "between_bounds", "Bounds and estimate in nats with 95 % intervals over images."),
        ),
        metrics=methods,
    )  # fmt: skip


def _grouped(answers: Table) -> Table:
    """With a column "group": the panel of a case, from its name."""
    titles = {"equal": "64 latents, equal", "unequal": "64 latents, unequal", "shaped": "codes not normal"}
    kinds = [case.split("_") for case in answers["case"]]
    return answers.assign(group=[titles.get(kind[0], f"{kind[1]} latents each") for kind in kinds])


#: Sections of the page, in order.
ESTIMATOR_SECTIONS: tuple[SectionMaker, ...] = (samples_section, scored_section, encoder_section, between_section)
