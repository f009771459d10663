"""Sample pictures that foolbox ships: 20 images each of CIFAR-10, CIFAR-100, ImageNet and Fashion-MNIST."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from msda_analysis.checks import check_choice, check_count

_PREFIXES = {"cifar10": "cifar10", "cifar100": "cifar100", "fashion_mnist": "fashionMNIST", "imagenet": "imagenet"}


def sample_images(name: str, n: int = 20) -> tuple[Tensor, Tensor]:
    """The first n sample pictures of a dataset, for illustrations; not a test set.

    foolbox's files are read as files: the library itself is not imported.

    Returns:
        uint8 [n, channel, height, width] and int64 labels [n].

    Raises:
        ValueError: unknown name, or n outside 1..20.
        FileNotFoundError: foolbox is not installed or has no such pictures.
    """
    from PIL import Image

    check_choice("samples", name, _PREFIXES)
    check_count("n", n)
    spec = find_spec("foolbox")
    folder = Path(spec.origin).parent / "data" if spec is not None and spec.origin else Path()
    paths = sorted(folder.glob(f"{_PREFIXES[name]}_[0-9][0-9]_*"))
    if not paths:
        raise FileNotFoundError(f"samples {name}: expected foolbox's pictures in {folder}; install foolbox 3")
    if n > len(paths):
        raise ValueError(f"n: expected at most {len(paths)} sample pictures, got {n}")
    arrays = [np.asarray(Image.open(path)) for path in paths[:n]]
    images = torch.from_numpy(np.stack(arrays))
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return images.contiguous(), torch.tensor([int(path.stem.rsplit("_", 1)[1]) for path in paths[:n]])
