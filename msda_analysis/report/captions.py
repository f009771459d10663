"""The prose of the report: what a section is about, how to read a figure, what limits the numbers."""

from msda_analysis.report.plots import SEEDS_FOR_BAND, augmentations_of, drawable
from msda_analysis.report.style import label_of
from msda_analysis.report.words import Table, metric_of

MASKS = (
    "A mask m says how much of the first image each pixel keeps; the mix is m times the first image plus (1 - m) times "
    "the second. The statistics describe masks alone, without any training."
)
INFORMATION = (
    "A VAE is trained on images that an augmentation has mixed, and then shown clean test images. How much it encodes "
    "about them, in nats, says how the augmentation changes what is learned; the paper's claim is that MixUp lowers it "
    "while masking augmentations do not."
)
BOUNDS = (
    "The rate above bounds I(X; Z) from above, but loosely. The figures below bound the same quantity of the same VAEs "
    "from both sides: the truth lies between the highest lower bound and the lowest upper bound."
)
ROBUSTNESS = (
    "A classifier is trained with each augmentation and attacked on clean test images. The paper's claim is that MixUp "
    "acts like adversarial training against perturbations that look like MixUp images (DeepFool, uniform noise)."
)

RATE_LIMIT = (
    "I(Z_A; X) is reported as in the paper: the rate of the VAE, an upper bound on the mutual information that includes "
    "the mismatch between the average posterior and the prior. A difference between augmentations can come from either."
)
CEILING_LIMIT = (
    "InfoNCE cannot exceed ln K for K samples; close to it, it says only that the information is at least that large."
)
ATTACK_LIMIT = (
    "Accuracy under one attack is an upper bound on the accuracy that no attack could break: a stronger attack may find "
    "more. Pixels lie in [0, 1] and the normalization is part of the attacked model."
)
FMIX_LIMIT = (
    "FMix has two laws. FMix (isotropic) is what the paper describes; FMix (released) is what its published code does: it "
    "pairs real and imaginary parts along the wrong axis, so that the grey image behind a mask holds only the "
    "frequencies 0 and 1 along the width. Which of the two the published FMix results were made with is not known."
)
CUTMIX_LIMIT = (
    "CutMix boxes that are clipped at the border keep more of the first image (0.68 on average at alpha = 1) than MixUp "
    "and FMix (0.5), so the families are not compared at equal strength."
)
ONE_SEED_LIMIT = (
    "Some augmentations have a single training run: its numbers have no interval over seeds and decide nothing."
)
TWO_SEEDS_LIMIT = (
    "With two seeds Student's 95 % interval is 12.7 standard errors on each side: it excludes 0 only for differences that "
    "both seeds reproduce closely. More seeds narrow it quickly."
)
SEEDS_LIMIT = (
    "Intervals over seeds speak of repeating the training on this data; they say nothing about other data sets or models. "
    "Each interval of a difference or mean stands alone; what decides are p values corrected by Holm's method over all "
    "comparisons of a section, and for the paper's claims intervals that hold together."
)
BOUNDS_LIMIT = "A difference of two upper bounds bounds nothing: both err upwards, by amounts that may differ between augmentations."
SEED_COMPARISONS = (
    "Every comparison of this section, paired over seeds: Student's 95 % interval, uncorrected, Student's p value, and the "
    "same corrected by Holm's method over all rows of this table. A verdict needs a corrected p below 0.05 and two runs."
)

