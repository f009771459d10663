"""Writing files so that an interruption leaves the old one or the new one, never half of either; and what tells them apart."""

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}\.part|\.DS_Store|Thumbs\.db|desktop\.ini")


@contextmanager
def replace_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` in one step at the end, and is gone after any error.

    Args:
        path: the file; its folder is made where it is missing.

    Raises:
        OSError: the folder cannot be written, or the disk is full; then the message names file and sizes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if is_out_of_room(error) and error.filename in (None, str(temporary)):
            raise _name_file(error, path, temporary) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)  # still there only after a failure


@contextmanager
def replace_file(path: str | os.PathLike[str], *, binary: bool = False) -> Iterator[IO[Any]]:
    """A file open for writing in place of `path`, of UTF-8 text or of bytes; see replace_path.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    text: dict[str, Any] = {} if binary else {"encoding": "utf-8", "newline": ""}
    with replace_path(path) as temporary, open(temporary, "xb" if binary else "x", **text) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())  # the content is on the disk before the name points to it


def is_out_of_room(error: OSError) -> bool:
    """Whether a file did not fit, where another, smaller one may: the disk or a quota is full, or the file too large."""
    return error.errno in _NO_ROOM


def file_digest(path: Path, size: int = 16) -> str:
    """BLAKE2b of a file's content, in hexadecimal digits of `size` bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=size)).hexdigest()


def remove_leftovers(folder: Path, name: str = "", *, but: str = "") -> None:
    """Remove what killed calls of replace_path left in a folder, not those below it.

    Args:
        folder: in which no other process writes now.
        name: of the only file whose leftovers are meant; "" for all.
        but: name of a file whose leftovers stay.
    """
    for path in folder.glob(f".{name or '*'}.*.part") if folder.is_dir() else ():
        if is_leftover(path) and not (but and path.name.startswith(f".{but}.")):
            path.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether a file is nobody's content: what a killed replace_path left, or what a file browser puts everywhere."""
    return _LEFT_OVER.fullmatch(path.name) is not None


def _name_file(error: OSError, path: Path, temporary: Path) -> OSError:
    """The same error with the file that did not fit; the system's own names none when a write fails."""
    written = temporary.stat().st_size if temporary.exists() else 0
    free = shutil.disk_usage(path.parent).free
    return OSError(error.errno, f"{error.strerror} ({written} bytes written, {free} bytes free)", str(path))
