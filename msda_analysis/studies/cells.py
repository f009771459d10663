"""What each kind of cell does: data -> training -> measurement -> rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msda_analysis import mask_stats, robustness
from msda_analysis.data import Dataset, load_dataset, sample_images
from msda_analysis.estimate import Estimate, wilson_interval
from msda_analysis.information.encoder_bounds import encoder_bounds
from msda_analysis.information.vae import encode_images, vae_information
from msda_analysis.masks import family_from_name, sample_masks
from msda_analysis.models import load_checkpoint, save_checkpoint
from msda_analysis.results import Source, make_row
from msda_analysis.rng import stream
from msda_analysis.studies.plan import Cell, StudyPlan
from msda_analysis.studies.store import Store
from msda_analysis.training import History, fit_classifier, fit_vae

Rows = list[dict[str, Any]]
_MODEL = "model.safetensors"
_N_PICTURES = 8


@dataclass
class Workshop:
    """What cells work with: the plan, the folder, and the dataset, loaded once and only if needed."""

    plan: StudyPlan
    store: Store
    progress: bool = True

    @cached_property
    def train(self) -> Dataset:
        spec = self.plan.data
        dataset = load_dataset(spec.name, "train", spec.root, train_size=spec.train_size, progress=self.progress)
        return dataset.to(self.plan.device)

    @cached_property
    def test(self) -> Dataset:
        spec = self.plan.data
        dataset = load_dataset(spec.name, "test", spec.root, progress=self.progress)
        dataset = dataset if spec.test_size is None else dataset.take(spec.test_size)
        return dataset.to(self.plan.device)

    def source(self, cell: Cell, model: str) -> Source:
        """What all rows of a cell share."""
        dataset = "" if cell.kind == "pictures" else self.plan.data.name
        return Source(
            self.plan.name, cell.name, dataset, model, cell.augmentation, cell.seed, cell.settings,
            device_name(self.plan.device),
        )  # fmt: skip

    def load_model(self, cell: Cell) -> torch.nn.Module:
        """The trained model of a finished training cell."""
        return load_checkpoint(self.store.cell_folder(cell) / _MODEL, self.plan.device)[0]


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write plain arrays by name, compressed."""
    np.savez_compressed(path, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def device_name(device: str) -> str:
    """The device as results name it: "cpu", or the GPU's product name."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def train_vae(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    family = family_from_name(cell.augmentation)
    vae, history = fit_vae(
        workshop.train, family, workshop.plan.vae,
        seed=cell.seed, device=workshop.plan.device, progress=workshop.progress,
    )  # fmt: skip
    save_checkpoint(vae, folder / _MODEL, {"cell": cell.name, "settings": cell.settings})
    return _history_rows(workshop.source(cell, "vae"), history)


def train_classifier(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    assert workshop.plan.classifier is not None
    family = family_from_name(cell.augmentation)
    classifier, history = fit_classifier(
        workshop.train, family, workshop.plan.classifier,
        seed=cell.seed, device=workshop.plan.device, progress=workshop.progress,
    )  # fmt: skip
    save_checkpoint(classifier, folder / _MODEL, {"cell": cell.name, "settings": cell.settings})
    return _history_rows(workshop.source(cell, workshop.plan.classifier.model), history)


def measure_vae(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """The paper's three figures on the test split, the encoder bounds beside them, and pictures of reconstructions."""
    vae, *others = [workshop.load_model(need) for need in cell.needs]
    images = workshop.test.normalize(workshop.test.images)
    found = vae_information(vae, images, *others, seed=cell.seed)
    loc, log_std = encode_images(vae, images)
    bounds = encoder_bounds(loc, log_std, seed=cell.seed)
    # "rate" is the same number in both: the paper's name is kept once
    found |= {name: estimate for name, estimate in bounds.items() if name != "rate"}
    _save_reconstructions(workshop, cell, vae, images[:_N_PICTURES], folder)
    return _rows(workshop.source(cell, "vae"), found)


def measure_classifier(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Clean accuracy on the whole test split, robust accuracy on the attacked part."""
    del folder
    assert workshop.plan.classifier is not None
    model, source = workshop.load_model(cell.needs[0]), workshop.source(cell, workshop.plan.classifier.model)
    test = workshop.test
    rows = [make_row(source, "accuracy", _clean_accuracy(model, test))]
    spec = workshop.plan.attack
    if spec is None:
        return rows
    part = test if spec.n_images is None or spec.n_images >= len(test) else test.take(spec.n_images)
    outcome = robustness.evaluate(
        model, part.unit_images(), part.labels, spec.attacks, spec.epsilons, spec.norm,
        seed=cell.seed, progress=workshop.progress,
    )  # fmt: skip
    for entry in outcome.table().to_dict("records"):
        estimate = Estimate(entry["value"], entry["unit"], entry["low"], entry["high"], entry["n"])
        rows.append(make_row(source, entry["metric"], estimate, attack=entry["attack"], epsilon=entry["epsilon"]))
    return rows


def describe_masks(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Statistics of the masks of one family at the dataset's image size."""
    del folder
    family = family_from_name(cell.augmentation)
    assert family is not None
    generator = stream(cell.seed, "described masks")
    masks = sample_masks(family, workshop.plan.n_masks, workshop.test.image_size, generator=generator).masks
    source = workshop.source(cell, "")
    return [make_row(source, metric, estimate, x=x) for metric, x, estimate in mask_stats.summarize(masks)]


def draw_pictures(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Masks and mixed images of every family, on sample pictures that foolbox ships; no numbers."""
    images, _ = sample_images("cifar10", 2 * _N_PICTURES)
    first, second = images[:_N_PICTURES].float() / 255, images[_N_PICTURES:].float() / 255
    masks, mixed = {}, {"image_a": first.numpy(), "image_b": second.numpy()}
    for name in cell.settings["augmentations"]:
        if "+" in name:
            continue  # batches of an Alternate look like those of its parts
        family = family_from_name(name)
        assert family is not None
        sampled = sample_masks(family, _N_PICTURES, (32, 32), generator=stream(cell.seed, "pictures")).masks
        masks[name] = sampled[:, 0].numpy()
        mixed[name] = torch.lerp(second, first, sampled).numpy()
    save_arrays(folder / "masks.npz", masks)
    save_arrays(folder / "mixed.npz", mixed)
    return []


RUNNERS: dict[str, Callable[[Workshop, Cell, Path], Rows]] = {
    "pictures": draw_pictures,
    "masks": describe_masks,
    "train_vae": train_vae,
    "train_classifier": train_classifier,
    "measure_vae": measure_vae,
    "measure_classifier": measure_classifier,
}


@torch.no_grad()
def _clean_accuracy(model: torch.nn.Module, dataset: Dataset) -> Estimate:
    parts = zip(dataset.unit_images().split(500), dataset.labels.split(500), strict=True)
    n_right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in parts)
    return Estimate(n_right / len(dataset), "accuracy", *wilson_interval(n_right, len(dataset)), n=len(dataset))


def _rows(source: Source, found: dict[str, Estimate]) -> Rows:
    return [make_row(source, metric, estimate) for metric, estimate in found.items()]


def _history_rows(source: Source, history: History) -> Rows:
    rows = []
    for epoch, entry in enumerate(history.epochs, start=1):
        for name, value in entry.items():
            metric, unit = ("epoch_seconds", "s") if name == "seconds" else (f"train_{name}", "nats")
            rows.append(make_row(source, metric, Estimate(value, unit), x=epoch))
    return rows


def _save_reconstructions(workshop: Workshop, cell: Cell, vae, images: torch.Tensor, folder: Path) -> None:
    test = workshop.test
    with torch.no_grad():
        decoded = vae.decode(vae.encode(images).loc)
    mean, std = (torch.tensor(v, device=decoded.device).view(-1, 1, 1) for v in (test.mean, test.std))
    # pictures only: what is out of range cannot be shown
    shown = (decoded * std + mean).clamp(0, 1)
    original = test.images[: len(images)].float() / 255
    save_arrays(
        folder / "reconstructions.npz", {"original": original.cpu().numpy(), cell.augmentation: shown.cpu().numpy()}
    )
