"""PreAct-ResNet18 for small images, as the released checkpoints have it."""

from torch import Tensor, nn
from torch.nn import functional as F

from msda_analysis import checks


class PreActBlock(nn.Module):
    """Two BN-ReLU-conv steps; the shortcut takes the activated input even where it is the identity."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.shortcut.append(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        out = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out)))
        return out + self.shortcut(activated)


class PreActResNet18(nn.Module):
    """Eight blocks of 64 to 512 channels, global average pooling; any image size from 8 pixels up.

    Keeps the released network's peculiarities, so its checkpoints mean the same here: BN and ReLU before the first
    block, none before the pooling, and shortcuts that start after BN and ReLU.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        width: channels of the first stage; the published networks have 64.

    Source: He et al. 2016 (arXiv 1603.05027); the variant of Harris et al. 2020 (arXiv 2002.12047).
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, *, width: int = 64) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels), ("width", width)):
            checks.check_count(name, value)
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        self.linear = nn.Linear(8 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, height, width]."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(x.mean(dim=(2, 3)))


def _stage(in_channels: int, channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(PreActBlock(in_channels, channels, stride), PreActBlock(channels, channels, 1))


NETWORKS = {"preact_resnet18": PreActResNet18}