LIKENESS = (
    "Do attacks move images as MixUp would? Each perturbation is compared with the directions towards other images. It is "
    "like MixUp only as far as it beats white noise and its own shuffled version, which is another image's perturbation."
)
COMPARISONS = (
    "Differences in accuracy between augmentations, paired on the same images with seeds as the outer level, uncorrected 95 % "
    "intervals, and Holm's p value over all comparisons made. A single training run decides nothing. Each attack is shown at the epsilon where the baseline keeps closest to half of its "
    "clean accuracy; results.csv has all."
)
LIKENESS_FIGURE = (
    "Are perturbations like MixUp? Left: largest share of a perturbation's energy along the MixUp directions towards 64 "
    "other images. Right: distance from the perturbed image to the nearest MixUp image, in lengths of the perturbation (1: no "
    "nearer than the clean image). Symbols are classifiers by augmentation, means over seeds with Student's 95 % interval "
    "over seeds. Red: the same perturbations handed to other images, which is chance. Grey: white noise (dotted), fading "
    "to the mean image (dashed) and a MixUp step (solid). If the paper's sentence held, symbols would lie near the solid line and away from the red ones."
)
LIKENESS_DETAILS = (
    "All measures of likeness, by attack; symbols are the augmentations of the attacked classifiers: means over seeds with "
    "Student's 95 % interval, where there are several."
)
SURVIVAL = (
    "Epsilon is on a linear scale up to the study's smallest positive budget and on a logarithmic one above. One search per "
    "image serves all budgets. The axis ends where fewer than 1 % of the images are left. Bands over images (simultaneous, "
    "DKW) are in the CSV, by seed."
)
CLAIMS = (
    "What the paper says of MixUp, held against this study. Differences are MixUp minus baseline, mean over the budgets at "
    "which the baseline keeps 10 to 90 % of its correct images, in two readings: of all images, and of those classified "
    "correctly without attack. Strong gradient attacks count together: an image is broken when any of them breaks it."
)
CLAIMS_TABLE = (
    "Intervals of differences hold for all claims and readings at once (Bonferroni, 95 %), paired over the same images and "
    "with training seeds as the outer level. Differences of up to 2 points either way, the margin, make no practical "
    "difference: an advantage is supported when its interval lies above the margin and refuted when none of it does; a single "
    "training run leaves it undecided. Likeness is supported when the interval over seeds and images (95 %) of the energy on "
    "the way from chance to a MixUp step lies above half, also with fading left out, and refuted when it lies below half with "
    "fading counted."
)
MATRIX = (
    "Who is more robust than whom: the augmentation at the left minus that below, in percentage points, mean over the "
    "budgets at which the baseline keeps 10 to 90 % of its correct images. Top: accuracy under attack. Bottom: share of the "
    "correctly classified images that stay so. Bold: significant at 5 % after Holm's correction over all pairs, attacks and "
    "readings; grey: undecided, as everything is that rests on a single training run. Other attacks are in the table where "
    "they decide, and all in results.csv. Orange is less robust, purple more."
)
CURVE_TABLE = (
    "The numbers of the matrix for pairs with the baseline and for MixUp with each masking family, and all pairs that differ "
    "significantly under any attack. Uncorrected 95 % intervals (images paired, seeds as the outer level); p values corrected "
    "by Holm over all pairs, attacks and readings. A single training run decides nothing."
)

GRIDS = {
    "masks": (
        "Masks, one row per family. White keeps the first image, black takes the second.",
        "Grid of masks, one row per family.",
    ),
    "mixed": (
        "Two source images and their mix under each family. Values outside [0, 1] are drawn as black or white.",
        "Grid of mixed images, one row per family.",
    ),
    "reconstructions": (
        "Clean test images and their reconstruction by VAEs; values outside [0, 1] are drawn as black or white.",
        "Grid of test images and reconstructions, one row per augmentation.",
    ),
}  # fmt: skip
HISTOGRAM = (
    "How the kept fraction is distributed: filled, the mean over seeds; thin lines, single seeds. A flat histogram is the "
    "uniform law of alpha = 1."
)
FIRST_EPOCHS = (
    "Mean over epochs and seeds with Student's 95 % interval over seeds; other work may have shared the machine."
)
RADIAL = "Power of the masks by spatial frequency, averaged over directions; both axes are logarithmic, frequency 0 is not drawn."
AXES = (
    "Power of the masks along each axis. A law without a preferred direction has the same curve in all panels; that of the "
    "released FMix code does not."
)
ACCURACY = (
    "Epsilon is on a linear scale from 0 to its smallest positive value and on a logarithmic one above; the point at 0 is "
    "the clean accuracy."
)
ACCURACY_TABLE = (
    "Mean over seeds with Student's 95 % interval. Each attack is shown at the epsilon of the study's list where the "
    "baseline keeps closest to half of its clean accuracy; the figure's CSV has all."
)
TRAINING = (
    "Losses on mixed images and labels, one panel per model and part of the loss. Levels of different augmentations are not comparable, only whether each has "
    "settled."
)
MEANS = "Mean over seeds with Student's 95 % interval; a single seed has none."
MASK_MEANS = "Mean over seeds with Student's 95 % interval, or over the masks of a single seed with theirs."


