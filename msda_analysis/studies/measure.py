"""The `information` and `robustness` commands: measure checkpoints that are already there."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from msda_analysis.data import Dataset, load_dataset
from msda_analysis.environment import device_name
from msda_analysis.information import encode_once, encoder_bounds, measured_all, vae_information
from msda_analysis.models import VAE, Normalized, check_classes, load_checkpoint
from msda_analysis.results import Source, to_rows, write_table
from msda_analysis.robustness import evaluate, measured_outcome
from msda_analysis.studies.store import refuse_study

if TYPE_CHECKING:
    from msda_analysis.commands import Information, Robustness


def measure_information(command: "Information", device: str) -> Path:
    """Write results.csv with the paper's figures and the encoder bounds of each VAE checkpoint.

    Raises:
        ValueError: no file, or a file is no VAE checkpoint of ours, or its images have another shape.
        FileNotFoundError: a file is not there.
    """
    _check_checkpoints(command.checkpoints, "train_vae")
    refuse_study(command.out)
    dataset = _test_part(command.dataset, command.root, command.test_size, device)
    baseline = () if command.baseline is None else (_load_vae(command.baseline, device)[0],)
    rows = []
    for path in command.checkpoints:
        vae, metadata = _load_vae(path, device)
        images = _normalize_for(vae, dataset, path, *baseline)
        codes = encode_once(vae, images, *baseline, seed=command.seed)
        found = encoder_bounds(*codes.own, seed=command.seed) | vae_information(codes)
        numbers = measured_all(found)
        settings = {"measured": {"seed": command.seed}}
        source = _source("information", path, dataset.name, "vae", metadata, settings, device)
        rows += to_rows(source, numbers)
        _print(path, rows[-len(numbers) :])
    write_table(rows, command.out / "results.csv")
    return command.out / "results.csv"


def measure_robustness(command: "Robustness", device: str) -> Path:
    """Write results.csv with accuracy under attack, minimum norms and flags of each classifier checkpoint.

    Raises:
        ValueError: no file, a file that is no classifier checkpoint of ours, an unknown attack, or bad budgets.
        FileNotFoundError: a file is not there.
    """
    _check_checkpoints(command.checkpoints, "train_classifier")
    refuse_study(command.out)
    dataset = _test_part(command.dataset, command.root, command.test_size, device)
    rows = []
    for path in command.checkpoints:
        model, metadata = load_checkpoint(path, device)
        if not isinstance(model, Normalized):
            raise ValueError(
                f"{path}: expected a classifier that normalizes inside (models.Normalized), got another model"
            )
        check_classes(model, dataset.classes, str(path))
        outcome = evaluate(
            model, dataset.unit_images(), dataset.labels, command.attacks, command.epsilons, command.norm, command.seed,
            progress=True, mode=command.mode,
        )  # fmt: skip
        settings = {"attack": {"norm": command.norm, "mode": command.mode, "seed": command.seed}}
        source = _source("robustness", path, dataset.name, str(model.network.name), metadata, settings, device)
        found = to_rows(source, measured_outcome(outcome))
        _print(path, found)
        rows += found
    write_table(rows, command.out / "results.csv")
    return command.out / "results.csv"


def _test_part(name: str, root: Path | None, size: int | None, device: str) -> Dataset:
    dataset = load_dataset(name, "test", root)
    return (dataset if size is None else dataset.take(size, name="test_size")).to(device)


def _check_checkpoints(paths: tuple[Path, ...], kind: str) -> None:
    if not paths:
        raise ValueError(
            f"checkpoints: expected at least one file, such as STUDY/cells/{kind}-*/model.safetensors; got none"
        )


def _source(
    study: str, path: Path, dataset: str, model: str, metadata: dict[str, Any], settings: dict[str, Any], device: str
) -> Source:
    """Columns of a checkpoint's rows: augmentation, seed and settings of its training, as its metadata tells them."""
    augmentation, seed = metadata.get("augmentation", ""), metadata.get("seed")
    if not augmentation:
        print(
            f"{path}: its metadata names no augmentation, so reports will not show it; "
            'save_checkpoint(model, path, {"augmentation": ..., "seed": ...}) writes one',
            file=sys.stderr,
        )
    settings = {"trained": metadata.get("settings", {}), **settings}
    return Source(study, str(path), dataset, model, augmentation, seed, settings, device_name(device))


def _load_vae(path: Path, device: str) -> tuple[VAE, dict[str, Any]]:
    model, metadata = load_checkpoint(path, device)
    if not isinstance(model, VAE):
        raise ValueError(
            f"{path}: expected a VAE checkpoint, got {type(model).__name__}; use `msda-analysis robustness`"
        )
    return model, metadata


def _normalize_for(vae: VAE, dataset: Dataset, path: Path, *others: VAE) -> torch.Tensor:
    """The images in the units that the VAE was trained in, which other VAEs measured with it must share."""
    if vae.normalization is None:
        raise ValueError(
            f"{path}: does not say how the images that it was trained on were normalized (an older version wrote it), "
            "and rates depend on that; train it again"
        )
    for other in others:
        if other.normalization != vae.normalization:
            raise ValueError(
                f"baseline: expected a VAE trained on images normalized as those of {path}, by (mean, std) "
                f"{vae.normalization}; got one trained with {other.normalization}"
            )
    mean, std = vae.normalization
    return replace(dataset, mean=mean, std=std).normalize(dataset.images)


def _print(path: Path, rows: list[dict]) -> None:
    print(path)
    for row in rows:
        where = " ".join(str(row[name]) for name in ("attack", "epsilon", "label") if row[name] not in ("", None))
        interval = "" if row["low"] is None else f" [{row['low']:.4g}, {row['high']:.4g}]"
        print(f"  {row['metric']} {where}".ljust(44), f"{row['value']:.4g} {row['unit']}{interval} {row['note']}")
