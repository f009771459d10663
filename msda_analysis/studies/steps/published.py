"""The published PreAct-ResNet18 classifiers: bare state dicts in a folder, under their published file names."""

from pathlib import Path

from msda_analysis.checks import check_choice
from msda_analysis.data.datasets import RELEASED_CIFAR
from msda_analysis.files import file_digest
from msda_analysis.models import Normalized, create, load_state

#: Our augmentation names, and the names in the published files. It is not known which FMix law these were trained with.
PUBLISHED_NAMES = {
    "baseline": "baseline",
    "mixup": "mixup",
    "cutmix": "cutmix",
    "fmix": "fmix",
    "fmix_released": "fmix",
    "fmix+mixup": "fmixplusmixup",
}


def weights_path(folder: Path, augmentation: str, repeat: int) -> Path:
    """Where a published file is expected: FOLDER/cifar10_preact_resnet18_<msda>_<repeat>.pt.

    Raises:
        ValueError: no such classifier was published.
        FileNotFoundError: the file is not there.
    """
    check_choice("augmentations (published classifiers)", augmentation, PUBLISHED_NAMES)
    path = Path(folder) / f"cifar10_preact_resnet18_{PUBLISHED_NAMES[augmentation]}_{repeat}.pt"
    if not path.is_file():
        raise FileNotFoundError(f"weights: expected the published state dict {path}; seeds stand for its repeat number")
    return path


def describe(folder: Path, augmentation: str, repeat: int) -> dict[str, str]:
    """Name and digest of a published file: what a cell measured on it depends on."""
    path = weights_path(folder, augmentation, repeat)
    return {"file": path.name, "blake2b": file_digest(path)}


def load(folder: Path, augmentation: str, repeat: int) -> Normalized:
    """The classifier on the CPU, in evaluation mode; it takes images in [0, 1]."""
    network = create("preact_resnet18", num_classes=10, in_channels=3, seed=0)
    load_state(network, weights_path(folder, augmentation, repeat))
    return Normalized(network, *RELEASED_CIFAR).eval()
