"""Weights in files: what torch.save and safetensors wrote, read without executing anything, and held against a model."""

import os
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from msda_analysis.checks import check_finite
from msda_analysis.models.normalized import Normalized

_KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# where training scripts keep the weights in their checkpoints
_PARTS = ("state_dict", "model_state_dict", "model", "net")
# what torch.compile and data-parallel training put in front of every name
_PREFIXES = ("module.", "_orig_mod.")


def load_state(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Copy weights from a file into a model; the model is unchanged if they do not fit.

    Args:
        model: any module; inside a Normalized, its network takes the weights.
        path: a file of safetensors, if it ends in .safetensors, or else of torch.save, which is read without executing
            code: a state_dict alone, or under "state_dict", "model_state_dict", "model" or "net" beside other things. The
            prefix that torch.compile or data-parallel training leaves before every name is removed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or one that would run code, whose name is given; names, shapes or kinds of number differ
            from the model's; or a weight is NaN or infinite.
    """
    path = existing_file(path)
    network = model.network if isinstance(model, Normalized) else model
    tensors = read_safetensors(path)[0] if path.suffix == ".safetensors" else _read_torch(path)
    tensors = _without_prefix(tensors, network.state_dict())
    check_fit(network, tensors, path)
    network.load_state_dict(tensors)


def check_fit(model: nn.Module, tensors: Mapping[str, Tensor], path: Path, shown: int = 3) -> None:
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
        elif name in found and state[name].is_floating_point() and tensors[name].dtype not in _KINDS:
            problems.append(f"{name} holds {tensors[name].dtype}, expected float16, bfloat16, float32 or float64")
    if problems:
        more = f" and {len(problems) - shown} more" if len(problems) > shown else ""
        raise ValueError(
            f"{path}: the weights do not fit the {type(model).__name__}: {'; '.join(problems[:shown])}{more}; "
            "was it created with the same num_classes, in_channels and options?"
        )
    check_weights(tensors, str(path))


def check_weights(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise ValueError naming the first tensor with a NaN or infinite value: every number from it would be wrong."""
    for name, tensor in tensors.items():
        check_finite(f"{where}: {name}", tensor)


def existing_file(path: str | os.PathLike[str], argument: str = "path") -> Path:
    """The path; FileNotFoundError that names the argument unless it is a file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{argument}: expected a checkpoint file, but {path} is missing or not a file")
    return path


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a file; ValueError where it is none of safetensors, or cut short."""
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            # clone: not a view of the mapped file, which somebody may truncate later
            return {name: file.get_tensor(name).clone() for name in names}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or cut short ({error})") from error


def _check_size(path: Path) -> None:
    """Raise ValueError for an archive that unpacks to more than its own size: torch.save compresses nothing."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > path.stat().st_size:
        raise ValueError(
            f"{path}: refused, as {path.stat().st_size:,} bytes would unpack to {unpacked:,}, which no file of torch.save does"
        )


def _read_torch(path: Path) -> dict[str, Tensor]:
    _check_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols, of files that are refused anyway
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        names = sorted(called_names(path))
        if names:
            raise ValueError(
                f"{path}: refused, as reading it would run code: {', '.join(names[:3])}{', ...' if names[3:] else ''}; "
                "ask for the weights alone, torch.save(model.state_dict(), path), or for a .safetensors file"
            ) from error
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: not a file of torch.save that can be read without executing code ({first_line})"
        ) from error
    return _take_weights(state, path)


def called_names(path: Path) -> set[str]:
    """Names of the functions and classes, beyond those of plain weights, that unpickling a file would call; none is called."""
    try:
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):
        pass  # no file of today's torch.save, or one made to confuse
    found: set[str] = set()
    words: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(_pickle_of(path)):
            if opcode.name == "GLOBAL":
                found.add(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                found.add(".".join(words[-2:]))
            elif isinstance(argument, str):
                words.append(argument)
    except (ValueError, OSError, zipfile.BadZipFile):
        pass  # cut short: what was seen until then
    return found


def _pickle_of(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return next((archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")), b"")


def _take_weights(state: Any, path: Path) -> dict[str, Tensor]:
    """The state_dict in what a file holds: it alone, or beside others under a usual name; prefixes of wrappers removed."""
    for part in _PARTS:
        if isinstance(state, Mapping) and isinstance(state.get(part), Mapping):
            state = state[part]
            break
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(
            f"{path}: expected a bare state_dict, that is names with tensors, got {_outline(state)}; "
            "take the model's own part out of a training checkpoint first"
        )
    return dict(state)


def _without_prefix(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names as the model has them, where all carry the prefix that a wrapper around it left."""
    for prefix in _PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors) and not set(tensors) <= set(expected):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return dict(tensors)


def _outline(state: Any) -> str:
    if not isinstance(state, Mapping):
        return f"a {type(state).__name__}"
    return f"a mapping with {', '.join(map(repr, list(state)[:3]))}"
