"""Datasets by text: names, files, and functions of your own."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from msda_analysis.checks import check_choice
from msda_analysis.data.datasets import Dataset
from msda_analysis.data.folder import Resize
from msda_analysis.data.npz import npz_identity
from msda_analysis.source import own_identity
from msda_analysis.texts import Call, check_settings, find_own, parse_call

SPLITS = ("train", "test")

#: The files of this folder that load datasets. To add one, write its file, with a table LOADERS: name -> (split, root,
#: **settings) -> Dataset, or FILE_LOADERS: kind -> (rest, split, root, progress=) -> Dataset for "kind:rest"; and its line here.
FILES = (
    "builtin",
    "generated",
    "folder",
    "npz",
    "series",
)
_MODULES = [import_module(f"{__package__}.{file}") for file in FILES]
#: Datasets by name. A function of yours has the same form.
LOADERS: dict[str, Callable[..., Dataset]] = {
    name: load for module in _MODULES for name, load in getattr(module, "LOADERS", {}).items()
}
#: Datasets in files by kind.
FILE_LOADERS: dict[str, Callable[..., Dataset]] = {
    kind: load for module in _MODULES for kind, load in getattr(module, "FILE_LOADERS", {}).items()
}
#: Names that load_dataset knows, besides those of files and functions.
NAMES = tuple(LOADERS)


def load_dataset(
    name: str,
    split: str = "train",
    root: str | Path | None = None,
    *,
    train_size: int | None = None,
    seed: int = 0,
    progress: bool = True,
    resize: Resize | None = None,
) -> Dataset:
    """Load one split of a dataset.

    Args:
        name: "digits" (1,797 handwritten digits shipped with scikit-learn, resized to 32x32, or "digits(side=16)"; works offline),
            "cifar10", "cifar100", "fashion_mnist" (downloaded on first use); "waveforms" and "voxels", of one and three
            dimensions, made on the spot, with settings such as "waveforms(noise=0.4)"; "folder:PATH" with
            PATH/train/CLASS/* and PATH/test/CLASS/*; "npz:FILE" with arrays images and labels (see npz.load_npz);
            "aeon:OSULeaf" and other series of the package aeon; or "my_data:function", a function (split, root) -> Dataset
            in a module that is importable or in the current directory, perhaps with further keywords in parentheses.
        split: "train" or "test".
        root: where downloads and the cache of decoded folders live; ~/.cache/msda_analysis if None.
        train_size: keep a seeded, class-balanced part of the training split; the test split is always whole.
        seed: of that part.
        progress: show bars on what takes time; silent when not a terminal.
        resize: of a folder's pictures: the side of a square, or (height, width). A picture is scaled until it covers that,
            and cut around its center. None: all must have one size.

    Returns:
        Dataset; mean and std are those of the whole training split (CIFAR: the released constants). Files and torchvision
        give uint8 images.

    Raises:
        ValueError: unknown name or split, a bad train_size, a folder that is not laid out as above, or `resize` for
            something else than a folder.
        FileNotFoundError: the files are neither there nor can be downloaded; the message says where to put them.
        TypeError: your function returns no Dataset.
    """
    check_choice("split", split, SPLITS)
    place = Path(root).expanduser() if root is not None else Path.home() / ".cache" / "msda_analysis"
    kind, _, rest = name.partition(":")
    if resize is not None and kind != "folder":
        raise ValueError(
            f"resize: expected a dataset folder:PATH, whose pictures are resized as they are read; got {name!r}"
        )
    if kind in FILE_LOADERS and rest:
        options: dict[str, Any] = {} if resize is None else {"resize": resize}
        dataset = FILE_LOADERS[kind](rest, split, place, progress=progress, **options)
    else:
        dataset = _load_by_call(name, split, place)
    if train_size is not None and split == "train":
        return dataset.take(train_size, seed=seed)
    return dataset


def dataset_settings(name: str) -> dict[str, Any]:
    """What, beside its name, tells the data from others under the same name, as plain JSON values.

    A digest of the file for "npz:FILE", module, name and code for a function of yours; nothing for the others. For
    whatever must know the numbers of a dataset without loading it.

    Raises:
        ValueError: an unknown name, or a function whose source cannot be read.
        FileNotFoundError: no such file.
    """
    kind, _, rest = name.partition(":")
    if kind in FILE_LOADERS and rest:
        return npz_identity(rest) if kind == "npz" else {}
    call = _parse(name)
    return {"function": own_identity(_find_function(call, name))} if call.module else {}


def _parse(name: str) -> Call:
    call = parse_call(name.strip(), name, what="dataset")
    if call is None or (not call.module and call.name not in LOADERS):
        kinds = "folder:PATH, npz:FILE, aeon:NAME or a function of yours such as my_data:load"
        raise ValueError(f"dataset: expected one of {', '.join(LOADERS)}, {kinds}; got {name!r}")
    return call


def _load_by_call(name: str, split: str, root: Path) -> Dataset:
    call = _parse(name)
    function = _find_function(call, name) if call.module else LOADERS[call.name]
    check_settings(call.settings, function, name, what="dataset", given=2)
    dataset = _call(function, name, split, root, call.settings)
    if not call.module or split == "train":
        return replace(dataset, name=name)
    return _like(dataset, _call(function, name, "train", root, call.settings), name)


def _find_function(call: Call, name: str) -> Callable[..., Any]:
    function = find_own(call, name, what="dataset")
    try:
        signature(function).bind("train", Path())
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"dataset: expected {name!r} to be a function (split, root) -> Dataset, got {function!r} ({error})"
        ) from error
    return function


def _call(function: Callable[..., Any], name: str, split: str, root: Path, settings: dict[str, Any]) -> Dataset:
    dataset = function(split, root, **settings)
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"dataset: expected {name!r} to return a Dataset (see Dataset.from_arrays), got {type(dataset).__name__}"
        )
    return dataset if dataset.split == split else replace(dataset, split=split)


def _like(test: Dataset, train: Dataset, name: str) -> Dataset:
    """A function's test split with the mean, std and classes of its training split."""
    if test.classes != train.classes[: len(test.classes)]:
        raise ValueError(
            f"dataset: expected both splits of {name!r} to have the same classes, got {train.classes} and {test.classes}; give "
            "Dataset.from_arrays the classes"
        )
    return replace(test, name=name, classes=train.classes, mean=train.mean, std=train.std)
