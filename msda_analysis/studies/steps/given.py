"""Models from files of elsewhere, kept in the folder so that what was measured of them can be repeated."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from tqdm import tqdm

from msda_analysis.files import file_digest, replace_path
from msda_analysis.models import (
    VAE,
    load_classifier,
    load_vae,
    name_of,
    named_files,
    network_settings,
    read_metadata,
    save_checkpoint,
)
from msda_analysis.models.state import existing_file
from msda_analysis.models.zoo import network_name
from msda_analysis.robustness.arguments import check_classes
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import MODEL_FILE, Context, Rows
from msda_analysis.studies.plan import choose_reference
from msda_analysis.studies.plans import CheckpointPlan, InformationPlan, RobustnessPlan
from msda_analysis.studies.step import Step, versioned

FORMAT = 1


class _File(NamedTuple):
    """A file of a plan: the argument that names it, and the name and seed of its results where the user says them."""

    argument: str
    path: Path
    name: str = ""
    seed: int | None = None


def plan(given: CheckpointPlan) -> list[Cell]:
    """A cell for each file: augmentation, seed and settings of its training, as its metadata tells them, or as it is given.

    Raises:
        ValueError, FileNotFoundError: a file that is missing, two of one name and training seed, or an unknown reference.
    """
    cells, seen = {}, dict[tuple[str, int | None], Path]()
    for file in _files(given):
        cell = _cell(given, file)
        other = seen.setdefault((cell.augmentation, cell.seed), file.path)
        if cell.augmentation and cell.name not in cells and other != file.path:
            raise ValueError(
                f"{file.argument}: expected each name once, got {cell.augmentation!r} for {other} and {file.path}; files of "
                f"several training seeds of one name are given as {cell.augmentation}={other},{file.path}"
            )
        cells[cell.name] = cell
    compared_with(given, list(cells.values()))
    return list(cells.values())


def compared_with(given: CheckpointPlan, cells: Sequence[Cell]) -> str:
    """The name that all others are compared with."""
    return choose_reference(given.reference, [cell.augmentation for cell in cells if cell.augmentation])


def baseline_cell(given: InformationPlan) -> list[Cell]:
    """The VAE through which the paper's second figure goes, where there is one."""
    return [_cell(given, file) for file in _baseline(given)]


def _plan_vaes(given: InformationPlan) -> list[Cell]:
    return list({cell.name: cell for cell in (*plan(given), *baseline_cell(given))}.values())


def _files(given: CheckpointPlan) -> list[_File]:
    found = [_File("checkpoints", existing_file(path, "checkpoints")) for path in given.checkpoints]
    for text in given.weights:
        name, paths = named_files(text)
        found += [_File("weights", path, name, seed) for seed, path in enumerate(paths)]
    return found


def _baseline(given: CheckpointPlan) -> list[_File]:
    path = getattr(given, "baseline", None)
    return [] if path is None else [_File("baseline", existing_file(path, "baseline"))]


def _cell(given: CheckpointPlan, file: _File) -> Cell:
    kind = "given_vae" if isinstance(given, InformationPlan) else "given_classifier"
    digest = file_digest(file.path)
    metadata = _metadata(file.path, digest)
    code = network_settings(given.model) if given.model else {}
    if metadata is None:  # weights alone: what the user says of them decides as much as they do
        metadata = {"settings": _said(given, file), "seed": file.seed}
    settings = {"checkpoint": digest, "trained": metadata.get("settings", {})} | code | versioned(FORMAT)
    augmentation = file.name or metadata.get("augmentation", "")
    seed = cast(int, metadata.get("seed", file.seed))  # None where nothing says it
    return Cell(kind, augmentation, seed, settings, label=augmentation or file.path.stem)


def _said(given: CheckpointPlan, file: _File) -> dict[str, Any]:
    if not given.model:
        raise ValueError(
            f"model: {file.path} is no checkpoint of this package; if it holds weights alone, name their network, such as "
            "--model torchvision:resnet18 or --model my_nets:build"
        )
    said = {"model": given.model, "mean": list(given.mean), "std": list(given.std)}
    return said | ({"output_std": given.output_std} if isinstance(given, InformationPlan) else {})


@cache
def _metadata(path: Path, digest: str) -> dict[str, Any] | None:
    del digest  # a changed file is read again
    return read_metadata(path)


def _by_digest(given: CheckpointPlan) -> dict[str, _File]:
    return {file_digest(file.path): file for file in (*_baseline(given), *_files(given))}


