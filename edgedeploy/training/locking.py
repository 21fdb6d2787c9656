"""One training a folder: two at once would write over each other's epochs."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError
from edgedeploy.files import not_written
from edgedeploy.optional import needs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other trainings out of ``folder``, which is made; a killed one's lock is free.

    Folders that were made for it are gone again where the block fails with nothing in them.

    Raises:
        FileError: Another training writes there, or the folder cannot be written to.
        MissingDependencyError: filelock is not installed.
    """
    with needs("filelock", extra="train"):
        from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FileError(
            f"another training writes to {folder} right now",
            fix="wait for it, or choose another folder with -o",
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = error if isinstance(error, OSError) else OSError(str(error))
        raise not_written(folder, reason) from error
    try:
        yield
    except BaseException:
        _remove_empty(made)
        raise
    finally:
        lock.release()


def _remove_empty(made: Sequence[Path]) -> None:
    """Remove folders, the innermost first, that hold nothing but the lock."""
    with suppress(OSError):
        if made and [path.name for path in made[0].iterdir()] == [LOCK]:
            (made[0] / LOCK).unlink()
            for folder in made:
                folder.rmdir()
