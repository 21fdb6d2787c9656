"""Writing: beside the target, flushed, then renamed, so that a reader never sees half a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROOM_BYTES = 1 << 20
"""What a folder must have room for before something long begins: most profiles are smaller."""


class NotWrittenError(FileError):
    """A file or folder could not be written: what comes next to the same place will not be."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, replacing it in one step; parents are made.

    Raises:
        FileError: The folder cannot be written to, or the disk is full; ``path`` is as before.
    """
    write_together({path: data})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files beside their targets, then rename them one by one, in the order given.

    A process killed between two renames leaves some targets new and the others old: the last one
    must tell whether the others belong to it, by their digests. Parents are made.

    Raises:
        FileError: A folder cannot be written to, or the disk is full; if that shows before the
            first rename, as it does with a full disk, all targets are as before.
    """
    with contextlib.ExitStack() as stack:
        staged = [(stack.enter_context(_staged(path, contents[path])), path) for path in contents]
        for temporary, path in staged:
            try:
                temporary.replace(path)
            except OSError as error:
                raise not_written(path, error) from error


@contextlib.contextmanager
def _staged(path: Path, data: bytes) -> Iterator[Path]:
    """Give a file beside ``path`` that holds ``data``; it is removed unless it was renamed."""
    temporary = None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
        except OSError as error:
            raise not_written(path, error) from error
        yield temporary
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def require_writable(folder: Path) -> None:
    """Try, before something long begins, whether its result can be kept in ``folder``.

    A file is written there and removed again, and so are the folders that had to be made for it.

    Raises:
        NotWrittenError: The folder cannot be written to, is a file, or has no room left.
    """
    made: list[Path] = []
    try:
        try:
            _make(folder, made)
            with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
                file.write(bytes(_ROOM_BYTES))
                os.fsync(file.fileno())
        except OSError as error:
            raise not_written(folder, error) from error
    finally:
        for one in reversed(made):
            with contextlib.suppress(OSError):  # somebody has put something there meanwhile
                one.rmdir()


def _make(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, and put down which of them were not there."""
    try:
        folder.mkdir()
    except FileNotFoundError:
        _make(folder.parent, made)
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    made.append(folder)


def require_word(part: str) -> None:
    """Refuse what cannot be part of a file's name everywhere.

    Raises:
        UsageError: It holds anything but letters, digits, ``.``, ``-`` and ``_``, or nothing.
    """
    if not re.fullmatch(r"[\w.-]+", part):
        raise UsageError(
            f"{part!r} cannot be part of a file name",
            fix="use letters, digits, '.', '-' and '_' only",
        )


def not_read(error: OSError) -> FileError:
    """Return the error for a path that the system refuses; ``error`` has its name."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return FileError(
            f"{error.filename} cannot be used: there is a file where a folder has to be",
            fix="choose another path",
        )
    return FileError(
        f"{error.filename} cannot be used: {error.strerror or error}",
        fix="look at the path: ls -ld shows its rights, and a name has 255 bytes at most",
    )


def not_written(path: Path, error: OSError) -> NotWrittenError:
    """Return the error for a file or folder that could not be written."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return NotWrittenError(
            f"{path} cannot be written: there is a file where a folder has to be",
            fix="choose another place with -o",
        )
    return NotWrittenError(
        f"{path} cannot be written: {error.strerror or error}",
        fix="free space there, make the folder writable, or choose another with -o",
    )


def sha256(path: Path) -> str:
    """Return a file's SHA-256, read in blocks."""
    digest = hashlib.sha256()  # hashlib.file_digest needs Python 3.11
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
