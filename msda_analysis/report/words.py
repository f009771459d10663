"""What each metric of the long table is called, and what it means, for axes, tables and the report."""

from dataclasses import dataclass
from typing import Any

#: A pandas DataFrame, most often the long table or some of its rows. Named, not imported: without stubs, a type checker
#: rejects nearly every correct use of one.
Table = Any


@dataclass(frozen=True)
class Metric:
    """Words for one metric.

    Attributes:
        label: short name for tables and sentences.
        symbol: the same for an axis (mathtext allowed).
        definition: one or two sentences for a reader who knows the field but not this package.
    """

    label: str
    symbol: str
    definition: str


_METRICS = {
    "rate": Metric(
        "I(Z_A; X)", "$I(Z_A;\\,X)$",
        "The paper's name for the rate of the VAE trained with augmentation A: the KL divergence of the encoder's q(z|x) "
        "from the prior N(0, I), averaged over clean test images, in nats. An upper bound on the mutual information of "
        "image and latent: it exceeds it by the mismatch KL(q(z) || p(z)) between the average posterior and the prior.",
    ),
    "rate_reconstructed": Metric(
        "I(Z_A; X-hat)", "$I(Z_A;\\,\\hat{X})$",
        "The same rate when the VAE is shown, instead of the test images, noisy reconstructions of them by a baseline VAE "
        "of another seed: what VAE A encodes of the part of the data that the baseline keeps. The paper reads it as a "
        "lower bound; it is a bound of neither kind, as it carries the same mismatch as the rate.",
    ),
    "mse": Metric(
        "MSE", "MSE",
        "Mean squared difference between test image and reconstruction over pixels and channels, in squared units of the "
        "normalized pixels.",
    ),
    "fitted": Metric(
        "Fitted marginal", "best fitted marginal",
        "Upper bound on I(X; Z): as the rate, with the prior replaced by a density fitted to other images' latents; of all "
        "fitted ones the one that held-out images prefer.",
    ),
    "fitted_diagonal": Metric(
        "Fitted diagonal Gaussian", "fitted diagonal", "Upper bound on I(X; Z): the same with a diagonal Gaussian.",
    ),
    "fitted_full": Metric(
        "Fitted full Gaussian", "fitted full", "Upper bound on I(X; Z): the same with a Gaussian of full covariance.",
    ),
    "fitted_mixture": Metric(
        "Fitted mixture", "fitted mixture", "Upper bound on I(X; Z): the same with a mixture of Gaussians.",
    ),
    "flow": Metric(
        "Flow marginal", "flow",
        "Upper bound on I(X; Z): as the fitted ones with a normalizing flow, which follows latents that are not normal; the "
        "tightest upper bound here. How far it lies above the truth is not known.",
    ),
    "leave_one_out": Metric(
        "Leave-one-out", "leave-one-out",
        "Upper bound on I(X; Z) that takes the mixture of all other images' posteriors as the marginal.",
    ),
    "info_nce": Metric(
        "InfoNCE", "InfoNCE",
        "Lower bound on I(X; Z) with the known encoder density as critic, or a trained one where only samples are known; it "
        "cannot exceed ln K for K images.",
    ),
    "between_upper": Metric(
        "Between VAEs (upper)", "between VAEs, upper", "Upper bound on the information that the latents of two VAEs share.",
    ),
    "between_difference": Metric(
        "Between VAEs (estimate)", "between VAEs, estimate",
        "Estimate of the information that the latents of two VAEs share: a conditional density network against the "
        "tightest marginal, both ways round and averaged. A difference of two upper bounds, it bounds nothing.",
    ),
    "between_through_reconstruction": Metric(
        "Between VAEs (paper's route)", "through reconstruction",
        "Fitted bound on what VAE A's latent holds of a baseline VAE's reconstruction; no bound on what they share.",
    ),
    "between_info_nce": Metric(
        "Between VAEs (InfoNCE)", "between VAEs, InfoNCE",
        "Lower bound on the shared information with the conditional density as critic; at most ln K for K images.",
    ),
    "between_lower": Metric(
        "Between VAEs (lower)", "between VAEs, lower",
        "Barber-Agakov lower bound on the shared information, with the entropy bounded by InfoNCE; falls below zero once a "
        "latent holds much more than ln K.",
    ),
    "layer_mine": Metric("MINE by depth", "MINE", "Information between image and layer that a MINE critic finds; an estimate, no bound."),
    "layer_mine_tanh": Metric(
        "MINE by depth, capped", "MINE, tanh cap",
        "The same with scores through tanh, as the released script: no value can exceed 2 nats.",
    ),
    "layer_smile": Metric("SMILE by depth", "SMILE", "Information between image and layer by SMILE; no bound."),
    "layer_nwj": Metric("NWJ by depth", "NWJ", "Lower bound on the information between image and layer by NWJ."),
    "layer_js": Metric("JS by depth", "JS", "Information between image and layer by a Jensen-Shannon critic."),
    "perturbation_power": Metric(
        "Perturbation spectrum", "share of power", "Share of a perturbation's power by radial frequency, cycles per image.",
    ),
    "train_loss": Metric("Training loss", "training loss", "Loss on the (mixed) training batches, mean over an epoch."),
    "train_distortion": Metric(
        "Training distortion", "distortion", "Reconstruction part of a VAE's loss: negative log likelihood per image.",
    ),
    "train_rate": Metric("Training rate", "rate", "KL part of a VAE's loss per (mixed) training image."),
    "epoch_seconds": Metric(
        "Time per epoch", "time per epoch",
        "Wall-clock time of a training epoch, mean over epochs. Not a benchmark: other work may have shared the machine.",
    ),
    "accuracy": Metric("Clean accuracy", "clean accuracy", "Share of clean test images that are classified correctly."),
    "robust_accuracy": Metric(
        "Robust accuracy", "robust accuracy",
        "Share of test images still classified correctly when the attack may change the image by up to epsilon in the "
        "stated norm. Pixels lie in [0, 1]; images that were wrong before the attack count as wrong. Epsilon 0 is the "
        "clean accuracy.",
    ),
    "minimum_norm_median": Metric(
        "Median minimum norm", "median minimum norm",
        "Median over test images of the smallest perturbation with which the attack changed the prediction. It bounds the "
        "true distance from above, as any attack's result does.",
    ),
    "kept_fraction": Metric(
        "Kept fraction", "kept fraction", "Mean of the mask: the share of the first image in the mix.",
    ),
    "perimeter": Metric(
        "Perimeter", "perimeter", "Length of the edge of the kept region inside the image: neighboring pixels that differ.",
    ),
    "components": Metric("Components", "components", "Regions of kept pixels that share sides."),
    "holes": Metric("Holes", "holes", "Replaced regions that are enclosed by kept pixels."),
    "transitions_axis0": Metric(
        "Transitions along height", "transitions, height",
        "Changes between kept and replaced from one pixel to the next along the height, summed over a mask.",
    ),
    "transitions_axis1": Metric(
        "Transitions along width", "transitions, width",
        "The same along the width. A mask law without a preferred direction has equal counts on square images.",
    ),
    "transitions_axis2": Metric("Transitions along axis 2", "transitions along axis 2", "The same along the third axis."),
    "mean_chord_axis0": Metric("Mean chord along height", "mean chord along height", "Mean run of kept pixels along the height."),
    "mean_chord_axis1": Metric("Mean chord along width", "mean chord along width", "Mean run of kept pixels along the width."),
    "mean_chord_axis2": Metric("Mean chord along axis 2", "mean chord along axis 2", "Mean run along the third axis."),
    "euler_number": Metric("Euler number", "Euler number", "Components minus holes."),
    "euler_number_full": Metric(
        "Euler number (corners)", "Euler number (corners)", "The same when pixels that share only a corner count as joined.",
    ),
    "box_dimension": Metric(
        "Box dimension", "box dimension", "Box-counting dimension of the edge: 1 for a straight edge, more for a rough one.",
    ),
    "anisotropy": Metric(
        "Anisotropy", "anisotropy",
        "(a - b) / (a + b) of each mask, with a and b the power that varies along the height only and along the width only.",
    ),
    "axis_power_ratio": Metric(
        "Axis power ratio", "axis power ratio",
        "Mean power that varies along the width only over that along the height only: 1 for a law without a preferred "
        "direction on square images.",
    ),
    "spectral_slope": Metric(
        "Spectral slope", "spectral slope",
        "Slope of log power over log frequency of a mask. The edges of hard masks alone give about -3 at high frequency.",
    ),
    "radial_power": Metric(
        "Radial power", "power per bin",
        "Power of a mask per frequency bin, averaged over all directions; all bins together give the variance of the mask.",
    ),
    "power_axis0": Metric("Power along height", "share of power", "Share of a mask's power at each frequency bin along the height."),
    "power_axis1": Metric("Power along width", "share of power", "Share of a mask's power at each frequency bin along the width."),
    "power_axis2": Metric("Power along axis 2", "share of power", "The same along the third axis."),
    "kept_fraction_histogram": Metric(
        "Distribution of the kept fraction", "share of masks", "Share of masks whose kept fraction falls into each bin.",
    ),
}  # fmt: skip

