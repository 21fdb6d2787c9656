"""The software of a Jetson: what its JetPack brings, what is really installed, what follows."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import devices
from edgedeploy.errors import UnsupportedError
from edgedeploy.meters import packages, sysfs
from edgedeploy.runtime import trt_dialects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.devices import Here, JetPack
    from edgedeploy.runtime.trt_dialects import Dialect

_LIBRARIES = "usr/lib/aarch64-linux-gnu"
# Where the DLA compiler lies: JetPack 6 and later, JetPack 4 and 5
_DLA_COMPILERS = ("nvidia/libnvdla_compiler.so", "tegra/libnvdla_compiler.so")
_PYTHONS = ("usr/lib", "usr/local/lib")
_VERSION = re.compile(r"(\d{1,3}(?:\.\d{1,5}){1,4})", re.ASCII)
_LIBNVINFER = re.compile(r"libnvinfer\d{1,3}", re.ASCII)
_LIBRARY = re.compile(r"libnvinfer\.so\.(\d{1,3}(?:\.\d{1,5}){2,3})", re.ASCII)
_CUDART = re.compile(r"cuda-cudart-(\d{1,3})-(\d{1,3})", re.ASCII)
_PYTHON = re.compile(r"python3\.(\d{1,2})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What lies below a root, whatever the JetPack should bring.

    Attributes:
        tensorrt: Version of libnvinfer, None if there is none.
        source: The package or file that says so.
        empty: Libraries that are files without content: a container that was started without
            NVIDIA's runtime has them.
        cuda: Version of CUDA's runtime, None if its package is not there.
        pythons: Versions of the Pythons that have the module ``tensorrt``, e.g. ``("3.10",)``.
        dla_compiler: Whether libnvdla_compiler.so is there, with content.
    """

    tensorrt: str | None = None
    source: str | None = None
    empty: tuple[str, ...] = ()
    cuda: str | None = None
    pythons: tuple[str, ...] = ()
    dla_compiler: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """The software of a board.

    Attributes:
        release: What its JetPack brings by the table; None where the JetPack is not in it.
        installed: What is really there.
    """

    release: JetPack | None
    installed: Installed

    @property
    def tensorrt(self) -> str | None:
        """The version that counts: the installed one, else the one that the JetPack brings."""
        return self.installed.tensorrt or (self.release.tensorrt if self.release else None)

    @property
    def dialect(self) -> Dialect | None:
        """The generation of that version; None where it is unknown or too old for edgedeploy."""
        try:
            return trt_dialects.for_version(self.tensorrt) if self.tensorrt else None
        except UnsupportedError:
            return None

    @property
    def differs(self) -> bool:
        """Whether another TensorRT is installed than the JetPack brings."""
        if self.release is None or self.installed.tensorrt is None:
            return False
        brought = numbers(self.release.tensorrt)
        return numbers(self.installed.tensorrt)[: len(brought)] != brought

    @property
    def python(self) -> str | None:
        """The Python that can import TensorRT there; None where it is unknown."""
        if self.installed.pythons:
            return self.installed.pythons[-1]
        return self.release.python if self.release else None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python: its version, and whether it is a virtual environment that hides system packages."""

    version: tuple[int, int]
    isolated: bool


def look(here: Here, root: str = "/") -> Software:
    """Return the software of a board; it never fails.

    Args:
        here: The board.
        root: Where its file system starts.
    """
    return Software(release=devices.release_here(here.facts), installed=find_installed(root))


def find_installed(root: str = "/") -> Installed:
    """Return what is installed below a root; it never fails.

    Args:
        root: Where the file system starts.
    """
    known = packages.installed(root)
    tensorrt, source = _from_package(known) or _from_file(root) or (None, None)
    folder = Path(sysfs.join(root, _LIBRARIES))
    sizes = {name: _size(folder / name) for name in (*_names(root), *_DLA_COMPILERS)}
    return Installed(
        tensorrt=tensorrt,
        source=source,
        empty=tuple(name for name, size in sizes.items() if size == 0),
        cuda=_cuda(known),
        pythons=_pythons(root),
        dla_compiler=any(sizes[name] for name in _DLA_COMPILERS),
    )


def this_interpreter(prefix: str = sys.prefix) -> Interpreter:
    """Return the Python that runs this.

    Args:
        prefix: Where it is installed; a virtual environment has a file pyvenv.cfg there.
    """
    config = sysfs.read_text(sysfs.join(prefix, "pyvenv.cfg"))
    sees = re.search(r"^include-system-site-packages\s*=\s*true\s*$", config or "", re.I | re.M)
    return Interpreter(sys.version_info[:2], isolated=config is not None and sees is None)


def to_json(here: Here, software: Software) -> dict[str, Any]:
    """Return what a board's TensorRT is and runs, as JSON values."""
    dialect, installed = software.dialect, software.installed
    runs = here.device.precisions if software.tensorrt else ()
    return {
        "expected": software.release.tensorrt if software.release else None,
        "installed": installed.tensorrt,
        "source": installed.source,
        "cuda": installed.cuda,
        "pythons": list(installed.pythons),
        "generation": dialect.name if dialect else None,
        "precisions": [precision.value for precision in runs],
        "int8_mode": trt_dialects.int8_mode(dialect) if dialect and here.device.int8 else None,
    }


def numbers(version: str) -> tuple[int, ...]:
    """Return the parts of a version.

    Example:
        >>> numbers("10.3.0.30")
        (10, 3, 0, 30)
    """
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _from_package(known: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the newest libnvinfer that dpkg knows, and which package says so."""
    found = [
        (match[1], f"{name} {version}")
        for name, version in known.items()
        if _LIBNVINFER.fullmatch(name) and (match := _VERSION.match(version))
    ]
    return max(found, key=lambda row: numbers(row[0]), default=None)


def _from_file(root: str) -> tuple[str, str] | None:
    """Return the newest libnvinfer that lies there as a file, and which."""
    found = [
        (match[1], f"{_LIBRARIES}/{name}")
        for name in sysfs.list_folder(sysfs.join(root, _LIBRARIES))
        if (match := _LIBRARY.fullmatch(name))
    ]
    return max(found, key=lambda row: numbers(row[0]), default=None)


def _names(root: str) -> list[str]:
    names = sysfs.list_folder(sysfs.join(root, _LIBRARIES))
    return [name for name in names if _LIBRARY.fullmatch(name)]


def _size(path: Path) -> int | None:
    """Return the size of a file or folder in bytes; None if it is not there, or not to be seen."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def _cuda(known: Mapping[str, str]) -> str | None:
    versions = [(int(m[1]), int(m[2])) for name in known if (m := _CUDART.fullmatch(name))]
    return ".".join(str(part) for part in max(versions)) if versions else None


def _pythons(root: str) -> tuple[str, ...]:
    """Return the Pythons that have the module ``tensorrt``, oldest first."""
    minors = {
        int(match[1])
        for parent in _PYTHONS
        for name in sysfs.list_folder(sysfs.join(root, parent))
        if (match := _PYTHON.fullmatch(name))
        and any(
            _size(Path(sysfs.join(root, parent, name, inner, "tensorrt"))) is not None
            for inner in ("dist-packages", "site-packages")
        )
    }
    return tuple(f"3.{minor}" for minor in sorted(minors))
