"""Finished batches on disk: an evaluation that was stopped goes on where it was, and never reads another one's results."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from msda_analysis.files import remove_leftovers, replace_file


@dataclass(frozen=True)
class BatchStore:
    """A folder of finished batches of one evaluation, recognized by its fingerprint.

    Attributes:
        folder: where the files lie, or None to keep nothing.
        fingerprint: see fingerprint().
    """

    folder: Path | None
    fingerprint: str

    def load(self, name: str) -> tuple[Tensor, Tensor, int] | None:
        """Success [epsilon, n], norms [n] and the passes of a finished batch, or None where none can be read.

        A damaged file is a batch that has to be computed again, and a warning names it.

        Raises:
            ValueError: the file belongs to another evaluation.
        """
        if self.folder is None or not (path := self._path(name)).exists():
            return None
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                found, success, norms = str(file["fingerprint"]), file["success"], file["norms"]
                passes = int(file["passes"])
        except Exception as error:  # refusals of zip, of its compressions and of the header have no common class
            warnings.warn(f"{path} cannot be read ({error}); its batch is computed again", stacklevel=2)
            return None
        if found != self.fingerprint:
            raise ValueError(
                f"folder: {path} was written for another model, other images or other settings; "
                "give another folder or delete this one"
            )
        return torch.from_numpy(success), torch.from_numpy(norms), passes

    def save(self, name: str, success: Tensor, norms: Tensor, passes: int) -> None:
        """Write a finished batch in one step: the file is there whole or not at all."""
        if self.folder is None:
            return
        path = self._path(name)
        remove_leftovers(path.parent, path.name)  # of a kill while it was written; then it is written again
        with replace_file(path, binary=True) as file:
            np.savez(
                file, fingerprint=np.array(self.fingerprint), success=success.numpy(), norms=norms.numpy(),
                passes=np.array(passes),
            )  # fmt: skip

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}.npz"


def fingerprint(model: nn.Module, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> str:
    """Hash of everything that decides an evaluation's numbers.

    Args:
        model: its class and every entry of its state dict count.
        tensors: images, labels and the like.
        settings: plain values: attacks with their settings, budgets, seed, ...
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(type(model).__qualname__.encode())
    for name, tensor in [*model.state_dict().items(), *tensors.items()]:
        if not isinstance(tensor, Tensor):  # extra state of a module
            digest.update(f"{name}={tensor!r}".encode())
            continue
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    digest.update(json.dumps(settings, sort_keys=True, default=repr).encode())
    return digest.hexdigest()
