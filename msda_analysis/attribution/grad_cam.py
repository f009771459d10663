"""Grad-CAM by captum, on the network as it is: nothing of it is taken apart and put together again."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msda_analysis.attribution.layers import find_layer
from msda_analysis.checks import check_finite, check_image_batch, check_labels
from msda_analysis.models.dimensions import LAYERS
from msda_analysis.models.frozen import frozen
from msda_analysis.models.zoo import network_of


def grad_cam(
    model: nn.Module, images: Tensor, labels: Tensor, layer: str | None = None, *, batch_size: int = 100
) -> Tensor:
    """What speaks for a class, by place: a layer's channels weighted by the mean gradient of the class's logit, and a ReLU.

    A map may be zero everywhere, where nothing speaks for the class: see maps.is_zero.

    Args:
        model: maps images to logits [n, classes]; it is run in eval mode and left as it was.
        images: [n, channel, *size] float, of one to three lengths, as the model takes them.
        labels: [n] int64, the class that is asked for in each image. The released notebook asks for the predicted class;
            where networks are compared, one question to all is their label.
        layer: name of a module of the network; None for the last convolutional feature map, see layers.find_layer.
        batch_size: images at once.

    Returns:
        [n, *positions] float >= 0, in units of the logit, at the layer's resolution; see enlarge.

    Raises:
        ImportError: captum is not installed.
        NoFeatureMap, ValueError: see layers.find_layer; labels that are no classes; maps that are not finite.
        TypeError: labels of another type.

    Source: Selvaraju et al. 2017 (arXiv 1610.02391); LayerGradCam of captum, Kokhlikyan et al. 2020 (arXiv 2009.07896).
    """
    check_image_batch(images)
    with frozen(model), torch.no_grad():
        num_classes = model(images[:1]).shape[1]
    check_labels(labels, len(images), num_classes=num_classes)
    if labels.ndim != 1:
        raise TypeError(f"labels: expected int64 [n], one class an image, got {labels.dtype} {list(labels.shape)}")
    method = _load_captum().LayerGradCam(model, network_of(model).get_submodule(find_layer(model, images, layer)))
    found = []
    with frozen(model):
        for part, asked in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            found.append(method.attribute(part, asked, relu_attributions=True).detach()[:, 0])
    maps = torch.cat(found)
    check_finite("maps", maps)
    return maps


def _load_captum() -> Any:
    """captum.attr: slow to import, and needed here alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, in notebooks; no bar is drawn
        from captum import attr
    return attr


def enlarge(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps at the images' resolution, interpolated linearly along each axis, as they are shown.

    Args:
        maps: [n, *positions] float.
        size: as many lengths as there are positions' axes.

    Returns:
        [n, *size], >= 0 where the maps are.
    """
    if maps.ndim != 1 + len(size):
        raise ValueError(f"size: expected {maps.ndim - 1} lengths for maps {list(maps.shape)}, got {tuple(size)}")
    return F.interpolate(maps[:, None], size=tuple(size), mode=LAYERS[len(size)].interpolation)[:, 0]
