"""Real time series: the data sets that the package aeon ships, read as files; the library itself is not imported."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from msda_analysis.data.datasets import Dataset

_HEADER = "@data"


def load_aeon(problem: str, split: str, root: Path, *, progress: bool = True) -> Dataset:
    """One of aeon's data sets of series of equal length, such as "OSULeaf": 442 leaf outlines of six species.

    Others: "JapaneseVowels", 640 utterances of nine speakers in 12 channels; "ItalyPowerDemand", 1,096 days. Each channel
    is scaled to [0, 1] by the range of both splits, since series have no natural one.

    Args:
        problem: name of a folder of aeon's data.

    Raises:
        FileNotFoundError: aeon is not installed, or has no such data.
        ValueError: series of unequal length or missing values, or a damaged file.
    """
    del root, progress
    (train, labels), (test, test_labels) = (read_series(_find(problem, part)) for part in ("TRAIN", "TEST"))
    classes = tuple(sorted({*labels, *test_labels}))
    both = np.concatenate([train, test])
    low, high = both.min((0, 2), keepdims=True), both.max((0, 2), keepdims=True)
    scaled, scaled_test = (((part - low) / np.where(high > low, high - low, 1)) for part in (train, test))
    name = f"aeon:{problem}"
    dataset = Dataset.from_arrays(scaled, labels, classes, name=name)
    if split == "train":
        return dataset
    return Dataset.from_arrays(
        scaled_test, test_labels, classes, name=name, split=split, mean=dataset.mean, std=dataset.std
    )


def read_series(path: Path) -> tuple[np.ndarray, list[str]]:
    """float64 [n, channel, length] and class names of a .ts file: one series a line, channels and class between colons.

    Raises:
        ValueError: a line of another form, series of unequal length, or missing values.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip().lower() == _HEADER]
    series, labels = [], []
    for number, line in enumerate(lines[starts[0] + 1 :] if starts else [], start=starts[0] + 2 if starts else 1):
        if not line.strip():
            continue
        *channels, label = line.split(":")
        try:
            values = np.array([[float(value) for value in channel.split(",")] for channel in channels])
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: expected channels of numbers, all of one length, then a class; {error}"
            ) from error
        if values.ndim != 2 or not np.isfinite(values).all() or (series and values.shape != series[0].shape):
            raise ValueError(
                f"{path}, line {number}: expected finite series of one shape, got {values.shape}"
                + (f" after {series[0].shape}" if series else "")
            )
        series.append(values)
        labels.append(label.strip())
    if not series:
        raise ValueError(f"{path}: expected series after a line {_HEADER}, found none")
    return np.stack(series), labels


def _find(problem: str, part: str) -> Path:
    spec = find_spec("aeon")
    place = Path(spec.origin).parent / "datasets" / "data" / problem if spec is not None and spec.origin else None
    if place is None:
        raise FileNotFoundError(
            f"dataset aeon:{problem}: expected the package aeon, whose files are read; `pip install --no-deps aeon` is enough"
        )
    paths = [
        place / f"{problem}{ending}_{part}.ts" for ending in ("_eq", "")
    ]  # series cut or filled to one length first
    found = [path for path in paths if path.is_file()]
    if not found:
        known = sorted(path.parent.name for path in place.parent.glob("*/*_TRAIN.ts"))
        raise FileNotFoundError(f"dataset aeon:{problem}: expected one of {', '.join(known)}, no file {paths[-1]}")
    return found[0]


FILE_LOADERS = {"aeon": load_aeon}
