"""Writing files so that an interruption leaves the old one or the new one, never half of either."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replace_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` in one step at the end, and is gone after any error.

    Args:
        path: the file; its folder is made where it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
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
