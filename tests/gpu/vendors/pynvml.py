"""NVML for the acted-out GPU of `cuda`: who holds what of its memory, and nothing else."""
# ruff: noqa: N802 -- the vendor's names

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class NVMLError(Exception):
    """As the real one."""


def nvmlInit() -> None:
    if "ACTED_OUT_JETSON" in os.environ:
        raise NVMLError("NVML Shared Library Not Found")


def nvmlDeviceGetCount() -> int:
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    assert index == 0
    return index


def nvmlDeviceGetMemoryInfo(handle: int) -> Any:
    assert handle == 0
    return SimpleNamespace(used=_held_bytes())


def nvmlDeviceGetComputeRunningProcesses_v3(handle: int) -> list[Any]:
    assert handle == 0
    held = _held_bytes()
    return [SimpleNamespace(pid=os.getpid(), usedGpuMemory=held)] if held else []


def _held_bytes() -> int:
    """Return what this process holds: a context from the import of CUDA on, and what it took."""
    runtime: Any = sys.modules.get("cuda.bindings.runtime")
    return 0 if runtime is None else int(runtime.ALREADY + runtime.held_bytes)


def __getattr__(name: str) -> Callable[..., None]:
    if not name.startswith("nvml"):
        raise AttributeError(name)

    def refuse(*_: object) -> None:
        raise NVMLError("Not Supported")

    return refuse
