"""Subclasses of Tensor, such as torchvision's tv_tensors.Image, survive mixing: set aside for the arithmetic, put back after."""

from torch import Tensor, nn


def as_plain(images: Tensor) -> Tensor:
    """The same memory as a plain Tensor."""
    return images if type(images) is Tensor else images.as_subclass(Tensor)


def like(mixed: Tensor, images: Tensor) -> Tensor:
    """The mixed images with the class of the images and what else these carry; results of parameters are plain tensors."""
    kind = type(images)
    if kind in (Tensor, nn.Parameter) or type(mixed) is kind:
        return mixed
    wrapped = mixed.as_subclass(kind)
    vars(wrapped).update(vars(images))
    return wrapped
