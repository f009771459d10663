"""PyramidNet-272 (alpha 200) with ShakeDrop for small images, as the released checkpoints have it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msda_analysis import checks
from msda_analysis.models.initialization import initialize_fan_out

_EXPANSION = 4


class ShakeDrop(nn.Module):
    """In training, multiplies a residual branch by random factors with probability p_drop per batch.

    When the branch is hit, each image is scaled by alpha in [-1, 1] on the way forward and its gradient by beta in
    [0, 1] on the way back. In evaluation the branch is scaled by its expectation, 1 - p_drop.
    Draws come from torch's default generator of the tensor's device, as those of nn.Dropout do.

    Source: Yamada et al. 2018 (arXiv 1802.02375), with one gate per batch as in the code of Lim et al. 2019
    (arXiv 1905.00397).
    """

    def __init__(self, p_drop: float) -> None:
        super().__init__()
        checks.check_in_range("p_drop", p_drop, 0, 1)
        self.p_drop = p_drop

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return (1 - self.p_drop) * x
        # the gate stays on the device: reading it would make the GPU wait in every block
        is_hit = torch.rand((), device=x.device) < self.p_drop
        per_image = (x.shape[0], *[1] * (x.ndim - 1))
        alpha = torch.empty(per_image, device=x.device, dtype=x.dtype).uniform_(-1, 1)
        beta = torch.empty(per_image, device=x.device, dtype=x.dtype).uniform_(0, 1)
        one = torch.ones((), device=x.device, dtype=x.dtype)
        return _ScaleBothWays.apply(x, torch.where(is_hit, alpha, one), torch.where(is_hit, beta, one))


class _ScaleBothWays(torch.autograd.Function):
    """forward * x forward, backward * gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        ctx.save_for_backward(backward)
        return forward * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (scale,) = ctx.saved_tensors
        return scale * gradient, None, None


class PyramidBlock(nn.Module):
    """BN-conv, BN-ReLU-conv, BN-ReLU-conv, BN; the shortcut is pooled and padded with zero channels to match."""

    def __init__(self, in_channels: int, channels: int, *, stride: int, p_drop: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, _EXPANSION * channels, 1, bias=False)
        self.bn4 = nn.BatchNorm2d(_EXPANSION * channels)
        self.shake_drop = ShakeDrop(p_drop)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(out)))
        out = self.conv3(F.relu(self.bn3(out)))
        out = self.shake_drop(self.bn4(out))
        shortcut = x if self.stride == 1 else F.avg_pool2d(x, 2, ceil_mode=True)
        return out + F.pad(shortcut, (0, 0, 0, 0, 0, out.shape[1] - shortcut.shape[1]))


class PyramidNet(nn.Module):
    """Three stages of bottleneck blocks whose width grows by the same amount in each, global average pooling.

    ShakeDrop's probability rises from 0.5 / blocks in the first block to 0.5 in the last.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        depth: convolutions and the linear layer, 9 k + 2; 272 as published.
        alpha: total growth in channels (before the factor 4 of the bottlenecks); 200 as published.

    Source: Han et al. 2017 (arXiv 1610.02915); the variant of Lim et al. 2019 (arXiv 1905.00397), which
    Harris et al. 2020 (arXiv 2002.12047) used.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, *, depth: int = 272, alpha: int = 200) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels), ("alpha", alpha)):
            checks.check_count(name, value)
        checks.check_count("depth", depth, minimum=11)
        if (depth - 2) % 9:
            raise ValueError(f"depth: expected 9 k + 2, for example 272 or 110, got {depth}")
        blocks = _build_blocks((depth - 2) // 3, alpha)
        third = len(blocks) // 3
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*blocks[:third])
        self.layer2 = nn.Sequential(*blocks[third : 2 * third])
        self.layer3 = nn.Sequential(*blocks[2 * third :])
        self.bn_final = nn.BatchNorm2d(blocks[-1].bn4.num_features)
        self.fc = nn.Linear(self.bn_final.num_features, num_classes)
        initialize_fan_out(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, class] of images [n, channel, height, width]."""
        x = self.bn1(self.conv1(images))  # no ReLU here
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(F.relu(self.bn_final(x)).mean(dim=(2, 3)))


def _build_blocks(n_blocks: int, alpha: int) -> list[PyramidBlock]:
    blocks: list[PyramidBlock] = []
    in_channels = 16
    for i in range(n_blocks):
        channels = round(16 + (i + 1) * alpha / n_blocks)
        halves = i > 0 and i % (n_blocks // 3) == 0
        p_drop = 0.5 * (i + 1) / n_blocks
        blocks.append(PyramidBlock(in_channels, channels, stride=2 if halves else 1, p_drop=p_drop))
        in_channels = _EXPANSION * channels
    return blocks


NETWORKS = {"pyramidnet272": PyramidNet}
