"""Checkpoints in one safetensors file: weights, how to rebuild the model, the caller's notes; nothing is executed."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import nn

from msda_analysis.checks import check_statistics
from msda_analysis.files import replace_file
from msda_analysis.models.normalized import Normalized
from msda_analysis.models.others import is_library
from msda_analysis.models.own_vae import OwnVae
from msda_analysis.models.state import check_fit, check_weights, existing_file, read_safetensors
from msda_analysis.models.vae import VAE
from msda_analysis.models.zoo import create, network_of, origin_of, parse_network

_FORMAT = "msda_analysis checkpoint"
_VERSION = 2  # 2: a VAE keeps the normalization of its images


def save_checkpoint(model: nn.Module, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None) -> None:
    """Write a model made by models.create(), alone or inside Normalized or OwnVae, to one safetensors file.

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
    check_weights(tensors, "model")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: expected a file in an existing folder, but {path.parent} is missing")
    with replace_file(path, binary=True) as file:
        file.write(_in_order(to_safetensors(tensors, header)))


def load_checkpoint(
    path: str | os.PathLike[str], device: str | torch.device = "cpu", *, network: str | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a model written by save_checkpoint, in evaluation mode.

    Args:
        path: the file.
        device: where the model is put.
        network: the text by which a network of your own was created, "my_nets:build(width=2)". A file alone never decides
            what code runs: without this, one that asks for code from outside the package is refused.

    Returns:
        The model on `device`, and the caller's metadata (JSON turns tuples into lists).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, or cut short; not written by save_checkpoint; written by a newer version;
            its tensors do not fit the model it names, or a weight is NaN or infinite; or it asks for code of your own
            that is not named in `network`.
    """
    path = existing_file(path)
    tensors, header = read_safetensors(path)
    if header.get("format") != _FORMAT:
        raise ValueError(
            f"{path}: expected a file written by save_checkpoint, but its header does not say so; "
            "for bare weights create() the model and use load_state(model, path)"
        )
    model, metadata = _rebuild(path, header, network, len(tensors))
    check_fit(model, tensors, path)
    model.load_state_dict(tensors, assign=True)
    return model.to(device).eval(), metadata


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The caller's metadata in a file of save_checkpoint, without its weights; None for any other file.

    Raises:
        FileNotFoundError: no such file.
    """
    try:
        with safe_open(existing_file(path), framework="pt") as file:
            header = file.metadata() or {}
    except SafetensorError:
        return None
    return json.loads(header["metadata"]) if header.get("format") == _FORMAT else None


def _in_order(content: bytes) -> bytes:
    """The same file with the names of its header in order: safetensors writes them in another one every time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of eight
    return len(text).to_bytes(8, "little") + text + content[end:]


def _build_header(model: nn.Module, metadata: Mapping[str, Any]) -> dict[str, str]:
    origin = origin_of(model)
    if origin is None:
        raise ValueError(
            f"model: expected one made by models.create(), alone or inside Normalized, got {type(model).__name__}; "
            "for other models save model.state_dict() with safetensors"
        )
    mean, std = _normalization(model)
    values = {
        "version": _VERSION,
        "model": origin.name,
        "options": origin.options,
        "class": type(network_of(model)).__name__,
        "mean": mean,
        "std": std,
        "metadata": dict(metadata),
    }
    if isinstance(model, OwnVae):
        values["output_std"] = model.output_std
    try:
        return {"format": _FORMAT, **{name: json.dumps(value) for name, value in values.items()}}
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata: expected what JSON can hold (numbers, text, lists, dicts); {error}") from error


def _normalization(model: nn.Module) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    """Mean and std per channel that a model normalizes with, or that its images were normalized with."""
    if isinstance(model, Normalized):
        return model.mean.flatten().tolist(), model.std.flatten().tolist()
    return getattr(model, "normalization", None) or (None, None)


def _rebuild(
    path: Path, header: Mapping[str, str], wanted: str | None, n_tensors: int
) -> tuple[nn.Module, dict[str, Any]]:
    try:
        values = {name: json.loads(text) for name, text in header.items() if name != "format"}
        if values["version"] > _VERSION:
            raise ValueError(f"it has format version {values['version']}, this library reads up to {_VERSION}")
        _check_code(values["model"], wanted)
        _check_depth(values["options"], n_tensors)
        options: dict[str, Any] = {name: _as_tuple(value) for name, value in values["options"].items()}
        is_ours = not parse_network(values["model"]).module
        # ours without memory for the weights: they come from the file, and only after their shapes were compared
        with torch.device("meta" if is_ours else "cpu"):
            network = create(values["model"], seed=None if is_ours else 0, **options)
        if type(network).__name__ != values["class"]:
            raise ValueError(f"it holds a {values['class']}, but {values['model']!r} is a {type(network).__name__}")
        if "output_std" in values:
            network = OwnVae(network, output_std=values["output_std"])
        return _with_normalization(network, values["mean"], values["std"]), values["metadata"]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{path}: the model cannot be rebuilt from the file's header: {error}") from error


def _check_depth(options: Mapping[str, Any], n_tensors: int) -> None:
    """Raise ValueError where a network is asked for that has more layers than the file has tensors: building it has no end."""
    for name, value in options.items():
        asked = sum(value) if isinstance(value, list) and all(isinstance(each, int) for each in value) else value
        if ("depth" in name or "layers" in name) and isinstance(asked, int) and asked > n_tensors:
            raise ValueError(f"it asks for {name}={value}, but holds {n_tensors} tensors")


def _check_code(name: str, wanted: str | None) -> None:
    """Raise ValueError where a file asks for code that is neither this package's nor a library's nor named by the user."""
    asked = parse_network(name)
    if not asked.module or is_library(asked.module):
        return
    given = None if wanted is None else parse_network(wanted)
    if given is None or (given.module, given.name) != (asked.module, asked.name):
        raise ValueError(
            f"it asks for {name}, code from outside this package, which a file may not run by itself; if it is yours, say so: "
            f"load_checkpoint(path, network={name!r}), or on the command line --model {name!r}"
        )


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
