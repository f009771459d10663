"""Image folders, decoded once in parallel into a cached uint8 tensor."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from msda_analysis.files import replace_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def load_folder(
    folder: Path, split: str, cache: Path, *, progress: bool = True
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Images, labels and class names of FOLDER/SPLIT/CLASS/*.

    The decoded tensor is kept under CACHE/folders, keyed by place, names, sizes and dates of all files, so that a changed
    folder is decoded again.

    Returns:
        uint8 [n, channel, height, width] with 1 channel if all files are grey and else 3, int64 [n], class names in
        alphabetical order (those of the train split, so that both splits agree).

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no class folders or no images, a file that cannot be decoded, or images of different sizes.
    """
    classes = _class_names(folder, "train")
    if split != "train":
        unknown = sorted(set(_class_names(folder, split)) - set(classes))
        if unknown:
            raise ValueError(f"{folder / split}: expected the classes of train, got also {', '.join(unknown)}")
    files = [(path, label) for label, name in enumerate(classes) for path in _image_files(folder / split / name)]
    if not files:
        raise ValueError(f"{folder / split}: expected images ({', '.join(SUFFIXES)}) in its class folders, found none")
    paths = [path for path, _ in files]
    labels = torch.tensor([label for _, label in files])
    cached = cache / "folders" / f"{_fingerprint(folder, paths)}.safetensors"
    images = _read_cache(cached, len(paths))
    if images is None:
        images = _decode_all(paths, progress)
        _write_cache(cached, images)
    return images, labels, classes


def _class_names(folder: Path, split: str) -> tuple[str, ...]:
    place = folder / split
    if not place.is_dir():
        raise FileNotFoundError(
            f"dataset folder:{folder}: expected a folder {place} (layout: PATH/train/CLASS/*, PATH/test/CLASS/*)"
        )
    names = tuple(sorted(entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if not names:
        raise ValueError(f"{place}: expected one folder per class, found none")
    return names


def _image_files(place: Path) -> list[Path]:
    if not place.is_dir():
        return []  # a class without test images
    return sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)


def _fingerprint(folder: Path, paths: list[Path]) -> str:
    # the place counts: unpacked archives give files of equal name, size and date in different folders
    digest = hashlib.blake2b(f"uint8 v1|{folder.resolve()}\n".encode(), digest_size=16)
    for path in paths:
        status = path.stat()
        digest.update(f"{path.relative_to(folder)}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _decode_all(paths: list[Path], progress: bool) -> Tensor:
    # PIL releases the interpreter lock while it decodes
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        decoded = pool.map(_decode, paths)
        bar = tqdm(decoded, "decoding images", len(paths), unit="file", disable=None if progress else True)
        arrays = list(bar)
    colour = any(array.ndim == 3 for array in arrays)
    size = arrays[0].shape[:2]
    batch = np.empty((len(paths), 3 if colour else 1, *size), np.uint8)
    for target, array, path in zip(batch, arrays, paths, strict=True):
        if array.shape[:2] != size:
            raise ValueError(
                f"{path}: expected all images to be {size[1]}x{size[0]} pixels like {paths[0].name}, "
                f"got {array.shape[1]}x{array.shape[0]}; resize the folder first"
            )
        target[:] = array.transpose(2, 0, 1) if array.ndim == 3 else array  # grey files fill all channels
    return torch.from_numpy(batch)


def _decode(path: Path) -> np.ndarray:
    """[height, width] of a grey file, else [height, width, 3]."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":  # PIL would cut off what lies above 255
                raise ValueError(f"expected 8 bits per channel, got PIL mode {image.mode}")
            return np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except Exception as error:  # PIL raises many kinds on damaged files, SyntaxError among them
        raise ValueError(f"{path}: cannot be decoded as an image ({error}); remove or replace the file") from error


def _read_cache(path: Path, n: int) -> Tensor | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        return None
    try:
        images = load_file(path)["images"]
    except (SafetensorError, OSError, KeyError):
        return None  # cut short or damaged: decode again
    return images if images.dtype == torch.uint8 and len(images) == n else None


def _write_cache(path: Path, images: Tensor) -> None:
    """Keep the decoded tensor; a cache that cannot be written only costs time, so it is no error."""
    from safetensors.torch import save_file

    with suppress(OSError), replace_path(path) as temporary:
        save_file({"images": images}, temporary)
