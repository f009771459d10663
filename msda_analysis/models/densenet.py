"""DenseNet-BC-190 for small images, as the released code has it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msda_analysis import checks
from msda_analysis.models.initialization import initialize_fan_out


class DenseLayer(nn.Module):
    """Bottleneck of 4 x growth channels, whose output is appended to its input."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(F.relu(self.bn1(x)))
        return torch.cat([x, self.conv2(F.relu(self.bn2(out)))], dim=1)


class DenseStage(nn.Module):
    """Dense layers under the name `layer`."""

    def __init__(self, in_channels: int, growth: int, n_layers: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(*(DenseLayer(in_channels + i * growth, growth) for i in range(n_layers)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Transition(nn.Module):
    """BN-ReLU, 1x1 convolution to half the channels, 2x2 average pooling."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, in_channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv1(F.relu(self.bn1(x))), 2)


class DenseNetBC(nn.Module):
    """Three dense stages with half-width transitions, global average pooling, no dropout.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        depth: convolutions and the linear layer, 6 k + 4; 190 as published.
        growth: channels that each layer adds; 40 as published.

    Source: Huang et al. 2017 (arXiv 1608.06993).
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, *, depth: int = 190, growth: int = 40) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels), ("growth", growth)):
            checks.check_count(name, value)
        checks.check_count("depth", depth, minimum=10)
        if (depth - 4) % 6:
            raise ValueError(f"depth: expected 6 k + 4, for example 190 or 100, got {depth}")
        n_layers, channels = (depth - 4) // 6, 2 * growth
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.block1 = DenseStage(channels, growth, n_layers)
        self.trans1 = Transition(channels := channels + n_layers * growth)
        self.block2 = DenseStage(channels := channels // 2, growth, n_layers)
        self.trans2 = Transition(channels := channels + n_layers * growth)
        self.block3 = DenseStage(channels := channels // 2, growth, n_layers)
        self.bn1 = nn.BatchNorm2d(channels := channels + n_layers * growth)
        self.fc = nn.Linear(channels, num_classes)
        initialize_fan_out(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, height, width], each side at least 4 pixels.

        Raises:
            ValueError: smaller images.
        """
        checks.check_sides(images, 4, model="densenet190")
        x = self.trans1(self.block1(self.conv1(images)))
        x = self.block3(self.trans2(self.block2(x)))
        return self.fc(F.relu(self.bn1(x)).mean(dim=(2, 3)))


NETWORKS = {"densenet190": DenseNetBC}