def check(context: Context, cells: Sequence[Cell]) -> None:
    """Refuse models that cannot be measured on these images."""
    given, files, normalizations = context.plan, _by_digest(context.plan), {}
    for cell in cells:
        file = files[cell.settings["checkpoint"]]
        with _blamed(file.argument):
            model = _load(context, file)
        _check_network(model, file, given.model)
        if isinstance(model, VAE):
            normalizations[file.path] = _normalization(model, file.path)
        with _blamed("model", f"{file.path} does not fit these images: "):
            _try(context, model)
        if not cell.augmentation:
            tqdm.write(
                f"{file.path}: its metadata names no augmentation, so reports will not show it; name it, "
                f'--weights NAME={file.path}, or save_checkpoint(model, path, {{"augmentation": ..., "seed": ...}})',
                file=sys.stderr,
            )
    if given.mean and all(_metadata(file.path, digest) is not None for digest, file in files.items()):
        raise ValueError("mean, std: expected none, as these checkpoints say themselves how they normalize")
    if isinstance(given, InformationPlan) and given.baseline is not None:
        _check_units(normalizations, given.baseline)


def load_given(context: Context, cell: Cell) -> torch.nn.Module:
    """The model of a cell of this step, from the file that the user gave."""
    return _load(context, _by_digest(context.plan)[cell.settings["checkpoint"]])


def _load(context: Context, file: _File) -> torch.nn.Module:
    """The model in a file, for the plan's images, on its device."""
    given, channels = context.plan, context.test.images.shape[1]
    mean, std = (_by_channel(values, channels) for values in (given.mean, given.std))
    shared: dict[str, Any] = {"network": given.model or None, "in_channels": channels, "device": given.device}
    if isinstance(given, RobustnessPlan):
        classes = len(context.test.classes)
        return load_classifier(file.path, num_classes=classes, mean=mean or None, std=std or None, **shared)
    if not mean and _metadata(file.path, file_digest(file.path)) is None:
        raise ValueError(f"mean, std: expected those that {file.path} was trained with, as rates depend on them")
    return load_vae(file.path, mean=mean, std=std, output_std=given.output_std, **shared)


def _by_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One value stands for all channels."""
    if len(values) not in (0, 1, channels):
        raise ValueError(
            f"mean, std: expected one value, or one for each of the {channels} channels, got {len(values)}"
        )
    return values * channels if len(values) == 1 else values


@contextmanager
def _blamed(argument: str, opening: str = "") -> Iterator[None]:
    """Have errors of what a user gave, whatever code of theirs raised them, name the argument."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError) as error:
        text = (str(error) or type(error).__name__).replace("network: ", "model: ", 1)
        known = text.startswith(("model:", "mean", "std", "options:")) and not opening
        raise ValueError(text if known else f"{argument}: {opening}{text.removeprefix(f'{argument}: ')}") from error


def _check_network(model: torch.nn.Module, file: _File, asked: str) -> None:
    """Raise ValueError where a checkpoint is of another network than the one that is named for all files."""
    if asked and name_of(model) != network_name(asked):
        raise ValueError(f"model: expected the network of {file.path}, which is {name_of(model)}, got {asked!r}")


@torch.no_grad()
def _try(context: Context, model: torch.nn.Module) -> None:
    """Pass one image through a model."""
    one = context.test.take(1, name="test_size")
    if isinstance(model, VAE):
        images = one.normalize(one.images)
        rebuilt = model.decode(model.encode(images).loc)
        if rebuilt.shape != images.shape:
            raise ValueError(f"expected decode to give {tuple(images.shape)}, got {tuple(rebuilt.shape)}")
    else:
        check_classes(model, one.unit_images(), one.labels, len(context.test.classes))


def _normalization(model: VAE, path: Path) -> Any:
    if model.normalization is None:
        raise ValueError(
            f"{path}: does not say how the images that it was trained on were normalized (an older version wrote it), "
            "and rates depend on that; train it again"
        )
    return model.normalization


def _check_units(normalizations: dict[Path, Any], baseline: Path) -> None:
    for path, found in normalizations.items():
        if found != normalizations[baseline]:
            raise ValueError(
                f"baseline: expected a VAE trained on images normalized as those of {path}, by (mean, std) {found}; "
                f"got one trained with {normalizations[baseline]}"
            )


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    file = _by_digest(context.plan)[cell.settings["checkpoint"]]
    if _metadata(file.path, cell.settings["checkpoint"]) is None:
        save_checkpoint(_load(context, file), folder / MODEL_FILE, cell.describe())
        return []
    with replace_path(folder / MODEL_FILE) as part:
        shutil.copyfile(file.path, part)
    return []


STEPS = (
    Step("given_vae", InformationPlan, _plan_vaes, run, check=check),
    Step("given_classifier", RobustnessPlan, plan, run, check=check),
)
