"""Means over images of what maps say, with Student's intervals; zero maps are left out of them, and counted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from msda_analysis.attribution.grad_cam import enlarge, grad_cam
from msda_analysis.attribution.layers import find_layer
from msda_analysis.attribution.maps import entropy, half_area, is_zero, rank_correlation, share_on
from msda_analysis.checks import check_image_batch
from msda_analysis.estimate import Estimate, Measured, mean_estimate, wilson_interval

_OF_MAPS = "share of maps"


def measure_maps(maps: Tensor, layer: str = "") -> list[Measured]:
    """Half area, entropy in nats and over its maximum, and the share of maps that are zero everywhere.

    Args:
        maps: [n, *positions] float >= 0, n at least 1.
        layer: whose maps; the numbers' label, with its positions.
    """
    label = f"{layer} ({' x '.join(map(str, maps.shape[1:]))})".strip()
    n_zero = int(is_zero(maps).sum())
    share = Estimate(n_zero / len(maps), _OF_MAPS, *wilson_interval(n_zero, len(maps)), n=len(maps))
    return [
        Measured("attribution_area", _mean(half_area(maps), "share of the image"), label=label),
        Measured("attribution_entropy", _mean(entropy(maps), "nats"), label=label),
        Measured("attribution_evenness", _mean(entropy(maps, normalized=True), "share of ln N"), label=label),
        Measured("attribution_zero", share, label=label),
    ]


def measure_agreement(pairs: Sequence[tuple[Tensor, Tensor]], reference: str, label: str = "") -> Measured:
    """Rank correlation of maps of the same images; of several pairs of networks the mean by image.

    Args:
        pairs: maps of two networks each, all [n, *positions].
        reference: whose maps the second of each pair are.
        label: which pairs.
    """
    found = torch.stack([rank_correlation(*pair) for pair in pairs])
    return Measured(
        "attribution_agreement", _mean(found.nanmean(0), "rank correlation"), label=label, reference=reference
    )


def measure_mixed(
    model: nn.Module, first: Tensor, second: Tensor, labels: tuple[Tensor, Tensor], masks: Tensor, label: str = "",
    layer: str | None = None,
) -> list[Measured]:  # fmt: skip
    """On mixed images, how much of the attribution falls on the part whose label is asked.

    Both labels of an image are asked for, so that the parts asked for cover half of each image. Left out are pairs of one
    label, and masks with one part only. An image counts once: the mean of what its two labels say.

    Args:
        model: maps images to logits.
        first, second: [n, channel, *size] float; image i of each is mixed with image i of the other, and with no other, so that
            the images are independent.
        labels: of the first and of the second, [n] int64 each.
        masks: [n, 1, *size], 1 where the first image is shown and 0 where the second is.
        label: what the masks are of.
        layer: see grad_cam.

    Returns:
        The share of the attribution on the part, the share of the area that the part has, the difference of both, and the
        share of maps that are zero everywhere and in none of these.

    Raises:
        ValueError: masks that mix within a pixel, which have no parts; see grad_cam.
    """
    pairs = _take_pairs(first, second, labels, masks)
    if not len(pairs.images):
        return _mixed_rows(torch.empty(0), torch.empty(0), label)
    asked = [(pairs.labels[0], pairs.masks), (pairs.labels[1], 1 - pairs.masks)]
    layer = find_layer(model, pairs.images, layer)
    size = tuple(first.shape[2:])
    shares = torch.stack(
        [share_on(enlarge(grad_cam(model, pairs.images, which, layer), size), part) for which, part in asked]
    )
    areas = torch.stack([part.flatten(1).double().mean(1) for _, part in asked]).where(~shares.isnan(), torch.nan)
    n_zero, n = int(shares.isnan().sum()), shares.numel()
    zero = Estimate(n_zero / n, _OF_MAPS, *wilson_interval(n_zero, n), n=n)
    return [
        *_mixed_rows(shares.nanmean(0), areas.nanmean(0), label),
        Measured("attribution_zero_mixed", zero, label=label),
    ]


@dataclass(frozen=True)
class _Pairs:
    images: Tensor
    labels: tuple[Tensor, Tensor]
    masks: Tensor  # [n, *size]


def _take_pairs(first: Tensor, second: Tensor, labels: tuple[Tensor, Tensor], masks: Tensor) -> _Pairs:
    check_image_batch(first)
    if second.shape != first.shape or masks.shape != (len(first), 1, *first.shape[2:]):
        shapes = f"{list(first.shape)}, {list(second.shape)} and {list(masks.shape)}"
        raise ValueError(f"second, masks: expected the shape of first, and [n, 1, *size]; got {shapes}")
    if not ((masks == 0) | (masks == 1)).all():
        raise ValueError("masks: expected 0 or 1 at each pixel, which part an image; got values between")
    share = masks.flatten(1).mean(1)
    kept = (labels[0] != labels[1]) & (share > 0) & (share < 1)
    mixed = torch.lerp(second[kept], first[kept], masks[kept])
    return _Pairs(mixed, (labels[0][kept], labels[1][kept]), masks[kept, 0])


def _mixed_rows(shares: Tensor, areas: Tensor, label: str) -> list[Measured]:
    return [
        Measured("attribution_on_part", _mean(shares, "share"), label=label),
        Measured("attribution_part_area", _mean(areas, "share"), label=label),
        Measured("attribution_beyond_area", _mean(shares - areas, "share"), label=label),
    ]


def _mean(values: Tensor, unit: str) -> Estimate:
    """Mean over the images that have a number, which says how many have none."""
    kept = values[~values.isnan()]
    gone = len(values) - len(kept)
    warnings = (
        (f"{gone} of {len(values)} images are left out, whose maps are zero everywhere or constant",) if gone else ()
    )
    if not len(kept):
        return Estimate(float("nan"), unit, n=0, warnings=warnings or ("there is no pair of images of two labels",))
    return mean_estimate(kept.tolist(), unit, warnings=warnings)
