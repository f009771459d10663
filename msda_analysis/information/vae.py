"""The paper's three figures for a VAE: two rates in nats and a reconstruction error, under their own names."""

from dataclasses import replace

from torch import Tensor

from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.information.codes import VaeCodes, check_code
from msda_analysis.models.vae import GaussianCode

_SELF_BASELINE = (
    "the baseline is the VAE under study itself; the paper's figure needs a baseline trained from another seed"
)


def rate_per_image(loc: Tensor, log_std: Tensor) -> Tensor:
    """Rate of every image: KL divergence of its Gaussian code from the standard normal prior.

    Args:
        loc: [n, latent] mean of the code.
        log_std: [n, latent] natural logarithm of its standard deviation.

    Returns:
        [n] float64, nats, summed over the latent dimensions.

    Raises:
        ValueError: the shapes differ or are not [n, latent], or a value is NaN or infinite.

    Source: Kingma & Welling 2014, appendix B (arXiv 1312.6114).
    """
    check_code(loc, log_std)
    return GaussianCode(loc.double(), log_std.double()).kl_to_prior()


def vae_information(codes: VaeCodes) -> dict[str, Estimate]:
    """The paper's figures for one VAE, each a mean over images with its 95 % interval.

    Both rates are divergences from the N(0, I) prior: they exceed the information by KL(q(z) || N(0, I)). So "rate" is
    an upper bound on I(Z; X), while "rate_reconstructed", published as a lower bound of I(Z; X), is a bound of neither
    kind: it is below by data processing and above by the same slack.

    Args:
        codes: from `codes.encode_once`, on clean images.

    Returns:
        "rate" (nats; published as I(Z; X)), "mse" (mean squared error of the reconstruction from a sampled code, in
        squared normalized-pixel units), and with a baseline "rate_reconstructed" (nats; published as
        I(Z; reconstruction)).

    Raises:
        ValueError: a code is not finite.

    Source: Harris et al. 2020 (arXiv 2002.12047), section on mutual information, as in the released script.
    """
    figures = {
        "rate": mean_estimate(rate_per_image(*codes.own).tolist(), "nats", bound="upper"),
        "mse": mean_estimate(codes.errors.tolist(), "squared normalized pixels"),
    }
    if codes.reconstructed is not None:
        warnings = (_SELF_BASELINE,) if codes.is_own_baseline else ()
        seen = mean_estimate(rate_per_image(*codes.reconstructed).tolist(), "nats", warnings=warnings)
        figures["rate_reconstructed"] = replace(seen, details={"reconstruction_std": codes.reconstruction_std})
    return figures
