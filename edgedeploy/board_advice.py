"""What to do about the software of a Jetson: facts in, advice out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy import devices, jetpack
from edgedeploy.advice import Advice
from edgedeploy.runtime import trt_dialects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.devices import Here
    from edgedeploy.jetpack import Interpreter, Software

_OLDEST_PYTHON = (3, 10)
# libnvinfer of JetPack 4 (Xavier), 5 and 6 is linked against it; 10.13 and 10.16 of JetPack 7 are
# not, and its board support no longer has the file: nvidia-container-runtime#124, jetson-inference
# #1920, phanthymotus#154, wyoming-whisper-trt#1038, frigate#23582.
_DLA_COMPILER = "libnvdla_compiler.so"
_FREE_OF_DLA_COMPILER = (10, 13)
_WITHOUT_DLA_COMPILER = ("tegra210", "tegra186", "tegra264")
_FLASH = (
    "write the newest JetPack to the card, or set r32.7 in "
    "/etc/apt/sources.list.d/nvidia-l4t-apt-source.list and run: sudo apt-get update && "
    "sudo apt-get dist-upgrade"
)
_VENV = (
    "python3 -m venv --system-site-packages .venv, with JetPack's own python3; never pip install "
    "tensorrt on a Jetson: its wheels are for other machines"
)
# What to do on a Jetson where Python finds no module ``tensorrt``
NO_MODULE = f"sudo apt-get install python3-libnvinfer; in a virtual environment: {_VENV}"


def advise(
    here: Here,
    software: Software,
    interpreter: Interpreter | None = None,
    loaded: str | None = None,
) -> tuple[Advice, ...]:
    """Say what is wrong with the software of a board, or missing, or not possible with it.

    Args:
        here: The board; ``local`` gets no advice.
        software: Of that board.
        interpreter: The Python that edgedeploy runs in there; None where that is another machine.
        loaded: Version of the ``tensorrt`` that it imported, None if it imported none.
    """
    if not here.device.is_jetson:
        return ()
    return (
        *_release(here, software),
        *_library(here, software),
        *_module(software, loaded),
        *_dla(here, software),
        *_toolkit(here, software, interpreter),
    )


def _release(here: Here, software: Software) -> Iterator[Advice]:
    """Judge the JetPack and the generation of its TensorRT."""
    facts, device = here.facts, here.device
    if software.release is None and device.jetpacks:
        known = f"JetPack {facts.jetpack}" if facts.jetpack else "its JetPack is unknown"
        linux = f"Jetson Linux {facts.l4t}" if facts.l4t else "no Jetson Linux release is named"
        is_preview = (facts.jetpack or "").endswith(("DP", "EA"))
        yield Advice(
            "jetpack",
            f"{linux} ({known}) is not in the table for {device.title}",
            ("replace the preview by a release" if is_preview else "what is installed counts")
            + f"; the releases that are known: edgedeploy devices {device.name}",
        )
    if software.tensorrt is not None and software.dialect is None:
        oldest, newest = trt_dialects.DIALECTS[0].name, device.jetpacks[0]
        yield Advice(
            "tensorrt",
            f"TensorRT {software.tensorrt} is older than {oldest}, the oldest that edgedeploy "
            f"supports; JetPack {newest.jetpack} brings {newest.tensorrt}",
            _FLASH,
        )


def _library(here: Here, software: Software) -> Iterator[Advice]:
    """Judge whether the TensorRT that the JetPack brings is the one that is there."""
    release, installed = software.release, software.installed
    libraries = [name for name in installed.empty if "libnvinfer" in name]
    if libraries:
        yield Advice(
            "tensorrt",
            f"{libraries[0]} is an empty file: this is a container that NVIDIA's runtime did not "
            "start",
            "start it with: docker run --runtime nvidia",
        )
    elif installed.tensorrt is None and here.device.jetpacks:
        brings = f", JetPack {release.jetpack} brings {release.tensorrt}" if release else ""
        yield Advice(
            "tensorrt",
            f"no TensorRT is installed{brings}",
            "sudo apt-get update && sudo apt-get install nvidia-jetpack; in a container, one made "
            "for this JetPack",
        )
    elif software.differs and release is not None:
        yield Advice(
            "tensorrt",
            f"TensorRT {installed.tensorrt} is installed ({installed.source}), JetPack "
            f"{release.jetpack} brings {release.tensorrt}",
            f"an engine for this board needs {installed.tensorrt} then; if that is not on "
            "purpose, repair it: sudo apt-get install --reinstall nvidia-jetpack",
        )


def _module(software: Software, loaded: str | None) -> Iterator[Advice]:
    """Judge whether TensorRT's Python module is there, and can load."""
    installed = software.installed
    if installed.tensorrt is not None and not installed.pythons:
        yield Advice(
            "tensorrt",
            f"TensorRT {installed.tensorrt} is installed without its Python module",
            "sudo apt-get install python3-libnvinfer",
        )
    own = jetpack.numbers(installed.tensorrt or "")[:3]
    if loaded is not None and own and jetpack.numbers(loaded)[:3] != own:
        yield Advice(
            "tensorrt",
            f"Python imports TensorRT {loaded}, and {installed.tensorrt} is installed "
            f"({installed.source}): another package hides JetPack's",
            "pip uninstall tensorrt; never pip install tensorrt on a Jetson",
        )


