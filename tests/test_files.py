from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

import pytest

from edgedeploy import files
from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path


def test_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.json"
    files.write_atomically(target, b"one")
    files.write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert list(target.parent.iterdir()) == [target]


def test_full_disk_leaves_the_old_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FileError, match=r"a\.json cannot be written: No space left on device"):
        files.write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FileError, match="cannot be written: there is a file where a folder"):
        files.write_atomically(tmp_path / "a" / "b", b"")


def test_sha256_reads_in_blocks(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(data)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_several_files_are_all_ready_before_the_first_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(FileError, match="cannot be written: there is a file where a folder"):
        files.write_together({tmp_path / "a": b"new", tmp_path / "b" / "c": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    files.write_together({tmp_path / "a": b"1", tmp_path / "d" / "c": b"2"})
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "d" / "c").read_bytes()) == (b"1", b"2")


def test_a_folder_in_the_place_of_a_file_is_refused_and_nothing_else_is_left(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileError, match=r"a cannot be written: Is a directory"):
        files.write_atomically(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    files.require_writable(tmp_path / "there")
    files.require_writable(tmp_path / "new" / "deep")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "there"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a", "a cannot be written: there is a file"),
        ("a/b", "a/b cannot be written: there is a file"),
        ("x" * 300, "xx cannot be written: File name too long"),
    ],
)
def test_a_folder_that_cannot_be_written_is_told_before_it_is_needed(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(files.NotWrittenError, match=words):
        files.require_writable(tmp_path / name)


def test_a_full_disk_is_told_before_it_is_needed_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(files.NotWrittenError, match="new cannot be written: No space left"):
        files.require_writable(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
