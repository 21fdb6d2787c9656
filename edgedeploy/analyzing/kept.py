"""What was measured of this device, kept in the user's cache folder until it is another device."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy import backends
from edgedeploy.errors import EdgeDeployWarning, FileError
from edgedeploy.files import NotWrittenError, write_atomically
from edgedeploy.meters import cpu as cpu_meter
from edgedeploy.miniatures import CPU_BACKENDS
from edgedeploy.runtime import cpu

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY_LENGTH = 16
_MOST = 1e30  # more is no measurement, nor can it be reckoned with
_SHOWN = 60  # characters of what is damaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a measurement of this device belongs to; on another one it means nothing.

    Attributes:
        cpu: The processor's name.
        threads: Of the CPU that are used.
        versions: Of NumPy and of each library of `CPU_BACKENDS` that is installed, by name.
    """

    cpu: str
    threads: int
    versions: Mapping[str, str]

    @property
    def words(self) -> str:
        """The device and its libraries in words."""
        versions = ", ".join(f"{name} {text}" for name, text in self.versions.items())
        return f"{self.cpu}, {count_of(self.threads, 'thread')}, {versions}"


def this_host(threads: int | None = None) -> Host:
    """Return what is measured here; the libraries are loaded for it.

    Args:
        threads: None: as many as there are physical cores, as `profile` takes.
    """
    versions = {"numpy": np.__version__}
    for name in CPU_BACKENDS:
        if backends.package(name) is not None:
            versions[name] = backends.get(name).version().split("-", 1)[0]
    return Host(
        cpu=cpu_meter.read().model, threads=threads or cpu.physical_cores(), versions=versions
    )


def default_folder() -> Path:
    """Return the user's cache folder: ``$XDG_CACHE_HOME`` or ``~/.cache``, then ours."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgedeploy"


def place(folder: Path, what: str, host: Host) -> Path:
    """Return the file of ``what`` was measured of ``host``."""
    text = json.dumps(asdict(host), sort_keys=True)
    return folder / what / f"{hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]}.json"


def write(path: Path, host: Host, document: Mapping[str, Any]) -> None:
    """Keep what was measured; where that cannot be done it holds all the same, for this once.

    Warns:
        EdgeDeployWarning: The folder cannot be written to.
    """
    whole = {"host": asdict(host), **document}
    try:
        write_atomically(path, (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())
    except NotWrittenError as error:
        warnings.warn(
            f"what was measured is not kept: {error.problem}; set XDG_CACHE_HOME to a folder "
            "that can be written to",
            EdgeDeployWarning,
            stacklevel=2,
        )


def read(path: Path, fix: str) -> dict[str, Any] | None:
    """Return what was kept; None where nothing was.

    Args:
        path: From `place`.
        fix: How to replace a damaged file.

    Raises:
        FileError: The file cannot be read, or is damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {error}", fix=fix) from error
    if not isinstance(document, dict):
        raise FileError(f"{path} is damaged: it holds no object", fix=fix)
    return document


def text(found: object) -> str:
    """Return what was read from a file if it is a text.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(found, str):
        raise TypeError(f"{_shown(found)} is no text")
    return found


def number(found: object) -> float:
    """Return what was read from a file if it is a number, 0 or more.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(found, (int, float)) or isinstance(found, bool) or not 0 <= found < _MOST:
        raise ValueError(f"{_shown(found)} is no number from 0 on")
    return found


def positive(found: object) -> float:
    """Return what was read from a file if it is a number above 0.

    Raises:
        ValueError: It is none.
    """
    if number(found) == 0:
        raise ValueError("0 is no speed, size or share")
    return number(found)


def _shown(found: object) -> str:
    return repr(found)[:_SHOWN]


def count_of(number: int, word: str) -> str:
    """Return a number of things in words.

    Example:
        >>> count_of(1, "thread"), count_of(2, "thread")
        ('1 thread', '2 threads')
    """
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
