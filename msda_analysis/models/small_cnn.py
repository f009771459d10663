"""A small classifier for digits and quick CIFAR runs on a CPU."""

from torch import Tensor, nn

from msda_analysis import checks


class SmallCNN(nn.Module):
    """Four conv-BN-ReLU blocks, global average pooling and one linear layer; 133,290 parameters for 3 channels.

    The first block and the first pooling quarter each side, which is where most of the time goes on a CPU.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        width: channels of the first block; the others have two, two and four times as many.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, *, width: int = 32) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels), ("width", width)):
            checks.check_count(name, value)
        self.features = nn.Sequential(
            *_block(in_channels, width, kernel=5, stride=2),
            nn.MaxPool2d(2),
            *_block(width, 2 * width),
            nn.MaxPool2d(2),
            *_block(2 * width, 2 * width),
            *_block(2 * width, 4 * width),
        )
        self.linear = nn.Linear(4 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, height, width], each side at least 7 pixels.

        Raises:
            ValueError: smaller images.
        """
        checks.check_sides(images, 7, model="small_cnn")
        return self.linear(self.features(images).mean(dim=(2, 3)))


def _block(in_channels: int, channels: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(channels), nn.ReLU()]


NETWORKS = {"small_cnn": SmallCNN}
