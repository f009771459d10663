"""A small classifier for digits and quick CIFAR runs on a CPU, for signals and for volumes."""

from torch import Tensor, nn

from msda_analysis import checks
from msda_analysis.models.dimensions import LAYERS


class SmallCNN(nn.Module):
    """Four conv-BN-ReLU blocks, global average pooling and one linear layer; 133,290 parameters for 3 channels.

    The first block and the first pooling quarter each side, which is where most of the time goes on a CPU. In one and in
    three dimensions it is the same network with convolutions of that many axes.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        width: channels of the first block; the others have two, two and four times as many.
        axes: spatial axes of the images, 1, 2 or 3.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, *, width: int = 32, axes: int = 2) -> None:
        super().__init__()
        checks.check_choice("axes", axes, LAYERS)
        self.axes = axes
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels), ("width", width)):
            checks.check_count(name, value)
        self.features = nn.Sequential(
            *_block(axes, in_channels, width, kernel=5, stride=2),
            LAYERS[axes].pooling(2),
            *_block(axes, width, 2 * width),
            LAYERS[axes].pooling(2),
            *_block(axes, 2 * width, 2 * width),
            *_block(axes, 2 * width, 4 * width),
        )
        self.linear = nn.Linear(4 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, *size], each side at least 7 pixels.

        Raises:
            ValueError: smaller images, or another number of axes.
        """
        checks.check_sides(images, 7, model="small_cnn", axes=self.axes)
        return self.linear(self.features(images).mean(dim=tuple(range(2, images.ndim))))


def _block(axes: int, in_channels: int, channels: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution, normalization = LAYERS[axes].convolution, LAYERS[axes].normalization
    conv = convolution(in_channels, channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [conv, normalization(channels), nn.ReLU()]


NETWORKS = {"small_cnn": SmallCNN}
