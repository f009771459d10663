"""Image folders, decoded once in parallel into a cached uint8 tensor."""

import hashlib
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from msda_analysis.checks import check_count
from msda_analysis.data.datasets import Dataset, channel_statistics
from msda_analysis.files import replace_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
#: Pictures that are not read. Passing over them in silence would train on what is left.
UNREAD_SUFFIXES = (
    ".apng", ".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dib", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif",
    ".icns", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpx", ".jxl", ".nef", ".orf", ".pbm", ".pcx", ".pfm", ".pnm",
    ".psd", ".qoi", ".raw", ".rw2", ".sgi", ".svg", ".svgz", ".tga", ".xbm", ".xcf", ".xpm",
)  # fmt: skip
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")  # PIL's names of what SUFFIXES stand for
_KEPT_UNUSED_S = 60 * 86_400  # 60 days


#: Side of a square, or (height, width), in pixels.
Resize = int | tuple[int, int]


def load_image_folder(
    path: str, split: str, root: Path, *, progress: bool = True, resize: Resize | None = None
) -> Dataset:
    """PATH/train/CLASS/* and PATH/test/CLASS/* as a dataset; see load_folder."""
    folder = Path(path).expanduser()
    images, labels, classes = load_folder(folder, split, root, progress=progress, resize=resize)
    whole = images if split == "train" else load_folder(folder, "train", root, progress=progress, resize=resize)[0]
    mean, std = channel_statistics(whole)
    return Dataset(f"folder:{folder.absolute().name}", split, images, labels, classes, mean, std)


