"""What each backend can do on this machine: it is loaded and asked, or shown a small graph."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedeploy import backends, devices, trial
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from edgedeploy.runtime.cuda_memory import Gpu

_RTX = "tensorrt_rtx"
_RTX_OLDEST = (7, 5)  # Turing
# Precision -> what `ort.running_layers` calls it
_RUNNING = {Precision.FP32: "float32", Precision.FP16: "float16", Precision.INT8: "int8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendState:
    """What a backend can do here.

    Attributes:
        version: Of its library, None if it does not load.
        library: The package that drives it, None if there is none.
        precisions: Those that really run here; empty if nothing does.
        can_build: Whether `edgedeploy build` works with it.
        can_run: Whether its artifacts run here.
        reason: Why one of the two is not so; None if both are.
    """

    version: str | None = None
    library: str | None = None
    precisions: tuple[Precision, ...] = ()
    can_build: bool = False
    can_run: bool = False
    reason: str | None = None


def of_ort() -> BackendState:
    """Load a convolution of each type and see in which type it is left.

    Raises:
        EdgeDeployError: ONNX Runtime is not here, or does not load them.
    """
    version = backends.get("ort").version()
    from edgedeploy.backends import ort

    running = []
    with tempfile.TemporaryDirectory() as folder:
        for precision, kind in _RUNNING.items():
            path = Path(folder, f"{precision.value}.onnx")
            trial.write_convolution(path, precision)
            if kind in [running for _, running in ort.running_layers(path)]:
                running.append(precision)
    return BackendState(
        version=version,
        library="onnxruntime",
        precisions=tuple(running),
        can_build=True,
        can_run=True,
    )


def of_openvino() -> BackendState:
    """Ask OpenVINO's devices which types they are built for.

    Raises:
        EdgeDeployError: OpenVINO is not here.
    """
    version = backends.get("openvino").version()
    from edgedeploy.backends import openvino

    names = openvino.capabilities()
    return BackendState(
        version=version,
        library="openvino",
        precisions=tuple(p for p in Precision if p.name in names),
        can_build=True,
        can_run=bool(names),
        reason=None if names else "OpenVINO finds no device here that works",
    )


def of_trt(gpu: Gpu | None, gpu_problem: str | None) -> BackendState:
    """Combine what the library builds with what the GPU runs."""
    backend = backends.get("trt")
    library = backends.package("trt")
    builds_anywhere = library == _RTX
    if gpu is None:
        return BackendState(
            version=backend.version(),
            library=library,
            can_build=builds_anywhere,
            reason=gpu_problem,
        )
    capability = tuple(int(part) for part in gpu.compute_capability.split("."))
    too_old = builds_anywhere and capability < _RTX_OLDEST
    runs = devices.gpu_precisions(gpu.compute_capability)
    return BackendState(
        version=backend.version(),
        library=library,
        precisions=() if too_old else tuple(p for p in runs if p in backend.precisions()),
        can_build=True,
        can_run=not too_old,
        reason=f"{gpu.name} has compute capability {gpu.compute_capability}, TensorRT-RTX needs 7.5"
        if too_old
        else None,
    )
