"""VGG-11 with batch normalization, and the ten places where its representation is tapped."""

import torch
from torch import Tensor, nn

from msda_analysis import checks
from msda_analysis.models.initialization import modules_to_draw

# per block: tap name, channels, whether 2x2 max pooling comes before the tap
_BLOCKS = (
    ("f1", 64, True),
    ("f2", 128, True),
    ("f3", 256, False),
    ("f4", 256, True),
    ("f5", 512, False),
    ("f6", 512, True),
    ("f7", 512, False),
    ("f8", 512, True),
)

#: Names of the tapped layers, from the image to the logits.
TAPS = (*(name for name, _, _ in _BLOCKS), "c1", "c2")


class VGG11(nn.Module):
    """VGG-11 with batch normalization, of the layer-wise information analysis.

    For 32x32 images the feature map before the classifier is one pixel, which the pooling to 7x7 repeats 49 times,
    as in the released network (64,825,098 parameters for 10 classes).

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        hidden: units of the two hidden linear layers.
        dropout: probability of dropping a hidden unit; drawn from torch's default generator, as nn.Dropout does.

    Source: Simonyan & Zisserman 2015 (arXiv 1409.1556), configuration A, with the sizes and the module order of the
    analysis code of Harris et al. 2020 (arXiv 2002.12047). Differs: pooling rounds odd sizes up, so that images from
    17 pixels fit (no difference at 32x32).
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 3, *, hidden: int = 2048, dropout: float = 0.5
    ) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels), ("hidden", hidden)):
            checks.check_count(name, value)
        checks.check_in_range("dropout", dropout, 0, 1)
        self.features = _build_features(in_channels)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            *[nn.Linear(_BLOCKS[-1][1] * 49, hidden), nn.ReLU(), _Tap("c1"), nn.Dropout(dropout)],
            *[nn.Linear(hidden, hidden), nn.ReLU(), _Tap("c2"), nn.Dropout(dropout)],
            nn.Linear(hidden, num_classes),
        )
        self._initialize()

    def _initialize(self) -> None:
        for module in modules_to_draw(self):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, height, width]."""
        return self.classifier(torch.flatten(self.avgpool(self.features(images)), 1))

    def taps(self, images: Tensor) -> dict[str, Tensor]:
        """The representations at TAPS, in that order.

        f1 to f8 are [n, channel, height, width], after ReLU and after the pooling of their block if it has one;
        c1 and c2 are [n, hidden], after ReLU and before dropout. Put the model in evaluation mode for fixed
        representations: in training mode batch statistics and dropout enter.
        """
        found = {}
        x = images
        for layer in (*self.features, self.avgpool, nn.Flatten(), *self.classifier):
            x = layer(x)
            if isinstance(layer, _Tap):
                found[layer.name] = x
        return found


class _Tap(nn.Identity):
    """Marks a place; also keeps the numbering of the released network's modules."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def _build_features(in_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for name, channels, pools in _BLOCKS:
        layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        if pools:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        layers.append(_Tap(name))
        in_channels = channels
    return nn.Sequential(*layers)


NETWORKS = {"vgg11_bn": VGG11}
