"""A VAE of your own: anything that encodes to a Gaussian and decodes to a mean image."""

from typing import Any

from torch import Tensor, nn

from msda_analysis import checks
from msda_analysis.models.vae import VAE, GaussianCode


class OwnVae(VAE):
    """Your own networks where a VAE of this package is expected: training, information, pictures.

    Args:
        network: a module with encode(images) -> what to_code takes, and decode(z [n, latent]) -> mean image, both in
            normalized units.
        output_std: standard deviation of a pixel around the decoded mean, in normalized units.

    Raises:
        TypeError: not such a module.
    """

    def __init__(self, network: nn.Module, *, output_std: float = 1.0) -> None:
        nn.Module.__init__(self)  # not VAE's, which would build the released networks
        for method in ("encode", "decode"):
            if not isinstance(network, nn.Module) or not callable(getattr(network, method, None)):
                raise TypeError(
                    "network: expected a torch.nn.Module with methods encode(images) -> (mean, log-variance) and "
                    f"decode(z) -> mean image, got {type(network).__name__} without {method}"
                )
        checks.check_positive("output_std", output_std)
        self.network, self.output_std, self.normalization = network, float(output_std), None

    def encode(self, images: Tensor) -> GaussianCode:
        """The code of each image [n, channel, *size] in normalized units."""
        return to_code(self.network.encode(images))  # type: ignore[operator]

    def decode(self, z: Tensor) -> Tensor:
        """Mean image of each code: [n, latent] -> [n, channel, *size] in normalized units."""
        return self.network.decode(z)  # type: ignore[operator]


def to_code(found: Any) -> GaussianCode:
    """A Gaussian code from what a VAE's encode returns.

    Args:
        found: an object with .loc and .log_std, or the pair (mean, log-variance), each [n, latent].

    Raises:
        TypeError: something else.
        ValueError: two shapes, or not [n, latent].
    """
    if hasattr(found, "loc") and hasattr(found, "log_std"):
        code = GaussianCode(found.loc, found.log_std)
    elif isinstance(found, (tuple, list)) and len(found) == 2 and all(isinstance(part, Tensor) for part in found):
        code = GaussianCode(found[0], 0.5 * found[1])
    else:
        raise TypeError(
            "encode: expected the pair (mean, log-variance), or an object with .loc and .log_std, each [n, latent]; got "
            f"{type(found).__name__}"
        )
    if code.loc.ndim != 2 or code.loc.shape != code.log_std.shape:
        raise ValueError(
            f"encode: expected one shape [n, latent] for both parts, got {tuple(code.loc.shape)} and "
            f"{tuple(code.log_std.shape)}; flatten them"
        )
    return code
