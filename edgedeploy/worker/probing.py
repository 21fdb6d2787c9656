"""The probe job: which Python, which board, which libraries."""

import importlib
from typing import Any, Dict, Optional

from ..meters import board
from ..runtime import cpu, cuda_memory, trt_api
from ..runtime.errors import MissingDependencyError
from . import conditions
from .jobs import ProbeJob

_MODULES = {"onnxruntime": "ort", "openvino": "openvino"}


def probe(job: ProbeJob) -> Dict[str, Any]:
    """Return the versions and the board, as JSON values.

    Args:
        job: Says which libraries are loaded, to ask them for their versions.

    Returns:
        ``environment`` and ``board`` as a profile has them; ``cores``, the physical cores that this
        process may use; ``libraries``, by package its name and version, None where it does not
        load; ``gpu``, the name of the GPU where one of TensorRT's packages was asked for, else
        None.
    """
    with_gpu = any(name in trt_api.PACKAGES for name in job.libraries)
    gpu = cuda_memory.find_gpu() if with_gpu else None
    return {
        "environment": conditions.environment(),
        "board": dict(board.detect()._asdict()),
        "cores": cpu.physical_cores(),
        "libraries": {name: _described(name) for name in job.libraries},
        "gpu": None if gpu is None else gpu.name,
    }


def _described(package: str) -> Optional[str]:
    """Return a library's name and version as its sessions do; None where it does not load."""
    if package not in (*_MODULES, *trt_api.PACKAGES):
        return None
    try:
        if package in trt_api.PACKAGES:
            return trt_api.describe(trt_api.library(package))
        module = importlib.import_module("..runtime." + _MODULES[package], __package__)
        return f"{package} {module.version()}"
    except (MissingDependencyError, ImportError, OSError):
        return None
