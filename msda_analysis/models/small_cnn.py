"""A small classifier for digits and quick CIFAR runs on a CPU."""

from torch import Tensor, nn

from msda_analysis import checks


class SmallCNN(nn.Module):
    """Conv-BN-ReLU blocks with pooling, global average pooling and one linear layer.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        width: channels of the first block; the others have two and four times as many.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, *, width: int = 32) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels), ("width", width)):
            checks.check_count(name, value)
        self.features = nn.Sequential(
            *_block(in_channels, width, stride=2),
            *_block(width, 2 * width, stride=1),
            nn.MaxPool2d(2),
            *_block(2 * width, 4 * width, stride=1),
            nn.MaxPool2d(2),
        )
        self.linear = nn.Linear(4 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, height, width], each side at least 8 pixels."""
        return self.linear(self.features(images).mean(dim=(2, 3)))


def _block(in_channels: int, channels: int, *, stride: int) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(channels), nn.ReLU()]
