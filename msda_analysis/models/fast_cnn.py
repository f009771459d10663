"""A plain convolutional network for small color images that learns in few epochs, for studies on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis import checks
from msda_analysis.models.initialization import modules_to_draw

#: Added to the variances of patches, so that directions without content are not blown up.
_RIDGE = 5e-4
_PATCH = 2


class FastCNN(nn.Module):
    """Fixed whitening filters, three blocks of two convolutions, the maximum over the last map, one linear layer.

    A block is conv, max pool, BN, GELU, conv, BN, GELU. Convolutions start as the identity on as many channels as they can;
    BN has no trained scale; logits are divided by 9. prepare() makes the first layer of the training images.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        widths: channels of the three blocks.
        whitened: False draws and trains the first layer as any other: prepare() then leaves it alone.

    Source: Jordan 2024 (arXiv 2404.00498), whose widths are 64, 256, 256. Differs: the first layer has no bias.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        widths: tuple[int, int, int] = (32, 128, 128),
        whitened: bool = True,
    ) -> None:
        super().__init__()
        if len(widths) != 3:
            raise ValueError(f"widths: expected the channels of three blocks, got {widths!r}")
        for name, values in (("num_classes", [num_classes]), ("in_channels", [in_channels]), ("widths", widths)):
            for value in values:
                checks.check_count(name, value)
        n_filters = 2 * in_channels * _PATCH**2
        self.whiten = nn.Conv2d(in_channels, n_filters, _PATCH, bias=False).requires_grad_(not whitened)
        self.blocks = nn.Sequential(
            *(_block(before, width) for before, width in zip((n_filters, *widths), widths, strict=False))
        )
        self.linear = nn.Linear(widths[-1], num_classes, bias=False)
        for module in modules_to_draw(self.blocks):
            if isinstance(module, nn.Conv2d):
                nn.init.dirac_(module.weight[: module.in_channels])

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, height, width], each side at least 9 pixels.

        Raises:
            ValueError: smaller images, or another number of axes.
        """
        checks.check_sides(images, 9, model="fast_cnn", axes=2)
        features = self.blocks(functional.gelu(self.whiten(images)))
        return self.linear(functional.adaptive_max_pool2d(features, 1).flatten(1)) / 9

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Set the first layer to the whitening filters of patches of these images, and their negatives.

        Args:
            images: [n, channel, height, width] as the network is to see them, that is normalized; 5,000 tell enough.

        Raises:
            ValueError: other channels, or images smaller than a patch.
        """
        if self.whiten.weight.requires_grad:
            return
        channels = self.whiten.in_channels
        if images.ndim != 4 or images.shape[1] != channels or min(images.shape[2:]) < _PATCH:
            raise ValueError(
                f"images: expected [n, {channels}, height, width], each side at least {_PATCH}; got {list(images.shape)}"
            )
        filters = whitening_filters(images, _PATCH).to(self.whiten.weight)
        self.whiten.weight.copy_(torch.cat([filters, -filters]))


def whitening_filters(images: Tensor, side: int) -> Tensor:
    """[d, channel, side, side] float64 on the CPU, d = channel * side^2: what they make of patches is uncorrelated, of variance
    v / (v + 5e-4) along each direction of variance v.

    The patches' mean stays in, as images are normalized. The largest weight of each filter is positive.
    """
    patches = functional.unfold(images, side).transpose(1, 2).flatten(0, 1).cpu().double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    largest = vectors.abs().argmax(0, keepdim=True)
    vectors = vectors * vectors.gather(0, largest).sign()
    return (vectors / torch.sqrt(values + _RIDGE)).T.flip(0).reshape(-1, images.shape[1], side, side)


def _block(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.MaxPool2d(2), _normalization(channels), nn.GELU(),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False), _normalization(channels), nn.GELU(),
    )  # fmt: skip


def _normalization(channels: int) -> nn.BatchNorm2d:
    """Quick to follow what a short training changes."""
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer


NETWORKS = {"fast_cnn": FastCNN}