_METRICS |= {
    "auto": Metric(
        "auto (default)", "auto",
        "Starts from a Gaussian copula and keeps it unless a critic trained on top of it, or nearest neighbors, find more.",
    ),
    "ksg1": Metric("KSG 1", "KSG 1", "Nearest neighbors, one cube around each sample (Kraskov et al. 2004, equation 8)."),
    "ksg2": Metric("KSG 2", "KSG 2", "The same with a rectangle (equation 9)."),
    "mine": Metric(
        "MINE", "MINE",
        "Donsker-Varadhan value, from samples an estimate and no bound: it may exceed the information; the critic's gradient "
        "uses a moving average (Belghazi et al. 2018).",
    ),
    "nwj": Metric("NWJ", "NWJ", "Lower bound of Nguyen, Wainwright and Jordan."),
    "smile": Metric("SMILE", "SMILE", "Clipped Donsker-Varadhan value (Song and Ermon 2020); no bound."),
    "js": Metric("Jensen-Shannon", "JS", "A critic trained by classification, read off as NWJ; a lower bound."),
    "gaussian": Metric("Gaussian", "Gaussian", "Canonical correlations, exact for normal variables."),
    "gaussian_copula": Metric(
        "Gaussian copula", "copula", "The same after each variable was mapped to normal scores.",
    ),
}  # fmt: skip

