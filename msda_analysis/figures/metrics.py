"""What each metric of the long table is called, and what it means, for axes, tables and the report."""

from dataclasses import dataclass


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


_KL = "KL divergence of the encoder's q(z|x) to the prior N(0, I)"

_METRICS = {
    "rate": Metric(
        "I(Z_A; X)", "$I(Z_A;\\,X)$",
        f"The paper's name for the rate of the VAE trained with augmentation A: the {_KL}, averaged over clean test "
        "images, in nats. An upper bound on the mutual information between image and latent: it exceeds it by the "
        "mismatch KL(q(z) || p(z)) between the average posterior and the prior.",
    ),
    "rate_reconstructed": Metric(
        "I(Z_A; X-hat)", "$I(Z_A;\\,\\hat{X})$",
        "The same rate when the VAE is shown not the test images but their reconstructions by a baseline VAE of another "
        "seed: what VAE A encodes of the part of the data that the baseline keeps.",
    ),
    "mse": Metric(
        "MSE", "MSE",
        "Mean squared difference between test image and reconstruction, over pixels and channels, in squared units of "
        "the normalized pixels.",
    ),
    "fitted": Metric(
        "Fitted-marginal bound", "fitted marginal",
        "Upper bound on I(X; Z) that replaces the prior by a marginal fitted to other latents: the best of the fitted ones.",
    ),
    "fitted_diagonal": Metric(
        "Fitted diagonal Gaussian", "fitted diagonal", "Upper bound on I(X; Z) with a fitted Gaussian of diagonal covariance.",
    ),
    "fitted_full": Metric(
        "Fitted full Gaussian", "fitted full", "Upper bound on I(X; Z) with a fitted Gaussian of full covariance.",
    ),
    "fitted_mixture": Metric(
        "Fitted mixture", "fitted mixture", "Upper bound on I(X; Z) with a fitted mixture of Gaussians.",
    ),
    "leave_one_out": Metric(
        "Leave-one-out bound", "leave-one-out",
        "Upper bound on I(X; Z) that compares each posterior with the mixture of all other images' posteriors.",
    ),
    "info_nce": Metric(
        "InfoNCE", "InfoNCE",
        "Lower bound on I(X; Z) with the known encoder as critic; it cannot exceed ln K for K samples.",
    ),
    "between_upper": Metric(
        "Between VAEs (upper)", "$I(Z_A;\\,Z_X)$ upper", "Upper bound on the information two VAEs' latents share.",
    ),
    "between_estimate": Metric(
        "Between VAEs (estimate)", "$I(Z_A;\\,Z_X)$ estimate", "Estimate of the information two VAEs' latents share.",
    ),
    "active_units": Metric(
        "Active units", "active units", "Latent dimensions whose posterior mean varies over the test images.",
    ),
    "train_loss": Metric("Training loss", "training loss", "Loss on the (mixed) training batches, averaged over an epoch."),
    "accuracy": Metric("Clean accuracy", "clean accuracy", "Share of clean test images that are classified correctly."),
    "robust_accuracy": Metric(
        "Robust accuracy", "robust accuracy",
        "Share of test images still classified correctly when the attack may move each pixel by epsilon. Pixels lie in "
        "[0, 1]; images that were wrong before the attack count as wrong. Epsilon 0 is the clean accuracy.",
    ),
    "minimum_norm_median": Metric(
        "Median minimum norm", "median minimum norm",
        "Median over test images of the smallest perturbation that the attack found to change the prediction; an upper "
        "bound on the true distance, as any attack's is.",
    ),
    "kept_fraction": Metric(
        "Kept fraction", "kept fraction", "Mean of the mask: the share of the first image in the mix.",
    ),
    "perimeter": Metric("Perimeter", "perimeter", "Length of the edge between kept and replaced pixels of a mask, in pixels."),
    "components": Metric("Components", "components", "Connected regions of kept pixels in a mask."),
    "transitions_axis0": Metric(
        "Transitions along height", "transitions along height",
        "Changes between kept and replaced from one pixel to the next along the height, summed over a mask.",
    ),
    "transitions_axis1": Metric(
        "Transitions along width", "transitions along width",
        "The same along the width. A mask law without a preferred direction has equal counts on square images.",
    ),
    "transitions_axis2": Metric("Transitions along axis 2", "transitions along axis 2", "The same along the third axis."),
    "euler_number": Metric("Euler number", "Euler number", "Connected regions minus holes of a mask."),
    "box_dimension": Metric(
        "Box dimension", "box dimension", "Box-counting dimension of the edge of a mask over the scales of its grid.",
    ),
    "anisotropy": Metric(
        "Anisotropy", "anisotropy", "How unequal the mask's variation is along its axes; see the unit for its scale.",
    ),
    "spectral_slope": Metric(
        "Spectral slope", "spectral slope", "Slope of log power against log spatial frequency of a mask.",
    ),
    "radial_power": Metric(
        "Radial power", "power",
        "Power spectrum of the masks averaged over all directions, at spatial frequency in cycles per pixel.",
    ),
    "power_axis0": Metric("Power along height", "power", "Power spectrum of the masks by frequency bin along the height."),
    "power_axis1": Metric("Power along width", "power", "Power spectrum of the masks by frequency bin along the width."),
    "kept_fraction_histogram": Metric(
        "Distribution of the kept fraction", "share of masks", "Share of masks whose kept fraction falls into each bin.",
    ),
}  # fmt: skip

_ATTACKS = {
    "fgsm": "FGSM", "bim": "BIM", "pgd": "PGD", "uniform_noise": "Uniform noise", "deepfool": "DeepFool",
    "worst_case": "Worst case", "apgd": "APGD", "square": "Square", "ddn": "DDN", "fmn": "FMN",
    "gaussian_noise": "Gaussian noise", "carlini_wagner": "Carlini-Wagner",
}  # fmt: skip
_NORMS = {"linf": "$L_\\infty$", "l2": "$L_2$", "l1": "$L_1$", "l0": "$L_0$"}


def metric_of(name: str) -> Metric:
    """Words for a metric; an unknown one is called by its column name and has no definition."""
    plain = name.replace("_", " ")
    return _METRICS.get(name) or Metric(plain[:1].upper() + plain[1:], plain, "")


def known_metrics() -> tuple[str, ...]:
    """Names of all metrics that a figure or table of this package shows."""
    return tuple(_METRICS)


def axis_label(name: str, unit: str) -> str:
    """Axis text with the unit in brackets, where there is one."""
    symbol = metric_of(name).symbol
    return f"{symbol} ({unit})" if unit and unit not in symbol else symbol


def attack_label(name: str) -> str:
    """The name readers know an attack by."""
    return _ATTACKS.get(name, name.replace("_", " "))


def norm_label(norm: str) -> str:
    """Mathtext of a norm; "" stays ""."""
    return _NORMS.get(norm, norm)