def _dla(here: Here, software: Software) -> Iterator[Advice]:
    """Judge the accelerators, and the library that TensorRT needs even where they are not used."""
    installed, release, device = software.installed, software.release, here.device
    links = device.soc not in _WITHOUT_DLA_COMPILER and installed.tensorrt is not None
    if links and not installed.dla_compiler:
        old = jetpack.numbers(installed.tensorrt or "") < _FREE_OF_DLA_COMPILER
        if old:
            yield Advice(
                "tensorrt",
                f"{_DLA_COMPILER} is not there, or empty; TensorRT {installed.tensorrt} does not "
                "load without it, even for the GPU alone",
                _dla_compiler_fix(here),
            )
    cores = devices.dla_cores(device, here.facts.module)
    if cores and release is not None and not release.dla:
        older = next(row for row in device.jetpacks if row.dla)
        yield Advice(
            "dla",
            f"TensorRT {release.tensorrt} of JetPack {release.jetpack} does not drive the {cores} "
            f"DLA core{'s' * (cores > 1)} of this board",
            f"use the GPU, or JetPack {older.jetpack} with its TensorRT {older.tensorrt}",
        )


def _dla_compiler_fix(here: Here) -> str:
    major = (here.facts.jetpack or "").split(".")[0]
    if major == "7":
        return (
            "JetPack 7 has it no more: use the TensorRT of this JetPack, in a container too one "
            "that is made for it"
        )
    package = "nvidia-l4t-dla-compiler" if major == "6" else "nvidia-l4t-core"
    return (
        f"sudo apt-get install --reinstall {package}; a container takes it from the board, so "
        "install it there, and start the container with: docker run --runtime nvidia"
    )


def _toolkit(here: Here, software: Software, interpreter: Interpreter | None) -> Iterator[Advice]:
    """Judge whether edgedeploy itself can use that TensorRT: it needs Python 3.10 or newer."""
    python, device = software.python, here.device
    if python is None:
        return
    version = jetpack.numbers(python)
    if version < _OLDEST_PYTHON:
        release = software.release
        named = f" --jetpack {release.jetpack}" if release and release.dialect else ""
        yield Advice(
            "python",
            f"TensorRT's module is for Python {python} here, edgedeploy's commands need 3.10 or "
            "newer; its folders runtime, meters and worker need 3.6",
            f"on a PC: edgedeploy build --backend trt --device {device.name}{named}; copy the "
            "artifact, and edgedeploy/__init__.py, runtime, meters and worker as edgedeploy/…, to "
            "the board, and there build the engine: python3 -m edgedeploy.runtime.trt_rebuild "
            "ARTIFACT (docs/jetson.md)",
        )
    elif interpreter is not None and interpreter.version != version[:2]:
        own = ".".join(str(part) for part in interpreter.version)
        yield Advice(
            "python",
            f"this is Python {own}, TensorRT's module is for {python}: it cannot be imported",
            _VENV,
        )
    if interpreter is not None and interpreter.isolated:
        yield Advice(
            "python",
            "this virtual environment does not see the system's packages, where TensorRT lives",
            _VENV,
        )