_LAYER_METRICS = ("layer_mine", "layer_mine_tanh", "layer_smile", "layer_nwj", "layer_js")
_METRICS |= {
    "flow_gap": Metric(
        "Looseness shown", "fitted less flow",
        "How far the fitted marginal's bound lies above the flow's, paired over images: at least that much of it is looseness.",
    ),
    "between_difference_gap": Metric(
        "Gap of both ways", "gap of both ways",
        "What the estimate of the information between two VAEs differs by when their roles are exchanged: an error of the "
        "method, which the interval leaves out.",
    ),
    "between_lower_gap": Metric("Gap of both ways (lower)", "gap of both ways", "The same of the lower bound."),
    "between_info_nce_gap": Metric("Gap of both ways (InfoNCE)", "gap of both ways", "The same of InfoNCE."),
} | {
    f"{name}_ceiling": Metric(
        f"{_METRICS[name].label}, ceiling", f"{_METRICS[name].symbol}, ceiling", "The most that this number could show.",
    )
    for name in ("leave_one_out", "info_nce", "between_lower", "between_info_nce", *_LAYER_METRICS)
}  # fmt: skip

_METRICS |= {
    "energy_share": Metric(
        "Energy along MixUp", "energy share",
        "Largest share of a perturbation's energy (squared cosine) along the directions towards partner images. Fading an "
        "image counts as well as mixing it: a bound from above.",
    ),
    "energy_share_beyond_fading": Metric(
        "Energy along MixUp beyond fading", "energy share beyond fading",
        "The same along what is left of these directions without contrast, brightness, tint and fading to the mean image.",
    ),
    "mixup_likeness": Metric(
        "Likeness to MixUp", "share of a MixUp step",
        "The energy share on the way from chance (0: the same perturbation handed to another image) to a MixUp step (1).",
    ),
    "mixup_likeness_beyond_fading": Metric(
        "Likeness to MixUp beyond fading", "share of a MixUp step",
        "The same beyond fading, on the way from white noise (0) to a step towards one of the partner images (1).",
    ),
    "cosine_mean_abs": Metric(
        "Cosine, mean absolute", "mean |cosine|",
        "Absolute cosine between a perturbation and the directions in which MixUp would move the image, mean over partner "
        "images. Chance is the value of white noise (gaussian) and of another image's perturbation (shuffled).",
    ),
    "cosine_mean": Metric("Cosine, mean", "mean cosine", "The same with its sign."),
    "cosine_largest": Metric("Cosine, largest", "largest cosine", "The largest of these cosines over partner images."),
    "distance_to_mixup": Metric(
        "Distance to MixUp", "distance to MixUp",
        "Distance from the perturbed image to the nearest image that MixUp could make of the original and a partner, in "
        "lengths of the perturbation: 0 is a MixUp image, 1 is no nearer than the original.",
    ),
    "distance_to_any_mask": Metric(
        "Distance to any mask", "distance to any mask", "The same to the nearest mix by any binary mask.",
    ),
    "distance_to_sampled_masks": Metric(
        "Distance to FMix masks", "distance to FMix masks", "The same to the nearest mix by one of some drawn FMix masks.",
    ),
    "accuracy_difference": Metric(
        "Accuracy difference", "accuracy difference",
        "Accuracy of the first minus that of the second augmentation's classifiers, paired on the same images.",
    ),
    "survival": Metric(
        "Survival of the minimum norm", "images with a longer norm",
        "Share of test images whose smallest perturbation found is longer than epsilon: robust accuracy on a fine row of "
        "budgets from one search. At 0 it is the clean accuracy; worst case takes the smallest norm over all attacks.",
    ),
    "curve_accuracy": Metric(
        "Difference in accuracy", "accuracy",
        "Accuracy under attack of the first minus that of the second augmentation's classifiers, mean over the budgets at "
        "which the baseline keeps 10 to 90 % of its correct images.",
    ),
    "curve_kept": Metric(
        "Difference in kept share", "share kept",
        "The same of the share of correctly classified images that stay so, which does not reward a better clean accuracy.",
    ),
    "claim_accuracy": Metric("Claim, accuracy", "accuracy", ""),
    "claim_kept": Metric("Claim, kept share", "share kept", ""),
}  # fmt: skip

