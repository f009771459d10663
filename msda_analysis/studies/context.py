"""What cells work with: the plan, the folder, the dataset, trained models."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msda_analysis.data import Dataset, load_dataset
from msda_analysis.environment import device_name
from msda_analysis.files import replace_file
from msda_analysis.models import VAE, Normalized, check_classes, load_checkpoint
from msda_analysis.models.dimensions import memory_format
from msda_analysis.results import Source
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.store import Store

Rows = list[dict[str, Any]]
MODEL_FILE = "model.safetensors"


@dataclass
class Context:
    """What cells work with: the plan, the folder, and the dataset, loaded once and only if needed."""

    plan: Any
    store: Store
    progress: bool = True

    @cached_property
    def train(self) -> Dataset:
        spec = self.plan.data
        dataset = load_dataset(
            spec.name, "train", spec.root, train_size=spec.train_size, progress=self.progress, resize=spec.resize
        )
        return dataset.to(self.plan.device)

    @cached_property
    def test(self) -> Dataset:
        spec = self.plan.data
        dataset = load_dataset(spec.name, "test", spec.root, progress=self.progress, resize=spec.resize)
        dataset = dataset if spec.test_size is None else dataset.take(spec.test_size, name="test_size")
        return dataset.to(self.plan.device)

    def load_data(self) -> None:
        """Load the plan's splits now instead of when they are first used."""
        for split in self.plan.splits if hasattr(self.plan, "data") else ():
            getattr(self, split)

    def data_bytes(self) -> int:
        """Memory that the plan's splits take on the CPU."""
        splits = [getattr(self, split) for split in (self.plan.splits if hasattr(self.plan, "data") else ())]
        return sum(split.images.nbytes for split in splits if split.images.device.type == "cpu")

    def describe_data(self) -> dict[str, Any]:
        """What the manifest says of the data set; nothing where the plan has none."""
        if not hasattr(self.plan, "data") or not self.plan.splits:
            return {}
        test, sizes = self.test, {f"n_{split}": len(getattr(self, split)) for split in self.plan.splits}
        return {
            "name": test.name, "classes": list(test.classes), **sizes,
            "image_shape": list(test.images.shape[1:]), "mean": list(test.mean), "std": list(test.std),
        }  # fmt: skip

    @property
    def _data_name(self) -> str:
        return self.plan.data.name if hasattr(self.plan, "data") else ""

    def source(self, cell: Cell, model: str, augmentation: str | None = None) -> Source:
        """What all rows of a cell share; the augmentation is the cell's unless a row speaks of another."""
        augmentation = cell.augmentation if augmentation is None else augmentation
        return Source(
            self.plan.name, cell.name, self._data_name, model, augmentation, cell.seed, cell.settings,
            device_name(self.plan.device),
        )  # fmt: skip

    def load_vae(self, cell: Cell) -> VAE:
        """The VAE of a finished cell.

        Raises:
            ValueError: the study trained it on images normalized otherwise than its images are now.
        """
        vae = self._load(cell)
        assert isinstance(vae, VAE)
        if "train" in self.plan.splits and vae.normalization != (self.test.mean, self.test.std):
            raise ValueError(
                f"{cell.name}: its VAE was trained on images normalized by (mean, std) {vae.normalization}, but the "
                f"study's are normalized by {(self.test.mean, self.test.std)}; was the data set changed? Remove the "
                "cell's folder to train again"
            )
        return vae

    def load_classifier(self, cell: Cell) -> Normalized:
        """The classifier of a finished cell, in the memory layout that it was trained in."""
        model = self._load(cell)
        assert isinstance(model, Normalized)
        check_classes(model, self.test.classes, str(self.store.cell_folder(cell) / MODEL_FILE))
        return model.to(memory_format=memory_format(len(self.test.image_size)))  # type: ignore[call-overload]

    def _load(self, cell: Cell) -> torch.nn.Module:
        """The model; of the code of the user's own, only what the plan names runs."""
        fit = getattr(self.plan, "classifier", None)
        network = getattr(self.plan, "model", "") if fit is None else fit.model
        return load_checkpoint(self.store.cell_folder(cell) / MODEL_FILE, self.plan.device, network=network or None)[0]

    def copy_out(self, cell: Cell, name: str, *target: str) -> None:
        """Copy a file of a finished cell into the study's folder, under its own name or the parts of another path."""
        with replace_file(self.store.folder.joinpath(*target or (name,)), binary=True) as file:
            file.write((self.store.cell_folder(cell) / name).read_bytes())


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write plain arrays by name, compressed, in one step."""
    with replace_file(path, binary=True) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]