def explain_dots(samples: str, rows: Table) -> str:
    """How to read a dot plot of these rows, whose seeds have intervals over these samples."""
    if rows["seed"].nunique(dropna=False) == 1:
        return f"Each symbol is a single seed; thin bars are 95 % intervals over its {samples}. Nothing here speaks of seeds."
    return (
        f"Small open symbols are single seeds; their thin bars are 95 % intervals over the {samples} of that seed (often "
        "narrower than the symbol). The large symbol is the mean over seeds and the thick bar Student's 95 % interval of "
        "that mean, which speaks of the seeds."
    )


def explain_curves(rows: Table) -> str:
    """What lines, bands and bars of a curve figure are, for the number of seeds in these rows."""
    n_seeds = rows.groupby("augmentation")["seed"].nunique(dropna=False)
    if n_seeds.min() >= SEEDS_FOR_BAND:
        return (
            "Lines are means over seeds, bands Student's 95 % interval over seeds (cut off where it leaves the panel)."
        )
    if n_seeds.max() == 1:
        return (
            "Lines are single seeds; thin bars, where given, are 95 % intervals over images or masks. Nothing here speaks "
            "of seeds."
        )
    return (
        "Thick lines are means over seeds. From three seeds on they have a band, Student's 95 % interval; with two, that "
        "interval is 12.7 standard errors wide on each side, so the seeds are drawn as thin lines instead."
    )


def explain_absence(rows: Table, log: str) -> str:
    """Which augmentations a figure of mask power with logarithmic axes cannot show; "" when it shows all."""
    shown = set(drawable(rows, log)["augmentation"])
    missing = [label_of(name) for name in augmentations_of(rows) if name not in shown]
    if not missing:
        return ""
    return f"Not drawn, as constant masks have no power there: {', '.join(missing)}."


def list_metrics(metrics: list[str]) -> str:
    """Metric labels in a sentence."""
    return ", ".join(metric_of(metric).label for metric in metrics)


def count_images(rows: Table) -> str:
    """How many images and seeds stand behind each point of these rows."""
    images = sorted({int(n) for n in rows["n"].dropna()})
    seeds = sorted(set(rows.groupby("augmentation")["seed"].nunique(dropna=False)))
    spans = [f"{part[0]}" if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in (images, seeds) if part]
    return f"n = {spans[0]} test images, {spans[1]} seed{'' if spans[1] == '1' else 's'}." if len(spans) == 2 else ""


def sentence(*parts: str) -> str:
    """Parts of a caption joined by spaces, empty ones left out."""
    return " ".join(part for part in parts if part)


BETWEEN = (
    "The paper's abstract speaks of the information between the functions that two models learn. Here it is estimated from "
    "the latents that a VAE and a baseline VAE of another seed give to the same images."
)
LAYERS = (
    "Information between image and layer that a critic finds, by depth of a network in evaluation mode (dropout off, fixed "
    "batch statistics). Half of the images train the critic, the other half give the value."
)
LAYERS_FIGURE = (
    "Layers by depth: f1 to f8 follow the convolutions, c1 and c2 are the hidden fully connected ones. Dashed red: the most "
    "that such a critic can show, ln K for the K images it is evaluated on, or its tanh cap."
)
LAYERS_LIMIT = (
    "The network is deterministic, so the true information by depth lies far above what any critic can show: read "
    "differences between augmentations, not heights, and none near the ceiling."
)
PERTURBATION_SPECTRA = (
    "Share of the power of perturbations by radial frequency, mean over classifiers; MixUp's directions and white noise "
    "for comparison."
)