_ATTACKS = {
    "fgsm": "FGSM", "bim": "BIM", "pgd": "PGD", "uniform_noise": "Uniform noise", "deepfool": "DeepFool",
    "worst_case": "Worst case", "strong_gradient": "Strong gradient attacks", "apgd": "APGD", "apgd_ce": "APGD (cross-entropy)", "apgd_dlr": "APGD (margin)", "square": "Square", "ddn": "DDN", "fmn": "FMN",
    "gaussian_noise": "Gaussian noise", "gaussian": "White noise", "fade": "Fading to the mean image", "mixup": "A MixUp step",
    "mixup_direction": "MixUp direction", "carlini_wagner": "Carlini-Wagner",
}  # fmt: skip
_NORM_WORDS = {"linf": "", "l2": "L2"}
_LONG_LABEL = 26  # letters that fit under a panel
_NORMS = {"linf": "$L_\\infty$", "l2": "$L_2$", "l1": "$L_1$", "l0": "$L_0$"}


def metric_of(name: str) -> Metric:
    """Words for a metric; an unknown one is called by its column name and has no definition."""
    plain = name.replace("_", " ")
    return _METRICS.get(name) or Metric(plain[:1].upper() + plain[1:], plain, "")


def known_metrics() -> tuple[str, ...]:
    """Names of all metrics that a figure or table of this package shows."""
    return tuple(_METRICS)


def axis_label(name: str, unit: str) -> str:
    """Axis text with the unit in brackets, where there is one; long ones get two lines."""
    symbol = metric_of(name).symbol
    if not unit or unit.lower() in symbol.lower() or unit == "accuracy":
        return symbol
    break_line = "$" not in symbol and len(symbol) + len(unit) > _LONG_LABEL
    return f"{symbol}{chr(10) if break_line else ' '}({unit})"


def attack_label(name: str, norm: str = "", reference: str = "") -> str:
    """The name readers know an attack by, with a norm that is not the usual one and what its perturbations were turned to."""
    more = (_NORM_WORDS.get(norm, norm), reference)
    return " ".join([_ATTACKS.get(name, name.replace("_", " ")), *(f"({word})" for word in more if word)])


def norm_label(norm: str) -> str:
    """Mathtext of a norm; "" stays ""."""
    return _NORMS.get(norm, norm)
