"""Arrays from an .npz file: nothing in it is executed, and no more is unpacked than the machine can hold."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msda_analysis.data.arrays import to_labels
from msda_analysis.data.datasets import Dataset, balanced_indices
from msda_analysis.files import file_digest

_KEYS = ("images", "labels", "test_images", "test_labels", "classes")
_LARGEST = 16 << 30  # bytes, unpacked


def load_npz(path: str, split: str, root: Path, *, progress: bool = True) -> Dataset:
    """A dataset from the arrays images, labels, and perhaps test_images, test_labels and classes, of an .npz file.

    Without test arrays a class-balanced fifth of the images, the same every time, is the test split.

    Args:
        path: of the file; for the arrays see Dataset.from_arrays.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no .npz file of plain arrays, an array is missing, or more bytes unpacked than half the machine's
            memory or 16 GiB; and as Dataset.from_arrays.
    """
    del root, progress
    arrays = read_arrays(Path(path).expanduser(), _KEYS)
    missing = [key for key in ("images", "labels") if key not in arrays]
    if missing or ("test_images" in arrays) != ("test_labels" in arrays):
        wanted = "images and labels, and both or none of test_images and test_labels"
        raise ValueError(f"npz:{path}: expected arrays {wanted}; got {', '.join(sorted(arrays)) or 'none'}")
    classes = None if "classes" not in arrays else arrays["classes"].astype(str).tolist()
    if "test_images" not in arrays:
        arrays = _hold_out(arrays, classes)
    labels, names = to_labels(arrays["labels"], classes)
    name = f"npz:{Path(path).stem}"
    train = Dataset.from_arrays(arrays["images"], labels, names, name=name)
    if split == "train":
        return train
    test = arrays["test_images"], arrays["test_labels"]
    return Dataset.from_arrays(*test, names, name=name, split=split, mean=train.mean, std=train.std)


def npz_identity(path: str) -> dict[str, Any]:
    """A digest of the file, by which numbers from it are known.

    Raises:
        FileNotFoundError: no such file.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise FileNotFoundError(
            f"dataset npz:{path}: expected an .npz file with arrays images and labels, but there is none"
        )
    return {"file": file_digest(place, 8)}


def read_arrays(path: Path, keys: tuple[str, ...], largest: int | None = None) -> dict[str, np.ndarray]:
    """Those arrays of an .npz file that are there.

    Args:
        largest: bytes that they may have when unpacked, all together; None for half the machine's memory, 16 GiB at most.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an .npz file of plain arrays, or too many bytes.
    """
    limit = _limit() if largest is None else largest
    try:
        with zipfile.ZipFile(path) as archive:
            # zipfile reads no more of an entry than the directory says, and NumPy no more than a header says
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            promised = {
                key: max(sizes[f"{key}.npy"], _header_bytes(archive, key)) for key in keys if f"{key}.npy" in sizes
            }
        total = sum(promised.values())
        if total <= limit:
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key] for key in promised}
    except FileNotFoundError:
        raise
    except Exception as error:  # zip, header and pickle refusals have no common class
        raise ValueError(
            f"{path}: expected an .npz file of plain arrays, got {type(error).__name__}: {error}"
        ) from error
    raise ValueError(
        f"{path}: expected at most {limit:,} bytes of arrays, unpacked, got {total:,}; is the file what it should be? "
        "A function of yours can load larger data: my_data:function"
    )


def _header_bytes(archive: zipfile.ZipFile, key: str) -> int:
    """The bytes that an array's header makes NumPy ask for."""
    with archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return int(np.prod(shape, dtype=object)) * dtype.itemsize


def _limit() -> int:
    return min(_LARGEST, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


def _hold_out(arrays: dict[str, np.ndarray], classes: list[str] | None) -> dict[str, np.ndarray]:
    labels, names = to_labels(arrays["labels"], classes)
    if len(labels) != len(arrays["images"]):
        raise ValueError(f"labels: expected {len(arrays['images'])} labels, one per image, got {len(labels)}")
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    is_test[balanced_indices(labels, max(1, len(labels) // 5), len(names), seed=0)] = True
    chosen = is_test.numpy()
    parts = {"": ~chosen, "test_": chosen}
    return {start + key: arrays[key][part] for start, part in parts.items() for key in ("images", "labels")}


FILE_LOADERS = {"npz": load_npz}
