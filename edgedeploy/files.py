"""Writing: beside the target, flushed, then renamed, so that a reader never sees half a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from edgedeploy.errors import FileError


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, replacing it in one step; parents are made.

    Raises:
        FileError: The folder cannot be written to, or the disk is full; ``path`` is as before.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def not_written(path: Path, error: OSError) -> FileError:
    """Return the error for a file or folder that could not be written."""
    return FileError(
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
