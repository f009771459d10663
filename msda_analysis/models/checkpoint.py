"""Checkpoints in one safetensors file: weights, how to rebuild the model, the caller's notes; nothing is executed."""

import json
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from msda_analysis.checks import check_finite, check_statistics
from msda_analysis.files import replace_file
from msda_analysis.models.normalized import Normalized
from msda_analysis.models.vae import VAE
from msda_analysis.models.zoo import create

_FORMAT = "msda_analysis checkpoint"
_VERSION = 2  # 2: a VAE keeps the normalization of its images
_WEIGHTS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save_checkpoint(model: nn.Module, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None) -> None:
    """Write a model made by models.create(), alone or inside Normalized, to one safetensors file.

    The file is written beside its place and then moved there, so a crash or a full disk leaves an older file as it was.

    Args:
        model: its weights are copied to the CPU as they are, in their own precision.
        path: the file; an existing one is replaced. Its folder must exist.
        metadata: anything JSON can hold, for example settings and history.

    Raises:
        ValueError: the model was not made by models.create(), or a weight is NaN or infinite.
        TypeError: the metadata cannot be written as JSON.
        OSError: the file cannot be written, for example no such folder or a full disk.
    """
    model = getattr(model, "_orig_mod", model)  # the module under torch.compile
    header = _build_header(model, metadata or {})
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    _check_weights(tensors, "model")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: expected a file in an existing folder, but {path.parent} is missing")
    with replace_file(path, binary=True) as file:
        file.write(to_safetensors(tensors, header))


def load_checkpoint(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a model written by save_checkpoint, in evaluation mode.

    Returns:
        The model on `device`, and the caller's metadata (JSON turns tuples into lists).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, or cut short; not written by save_checkpoint; written by a newer version;
            its tensors do not fit the model it names; or a weight is NaN or infinite.
    """
    path = _existing(path)
    tensors, header = _read_safetensors(path)
    if header.get("format") != _FORMAT:
        raise ValueError(
            f"{path}: expected a file written by save_checkpoint, but its header does not say so; "
            "for bare weights create() the model and use load_state(model, path)"
        )
    model, metadata = _rebuild(path, header)
    _check_fit(model, tensors, path)
    model.load_state_dict(tensors, assign=True)
    return model.to(device).eval(), metadata


def load_state(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Copy published weights, a bare state_dict, into a model; the model is unchanged if they do not fit.

    Args:
        model: made by models.create(); inside a Normalized, its network takes the weights.
        path: a file of torch.save (read without executing code) or, if it ends in .safetensors, of safetensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, names, shapes or kinds of number differ from the model's, or a weight is NaN or
            infinite.
    """
    path = _existing(path)
    network = model.network if isinstance(model, Normalized) else model
    tensors = _read_safetensors(path)[0] if path.suffix == ".safetensors" else _read_torch(path)
    _check_fit(network, tensors, path)
    network.load_state_dict(tensors)


def _build_header(model: nn.Module, metadata: Mapping[str, Any]) -> dict[str, str]:
    network = model.network if isinstance(model, Normalized) else model
    if not hasattr(network, "name") or not hasattr(network, "options"):
        raise ValueError(
            f"model: expected one made by models.create(), alone or inside Normalized, got {type(model).__name__}; "
            "for other models save model.state_dict() with safetensors"
        )
    mean, std = _normalization(model)
    values = {
        "version": _VERSION,
        "model": network.name,
        "options": network.options,
        "class": type(network).__name__,
        "mean": mean,
        "std": std,
        "metadata": dict(metadata),
    }
    try:
        return {"format": _FORMAT, **{name: json.dumps(value) for name, value in values.items()}}
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata: expected what JSON can hold (numbers, text, lists, dicts); {error}") from error


def _normalization(model: nn.Module) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    """Mean and std per channel that a model normalizes with, or that its images were normalized with."""
    if isinstance(model, Normalized):
        return model.mean.flatten().tolist(), model.std.flatten().tolist()
    return getattr(model, "normalization", None) or (None, None)


def _rebuild(path: Path, header: Mapping[str, str]) -> tuple[nn.Module, dict[str, Any]]:
    try:
        values = {name: json.loads(text) for name, text in header.items() if name != "format"}
        if values["version"] > _VERSION:
            raise ValueError(f"it has format version {values['version']}, this library reads up to {_VERSION}")
        options: dict[str, Any] = {name: _as_tuple(value) for name, value in values["options"].items()}
        # without memory for the weights: they come from the file, and only after their shapes were compared
        with torch.device("meta"):
            network = create(values["model"], **options)
        if type(network).__name__ != values["class"]:
            raise ValueError(f"it holds a {values['class']}, but {values['model']!r} is a {type(network).__name__}")
        return _with_normalization(network, values["mean"], values["std"]), values["metadata"]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{path}: the model cannot be rebuilt from the file's header: {error}") from error


def _with_normalization(network: nn.Module, mean: list[float] | None, std: list[float] | None) -> nn.Module:
    """A classifier that normalizes inside, or a VAE that knows how its images were normalized."""
    if mean is None or std is None:
        return network
    if isinstance(network, VAE):
        check_statistics(mean, std)
        network.normalization = (tuple(mean), tuple(std))
        return network
    return Normalized(network, mean, std)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuples


def _check_fit(model: nn.Module, tensors: Mapping[str, Tensor], path: Path, shown: int = 3) -> None:
    """Raise ValueError naming the first few tensors that are missing, unexpected or of another shape or kind.

    Then the values: a NaN or infinite one is an error, too.
    """
    state = model.state_dict()
    expected = {name: list(tensor.shape) for name, tensor in state.items()}
    found = {name: list(tensor.shape) for name, tensor in tensors.items()}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unexpected" for name in found if name not in expected]
    for name, shape in expected.items():
        if found.get(name, shape) != shape:
            problems.append(f"{name} is {found[name]}, expected {shape}")
        elif name in found and state[name].is_floating_point() and tensors[name].dtype not in _WEIGHTS:
            problems.append(f"{name} holds {tensors[name].dtype}, expected float16, bfloat16, float32 or float64")
    if problems:
        more = f" and {len(problems) - shown} more" if len(problems) > shown else ""
        raise ValueError(
            f"{path}: the weights do not fit the {type(model).__name__}: {'; '.join(problems[:shown])}{more}; "
            "was it created with the same num_classes, in_channels and options?"
        )
    _check_weights(tensors, str(path))


def _check_weights(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise ValueError naming the first tensor with a NaN or infinite value: every number from it would be wrong."""
    for name, tensor in tensors.items():
        check_finite(f"{where}: {name}", tensor)


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: expected a checkpoint file, but {path} is missing or not a file")
    return path


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            # clone: not a view of the mapped file, which somebody may truncate later
            return {name: file.get_tensor(name).clone() for name in names}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or cut short ({error})") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: not a file of torch.save that can be read without executing code ({first_line})"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(
            f"{path}: expected a bare state_dict, that is names with tensors, got {_outline(state)}; "
            "take the model's own part out of a training checkpoint first"
        )
    return dict(state)


def _outline(state: Any) -> str:
    if not isinstance(state, Mapping):
        return f"a {type(state).__name__}"
    return f"a mapping with {', '.join(map(repr, list(state)[:3]))}"
