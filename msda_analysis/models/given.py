"""Models from files of anywhere: our checkpoints, and weights of a network that is named beside them."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from msda_analysis.models.checkpoint import load_checkpoint, read_metadata
from msda_analysis.models.normalized import Normalized
from msda_analysis.models.own_vae import OwnVae
from msda_analysis.models.state import existing_file, load_state
from msda_analysis.models.vae import VAE
from msda_analysis.models.zoo import create


def load_classifier(
    path: str | os.PathLike[str],
    network: str | None = None,
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str | torch.device = "cpu",
) -> Normalized:
    """A classifier on images in [0, 1], in evaluation mode.

    Args:
        path: a checkpoint of save_checkpoint, which says all else itself, or weights as load_state takes them.
        network: what create() takes, "torchvision:resnet18" or "my_nets:build(width=2)"; needed for weights alone, and for
            checkpoints of networks of your own.
        num_classes, in_channels: of the data, for create().
        mean, std: per channel, in [0, 1] pixel units, by which the network's images are normalized; None: it takes images
            in [0, 1] as they are.
        device: where it is put.

    Raises:
        FileNotFoundError: no such file.
        ValueError: weights alone without `network`, one of mean and std alone, a checkpoint that is no classifier's, or as
            load_checkpoint, create and load_state.
    """
    path = existing_file(path)
    if read_metadata(path) is not None:
        model, _ = load_checkpoint(path, device, network=network)
        if not isinstance(model, Normalized):
            raise ValueError(
                f"{path}: expected a classifier that normalizes inside (models.Normalized), got a {type(model).__name__}"
            )
        return model
    if (mean is None) != (std is None):
        raise ValueError("mean, std: expected both or neither, got one of them")
    made = _load(path, network, num_classes, in_channels)
    return Normalized(made, mean or [0.0] * in_channels, std or [1.0] * in_channels).to(device).eval()


def load_vae(
    path: str | os.PathLike[str],
    network: str | None = None,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    in_channels: int = 3,
    output_std: float = 1.0,
    device: str | torch.device = "cpu",
) -> VAE:
    """A VAE on normalized images, in evaluation mode, which knows how they are normalized.

    Args:
        path: a checkpoint of save_checkpoint, which says all else itself, or weights as load_state takes them.
        network: what create() takes, such as "my_nets:build_vae(latent=16)": an OwnVae's network, or our "vae"; needed for
            weights alone, and for checkpoints of networks of your own.
        mean, std: per channel, in [0, 1] pixel units, by which the VAE's images are normalized; a checkpoint has its own.
        in_channels: of the data, for create().
        output_std: standard deviation of a pixel around the decoded mean, in normalized units; a checkpoint has its own.
        device: where it is put.

    Raises:
        FileNotFoundError: no such file.
        TypeError: a network without encode and decode.
        ValueError: as load_classifier.
    """
    path = existing_file(path)
    if read_metadata(path) is not None:
        model, _ = load_checkpoint(path, device, network=network)
        if not isinstance(model, VAE):
            raise ValueError(f"{path}: expected a VAE, got a {type(model).__name__}")
        return model
    made = _load(path, network, 10, in_channels)
    vae = made if isinstance(made, VAE) else OwnVae(made, output_std=output_std)
    vae.normalization = (tuple(mean), tuple(std))
    return vae.to(device).eval()


def _load(path: Path, network: str | None, num_classes: int, in_channels: int) -> nn.Module:
    if network is None:
        raise ValueError(f"model: {path} holds weights alone; name their network, such as torchvision:resnet18")
    made = create(network, num_classes, in_channels, seed=0)
    load_state(made, path)
    return made


def weights_by_name(texts: Sequence[str]) -> dict[str, list[Path]]:
    """Files by the name that results give them, one per training seed.

    Args:
        texts: each as named_files takes it.

    Raises:
        ValueError, FileNotFoundError: as named_files.
    """
    found: dict[str, list[Path]] = {}
    for name, paths in map(named_files, texts):
        found.setdefault(name, []).extend(paths)
    return found


def named_files(text: str) -> tuple[str, list[Path]]:
    """The name that results give to files, and the files.

    Args:
        text: "name=path"; "name=path,path" for one file per training seed; or a path alone: then the name is the augmentation
            in a checkpoint's metadata, else the file's.

    Raises:
        ValueError: no name before "=".
        FileNotFoundError: no such file.
    """
    name, has_name, rest = text.partition("=")
    if has_name and not Path(text).is_file():
        if not name.strip():
            raise ValueError(f"weights: expected name=path, such as plain=a.pt, got {text!r}")
        parts = [rest] if Path(rest).is_file() else rest.split(",")
        return name.strip(), [existing_file(part, "weights") for part in parts]
    path = existing_file(text, "weights")
    return str((read_metadata(path) or {}).get("augmentation") or path.stem), [path]
