"""The variational autoencoder whose code is measured: Gaussian code, Gaussian pixels of fixed spread."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from msda_analysis import checks
from msda_analysis.models.dimensions import CONVOLUTIONS, LAYERS
from msda_analysis.models.initialization import modules_to_draw
from msda_analysis.models.resize_conv import resize_convolve

_ENCODER_CHANNELS = (32, 32, 64, 64)
_DECODER_CHANNELS = (64, 32, 32)
_HIDDEN = 256


class GaussianCode(NamedTuple):
    """Diagonal Gaussian q(z | x), one per image.

    Attributes:
        loc: [n, latent] means.
        log_std: [n, latent] natural logarithms of the standard deviations.
    """

    loc: Tensor
    log_std: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw per image, [n, latent], differentiable in loc and log_std.

        Args:
            generator: where the noise comes from. It is drawn on the generator's own device and then moved, so a CPU
                generator gives the same noise to every device. None: torch's default generator of the code's device.
        """
        device = self.loc.device if generator is None else generator.device
        noise = torch.randn(self.loc.shape, generator=generator, device=device, dtype=self.loc.dtype)
        return self.loc + self.log_std.exp() * noise.to(self.loc.device)

    def kl_to_prior(self) -> Tensor:
        """KL(q(z | x) || N(0, I)) in nats, [n]: summed over the latent dimensions, not clamped."""
        return (0.5 * (self.loc**2 + (2 * self.log_std).exp() - 1) - self.log_std).sum(dim=1)


class VAE(nn.Module):
    """The released analysis' autoencoder, for images of one to three axes and any size from 16 pixels up.

    Four halving convolutions down, four "resize to one more than the target, then 4x4 convolution" steps up.
    At 32x32 the state_dict is the released one. Images are in normalized units.

    Args:
        in_channels: channels of the images.
        latent: dimensions of the code.
        image_size: one, two or three lengths such as (height, width), each at least 16 pixels.
        output_std: standard deviation of a pixel around the decoded mean, in normalized units.

    Raises:
        ValueError: an argument out of its range.

    Source: Harris et al. 2020, analysis code of arXiv 2002.12047; the network called "Beta-VAE" there, that is
    Burgess et al. 2018 (arXiv 1804.03599) with resize-convolutions in the decoder. Differs: any image size
    and number of axes, with convolutions of that many.
    """

    def __init__(
        self,
        in_channels: int = 3,
        latent: int = 64,
        image_size: tuple[int, ...] = (32, 32),
        *,
        output_std: float = 1.0,
    ) -> None:
        super().__init__()
        checks.check_count("in_channels", in_channels)
        checks.check_count("latent", latent)
        checks.check_positive("output_std", output_std)
        self.in_channels, self.latent = in_channels, latent
        self.image_size = _checked_size(image_size)
        self.output_std = float(output_std)
        #: (mean, std) per channel, in [0, 1] pixel units, of the images it was trained on; None if not known.
        self.normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None
        sizes = _level_sizes(self.image_size)
        self.encoder = _build_encoder(in_channels, sizes[-1])
        self.decoder = _build_decoder(in_channels, latent, sizes)
        self.loc = nn.Linear(_HIDDEN, latent)
        self.scale = nn.Linear(_HIDDEN, latent)  # gives log_std; the name is the released one
        self._initialize()

    def _initialize(self) -> None:
        for module in modules_to_draw(self):
            if isinstance(module, CONVOLUTIONS):
                nn.init.xavier_normal_(module.weight)  # type: ignore[arg-type]
        for head in (self.loc, self.scale):  # an untrained code is exactly the prior
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def encode(self, images: Tensor) -> GaussianCode:
        """The code of each image.

        Args:
            images: [n, channel, *size] in normalized units.

        Raises:
            ValueError: the images' shape is not the one the model was built for.
        """
        expected = (self.in_channels, *self.image_size)
        if tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"images: expected [n, {', '.join(map(str, expected))}], got {list(images.shape)}; "
                "build the VAE with this in_channels and image_size, or resize the images"
            )
        features = self.encoder(images)
        return GaussianCode(self.loc(features), self.scale(features))

    def decode(self, z: Tensor) -> Tensor:
        """Mean image of each code: [n, latent] -> [n, channel, *size] in normalized units.

        Raises:
            ValueError: the codes' shape is not [n, latent].
        """
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"z: expected [n, {self.latent}], got {list(z.shape)}")
        if len(self.image_size) != 2:
            return self.decoder(z)
        *_, resize, convolution = self.decoder
        assert isinstance(resize, nn.Upsample) and isinstance(convolution, nn.Conv2d)
        return resize_convolve(self.decoder[:-2](z), resize, convolution)

    def log_likelihood(self, images: Tensor, mean: Tensor) -> Tensor:
        """log p(image | mean) in nats, [n]: summed over pixels and channels, with the constant of the Gaussian."""
        z_scores = (images - mean) / self.output_std
        constant = math.log(self.output_std) + 0.5 * math.log(2 * math.pi)
        return -(0.5 * z_scores**2 + constant).flatten(1).sum(dim=1)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, GaussianCode]:
        """Reconstruction mean from one draw of the code, and the code."""
        code = self.encode(images)
        return self.decode(code.sample(generator)), code


def _checked_size(image_size: tuple[int, ...]) -> tuple[int, ...]:
    checks.check_size("image_size", image_size)
    for length in image_size:
        checks.check_count(f"image_size {tuple(image_size)!r}", length, minimum=16)  # below, a level has no pixel left
    return tuple(image_size)


def _level_sizes(image_size: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Sizes from the image to the smallest feature map; a stride-2 convolution of 4 with padding 1 halves and floors."""
    return [tuple(length >> level for length in image_size) for level in range(len(_ENCODER_CHANNELS) + 1)]


def _build_encoder(in_channels: int, smallest: tuple[int, ...]) -> nn.Sequential:
    kinds = LAYERS[len(smallest)]
    layers: list[nn.Module] = []
    for channels in _ENCODER_CHANNELS:
        convolution = kinds.convolution(in_channels, channels, 4, stride=2, padding=1)
        layers += [convolution, nn.ReLU(), kinds.normalization(channels)]
        in_channels = channels
    n_features = in_channels * math.prod(smallest)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_features, _HIDDEN), nn.ReLU())


def _build_decoder(out_channels: int, latent: int, sizes: list[tuple[int, ...]]) -> nn.Sequential:
    kinds, channels = LAYERS[len(sizes[-1])], _ENCODER_CHANNELS[-1]
    n_features = channels * math.prod(sizes[-1])
    layers: list[nn.Module] = [nn.Linear(latent, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, n_features), nn.ReLU()]
    layers.append(nn.Unflatten(1, (channels, *sizes[-1])))
    widths = (*_DECODER_CHANNELS, out_channels)
    for target, width_out in zip(reversed(sizes[:-1]), widths, strict=True):
        # the convolution of 4 with padding 1 takes one pixel away
        larger = tuple(length + 1 for length in target)
        layers.append(nn.Upsample(size=larger, mode=kinds.interpolation))
        layers.append(kinds.convolution(channels, width_out, 4, padding=1))
        layers += [nn.ReLU(), kinds.normalization(width_out)]
        channels = width_out
    return nn.Sequential(*layers[:-2])  # the last convolution stays bare


NETWORKS = {"vae": VAE}
