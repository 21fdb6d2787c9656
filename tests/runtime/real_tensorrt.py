"""NVIDIA's own Python bindings of several versions, asked what they have.

`make test` unpacks the wheels that `tensorrt_wheels.txt` names, each into a folder of its own:
they exclude each other. The full bindings get an empty libnvinfer (`stub_library`); the lean ones
have their own. Each is imported in a process of its own, by running this file.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.runtime import stub_library

if TYPE_CHECKING:
    from types import ModuleType

LISTED = {
    line.split()[0]: line.split()[1:]
    for line in Path(__file__)
    .with_name("tensorrt_wheels.txt")
    .read_text(encoding="utf-8")
    .splitlines()
}
LEAN = [name for name in LISTED if name.startswith("lean-")]
FULL = [name for name in LISTED if name[0].isdigit()]
FOLDER = Path(os.environ.get("EDGEDEPLOY_TENSORRT_WHEELS", Path(sys.prefix, "tensorrt")))


class Surface(NamedTuple):
    """What a library has.

    Attributes:
        names: By class, written ``Outer.Inner`` where it stands in another, the names it has.
        module: Names of the package itself.
        dialect: The generation that `trt_dialects.of` takes it for.
        typed: Flags that `trt_api.network_flags` gives for a strongly typed network.
        untyped: And for another.
        runtime: What `trt_api.make_runtime` answered; None where it was not asked.
        help: By ``Owner.method``, the lines of its help that are signatures.
    """

    names: dict[str, list[str]]
    module: list[str]
    dialect: str
    typed: int
    untyped: int
    runtime: str | None
    help: dict[str, list[str]]

    def has(self, name: str) -> bool:
        """Return whether there is ``Owner.name``."""
        owner, _, attribute = name.rpartition(".")
        return attribute in self.names.get(owner, ())


def unpacked(name: str) -> Path:
    """Return the folder of a wheel, or skip the test that wants it."""
    folder = FOLDER / name
    if not any(folder.glob("tensorrt*")):
        pytest.skip(
            f"{' '.join(LISTED[name])} is not unpacked in {folder}: make test could not download "
            f"it for Python {platform.python_version()}"
        )
    return folder


@functools.cache
def surface(name: str) -> Surface:
    """Import a version in a process of its own and ask it, once.

    Args:
        name: First word of a line of ``tensorrt_wheels.txt``, or ``rtx`` for TensorRT-RTX, which is
            a development dependency.
    """
    if name == "rtx":
        pytest.importorskip("tensorrt_rtx")
        return _ask("tensorrt_rtx", {})
    folder = str(unpacked(name))
    if name in LEAN:
        return _ask("tensorrt_lean_bindings", {"PYTHONPATH": folder})
    with tempfile.TemporaryDirectory() as stubs:
        stub_library.write(Path(stubs))
        return _ask("tensorrt_bindings", {"PYTHONPATH": folder, "LD_LIBRARY_PATH": stubs})


def _ask(package: str, variables: dict[str, str]) -> Surface:
    done = subprocess.run(
        [sys.executable, __file__, package],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    return Surface(**json.loads(done.stdout))


def _describe(trt: ModuleType) -> Surface:
    from edgedeploy.runtime import trt_api, trt_dialects

    full = hasattr(trt, "NetworkDefinitionCreationFlag")
    return Surface(
        names=_classes(trt),
        module=dir(trt),
        dialect=trt_dialects.of(trt).name,
        typed=trt_api.network_flags(trt, typed=True) if full else 0,
        untyped=trt_api.network_flags(trt, typed=False) if full else 0,
        runtime=None if full else _try_runtime(trt),
        help=_help(trt),
    )


def _help(trt: ModuleType) -> dict[str, list[str]]:
    """Return signatures as pybind11 writes them, those of overloads after a number."""
    found = {}
    for owner, kind in vars(trt).items():
        for name in dir(kind) if isinstance(kind, type) else ():
            lines = (getattr(getattr(kind, name), "__doc__", None) or "").splitlines()
            shown = [line for line in lines if re.match(rf"(\d+\. )?{name}\(self: ", line)]
            if shown:
                found[f"{owner}.{name}"] = shown
    return found


def _classes(owner: Any, prefix: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in vars(owner).items():
        if isinstance(value, type) and value.__module__.startswith("tensorrt"):
            found[prefix + name] = dir(value)
            found.update(_classes(value, f"{prefix}{name}."))
    return found


def _try_runtime(trt: ModuleType) -> str:
    from edgedeploy.errors import UnsupportedError
    from edgedeploy.runtime import trt_api

    try:
        trt_api.make_runtime(trt, trt_api.logger(trt))
    except UnsupportedError as error:
        return f"{error}"
    return "started"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_describe(importlib.import_module(sys.argv[1]))._asdict()))
