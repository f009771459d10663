"""WRN-28-10, as the released code has it."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from msda_analysis import checks
from msda_analysis.models.initialization import initialize_fan_out

Pool = Literal["fixed7", "global"]


class WideBlock(nn.Module):
    """Two BN-ReLU-conv steps; a 1x1 convolution of the activated input is the shortcut where channels change."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.convShortcut = (
            None if in_channels == channels else nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return out + (x if self.convShortcut is None else self.convShortcut(activated))


class WideStage(nn.Module):
    """Blocks of equal width under the name `layer`."""

    def __init__(self, in_channels: int, channels: int, *, n_blocks: int, stride: int) -> None:
        super().__init__()
        first = WideBlock(in_channels, channels, stride)
        self.layer = nn.Sequential(first, *(WideBlock(channels, channels, 1) for _ in range(n_blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet28(nn.Module):
    """Depth 28, ten times the usual width.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        widen: width factor; 10 for WRN-28-10.
        pool: "fixed7" averages the first 7x7 of the last feature map, as published: all of it for 28x28 images, all
            but the last row and column for 32x32 ones. "global" averages the whole map of images of any size.

    Source: Zagoruyko & Komodakis 2016 (arXiv 1605.07146); the pooling of the code of Harris et al. 2020
    (arXiv 2002.12047).
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, *, widen: int = 10, pool: Pool = "fixed7") -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels), ("widen", widen)):
            checks.check_count(name, value)
        checks.check_choice("pool", pool, ("fixed7", "global"))
        self.pool = pool
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.block1 = WideStage(16, 16 * widen, n_blocks=4, stride=1)
        self.block2 = WideStage(16 * widen, 32 * widen, n_blocks=4, stride=2)
        self.block3 = WideStage(32 * widen, 64 * widen, n_blocks=4, stride=2)
        self.bn1 = nn.BatchNorm2d(64 * widen)
        self.fc = nn.Linear(64 * widen, num_classes)
        initialize_fan_out(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, height, width].

        Raises:
            ValueError: with pool="fixed7", a side outside 25 to 32 pixels.
        """
        if self.pool == "fixed7":
            _check_sides(images)
        x = self.block3(self.block2(self.block1(self.conv1(images))))
        x = F.relu(self.bn1(x))
        return self.fc((x[:, :, :7, :7] if self.pool == "fixed7" else x).mean(dim=(2, 3)))


def _check_sides(images: Tensor) -> None:
    # a last map of 7 or 8; a larger one would be cut more than the published sizes are
    if not all(25 <= length <= 32 for length in images.shape[2:]):
        raise ValueError(
            f"images: expected 25 to 32 pixels on each side, got {list(images.shape[2:])}; the published network "
            'averages a fixed 7x7 map. For other sizes create the model with pool="global"'
        )


NETWORKS = {"wide_resnet28_10": WideResNet28}
