"""Backends by name. A vendor's library is imported here, on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from edgedeploy import optional
from edgedeploy.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from edgedeploy.backends import openvino, ort, trt
    from edgedeploy.backends.base import Backend
    from edgedeploy.types import BuildSpec

    # mypy proves that each module is a Backend.
    _ort: Backend = ort
    _openvino: Backend = openvino
    _trt: Backend = trt

# Backend name (also its file and its pip extra) -> the packages that can drive it, best first.
_PACKAGES = {
    "ort": ("onnxruntime",),
    "openvino": ("openvino",),
    "trt": ("tensorrt", "tensorrt_rtx"),
}


def names() -> tuple[str, ...]:
    """Return every backend's name, installed or not."""
    return tuple(_PACKAGES)


def package(name: str) -> str | None:
    """Return the installed package that drives a backend, without importing it; None if absent.

    Raises:
        UnknownNameError: There is no such backend.
    """
    if name not in _PACKAGES:
        raise UnknownNameError("backend", name, _PACKAGES)
    return next((p for p in _PACKAGES[name] if optional.is_installed(p)), None)


def get(name: str) -> Backend:
    """Return the backend called ``name``.

    Raises:
        UnknownNameError: There is no such backend.
        MissingDependencyError: Its package is absent or does not load.
    """
    with optional.needs(package(name) or _PACKAGES[name][0], extra=name):
        return cast("Backend", importlib.import_module(f"edgedeploy.backends.{name}"))


def for_spec(spec: BuildSpec) -> Backend:
    """Return what builds ``spec``: a backend of this machine, or a board's.

    Raises:
        UnknownNameError: There is no such backend.
        MissingDependencyError: Its package is absent or does not load.
        UsageError: A board is named for another backend than trt.
        UnsupportedError: The board's TensorRT is too old.
    """
    if spec.target is None:
        return get(spec.backend)
    if spec.backend != "trt":
        raise UsageError(
            f"a board was named, {spec.target.device}, for backend {spec.backend!r}: what that "
            "builds runs on any machine",
            fix="leave --device out, or pass --backend trt",
        )
    from edgedeploy.backends.board import Board

    return Board(spec.target)