def load_folder(
    folder: Path, split: str, cache: Path, *, progress: bool = True, resize: Resize | None = None
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Images, labels and class names of FOLDER/SPLIT/CLASS/*.

    The decoded tensor is kept under CACHE/folders, keyed by names and contents of all files, so that a changed folder
    is decoded again, whatever its dates say; a digest of the pixels beside them tells a damaged cache. A new one
    removes those that were not read for 60 days.

    Args:
        resize: pictures are scaled until they cover this size, keeping their proportions, and cut around their centers;
            None takes them as they are.

    Returns:
        uint8 [n, channel, height, width] with 1 channel if all files are grey and else 3, int64 [n], class names in
        alphabetical order (those of the train split, so that both splits agree). Pictures that EXIF says are turned or
        mirrored are set upright.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no class folders, a class folder without images, a picture of a kind that is not read, what is
            named like a picture and is no file, a file that cannot be decoded, transparency, or several sizes without `resize`.
    """
    size = None if resize is None else _checked_size(resize)
    classes = _class_names(folder, "train")
    if split != "train":
        unknown = sorted(set(_class_names(folder, split)) - set(classes))
        if unknown:
            raise ValueError(f"{folder / split}: expected the classes of train, got also {', '.join(unknown)}")
    paths, labels = _find_files(folder / split, classes)
    key = _fingerprint(folder, paths, progress, size)
    cached = cache / "folders" / f"{key}.safetensors"
    images = _read_cache(cached, len(paths))
    if images is None:
        images = _decode_all(paths, progress, size)
        if _fingerprint(folder, paths, progress, size) == key:  # nothing was changed meanwhile
            _write_cache(cached, images)
            _remove_unused(cached.parent)
    return images, labels, classes


def _remove_unused(caches: Path) -> None:
    """Remove caches that nothing has read for long: of folders that have changed since, or are gone."""
    for path in caches.glob("*.safetensors"):
        with suppress(OSError):  # as another process may remove it, too
            if time.time() - path.stat().st_mtime > _KEPT_UNUSED_S:
                path.unlink()


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


def _find_files(place: Path, classes: tuple[str, ...]) -> tuple[list[Path], Tensor]:
    """Paths and labels of all images, class after class."""
    # a class may have no folder among the test images, but an empty folder says that something was lost
    found = {label: _image_files(place / name) for label, name in enumerate(classes) if (place / name).is_dir()}
    empty = [classes[label] for label, files in found.items() if not files]
    if empty:
        raise ValueError(
            f"{place}: expected images ({', '.join(SUFFIXES)}) in its class folders, found none in "
            f"{', '.join(empty)}; put images directly in these folders, or remove them"
        )
    labels = [label for label, files in found.items() for _ in files]
    return [path for files in found.values() for path in files], torch.tensor(labels)


def _image_files(place: Path) -> list[Path]:
    entries = sorted(place.iterdir())
    for path in entries:
        if path.suffix.lower() in UNREAD_SUFFIXES:
            raise ValueError(f"{path}: expected images ({', '.join(SUFFIXES)}); convert it to .png, or move it away")
    found = [path for path in entries if path.suffix.lower() in SUFFIXES]
    for path in found:
        if not path.is_file():  # opening a FIFO would wait for ever
            raise ValueError(
                f"{path}: expected an image file, got a folder, a broken link, a FIFO or a device; remove it"
            )
    return found


def _checked_size(resize: Resize) -> tuple[int, int]:
    """(height, width)."""
    size = (resize, resize) if isinstance(resize, int) else resize
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"resize: expected the side of a square or (height, width) in pixels, got {resize!r}")
    for length in size:
        check_count("resize", length)
    return size[0], size[1]


def _fingerprint(folder: Path, paths: list[Path], progress: bool, size: tuple[int, int] | None) -> str:
    digest = hashlib.blake2b(b"uint8 upright v2\n", digest_size=16)
    if size is not None:
        digest.update(f"cover {size[0]}x{size[1]}\n".encode())
    for path in _with_bar(paths, "reading images", progress):
        content = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}|{content}\n".encode())
    return digest.hexdigest()


def _with_bar(paths: list[Path], text: str, progress: bool) -> Iterable[Path]:
    return tqdm(paths, text, unit="file", delay=2, disable=None if progress else True)


def _decode_all(paths: list[Path], progress: bool, size: tuple[int, int] | None) -> Tensor:
    with warnings.catch_warnings():  # PIL warns of many pixels, of which it is told only to refuse them
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        sizes = [_apply(path, lambda image: image.size) for path in _with_bar(paths, "reading sizes", progress)]
    if size is None:
        # turned pictures have width and height exchanged, and what EXIF says may come after the pixels
        _check_sizes(paths, sizes, [tuple(sorted(size)) for size in sizes])
    # PIL releases the interpreter lock while it decodes
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        decoded = pool.map(partial(_decode, size=size), paths)
        bar = tqdm(decoded, "decoding images", len(paths), unit="file", disable=None if progress else True)
        arrays = list(bar)
    sizes = [(array.shape[1], array.shape[0]) for array in arrays]
    _check_sizes(paths, sizes, sizes)
    colour = any(array.ndim == 3 for array in arrays)
    batch = np.empty((len(paths), 3 if colour else 1, *arrays[0].shape[:2]), np.uint8)
    for target, array in zip(batch, arrays, strict=True):
        target[:] = array.transpose(2, 0, 1) if array.ndim == 3 else array  # grey files fill all channels
    return torch.from_numpy(batch)


def _check_sizes(paths: list[Path], sizes: list[tuple[int, int]], compared: Sequence[tuple[int, ...]]) -> None:
    """Raise ValueError naming the first file that differs from most in what is compared; sizes are (width, height)."""
    common = Counter(compared).most_common(1)[0][0]
    like = compared.index(common)
    for path, size, value in zip(paths, sizes, compared, strict=True):
        if value != common:
            raise ValueError(
                f"{path}: expected all images to be {sizes[like][0]}x{sizes[like][1]} pixels like {paths[like].name}, "
                f"got {size[0]}x{size[1]}; resize the folder first, or as it is read (resize=, --resize)"
            )


def _apply(path: Path, read: Callable[[Image.Image], Any]) -> Any:
    """read(the opened picture), whose pixels are decoded only when they are asked for; every error names the file."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return read(image)
    except Exception as error:  # PIL raises many kinds on damaged files, SyntaxError among them
        raise ValueError(f"{path}: cannot be decoded as an image ({error}); remove or replace the file") from error


def _decode(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    """[height, width] of a grey file, else [height, width, 3]."""
    return _apply(path, partial(_read_pixels, size=size))


def _read_pixels(image: Image.Image, size: tuple[int, int] | None) -> np.ndarray:
    if image.mode[0] in "IF":  # PIL would cut off what lies above 255
        raise ValueError(f"expected 8 bits per channel, got PIL mode {image.mode}")
    # cameras add a preview as a second frame of a JPEG, which PIL then calls MPO
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise ValueError(f"expected one picture, got {image.n_frames} frames; keep one of them")  # type: ignore[attr-defined]
    ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        image = image.convert("RGBA")  # of palettes and transparent colors, too
        if image.getchannel("A").getextrema() != (255, 255):
            raise ValueError(
                "it has transparent pixels, and what lies behind them is not known; flatten it onto a background, for "
                "example with `magick in.png -background white -flatten out.png`"
            )
    image = image if image.mode == "L" else image.convert("RGB")
    if size is not None:
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _read_cache(path: Path, n: int) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            images, digest = file.get_tensor("images").clone(), file.get_tensor("digest").clone()
    except (SafetensorError, OSError):
        return None  # cut short or damaged: decode again
    is_whole = images.dtype == torch.uint8 and len(images) == n and torch.equal(digest, _digest(images))
    if is_whole:
        with suppress(OSError):
            os.utime(path)  # read now; see _remove_unused
    return images if is_whole else None


def _write_cache(path: Path, images: Tensor) -> None:
    """Keep the decoded tensor; a cache that cannot be written only costs time, so it is no error."""
    from safetensors.torch import save_file

    with suppress(OSError), replace_path(path) as temporary:
        save_file({"images": images, "digest": _digest(images)}, temporary)


def _digest(images: Tensor) -> Tensor:
    digest = hashlib.blake2b(f"{tuple(images.shape)}\n".encode(), digest_size=16)
    digest.update(images.numpy().ravel().data)
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)


FILE_LOADERS = {"folder": load_image_folder}
