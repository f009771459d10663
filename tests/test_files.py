"""Files are replaced whole or not at all."""

import errno
import os

import pytest

from msda_analysis import files
from msda_analysis.files import is_leftover, replace_file, replace_path


@pytest.mark.parametrize("binary, content", [(False, "naïve\n"), (True, b"\xff\x00")], ids=["text", "bytes"])
def test_it_makes_folders_and_files_that_others_can_read(tmp_path, binary, content):
    path = tmp_path / "a" / "b" / "t"
    old_mask = os.umask(0o022)
    try:
        with replace_file(path, binary=binary) as file:
            assert not path.exists()
            file.write(content)
    finally:
        os.umask(old_mask)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert path.stat().st_mode & 0o777 == 0o644 and os.listdir(path.parent) == ["t"]


@pytest.mark.parametrize("error", [RuntimeError("midway"), KeyboardInterrupt()], ids=repr)
def test_a_write_that_stops_midway_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "t.txt"
    path.write_text("old")

    def write_half():
        with replace_file(path) as file:
            file.write("new" * 10000)
            file.flush()
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["t.txt"]


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.txt"
    path.write_text("old")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    # what the system says names no file
    words = rf"No space left on device \(3 bytes written, \d+ bytes free\): '{path}'"
    with pytest.raises(OSError, match=words) as failed, replace_file(path) as file:
        file.write("new")
    assert failed.value.errno == errno.ENOSPC
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["t.txt"]


def test_a_rename_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.txt"
    path.write_text("old")

    def fail(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="Read-only"), replace_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["t.txt"]


def test_what_a_kill_leaves_is_told_from_content(tmp_path):
    with replace_path(tmp_path / "t.txt") as temporary:
        assert is_leftover(temporary)
        temporary.touch()
    names = ("t.txt", "t.part", ".t.part", ".t.txt.0123456g.part", "DS_Store", ".git")
    assert not any(is_leftover(tmp_path / name) for name in names)
    assert is_leftover(tmp_path / ".DS_Store")
