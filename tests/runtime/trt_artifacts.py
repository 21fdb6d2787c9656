"""Artifacts of TensorRT, written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy.runtime import manifest
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path

# What a build on a workstation says of the board that is to build the engine.
PREPARED = {
    "portable": False,
    "library": "tensorrt",
    "library_version": None,
    "gpu": None,
    "compute_capability": "8.7",
    "device": "jetson-orin-nano",
    "tensorrt": "10.3.0",
}


def trt_artifact(
    folder: Path, *, source: bool = True, precision: str = "int8", **runs_on: Any
) -> tuple[str, manifest.Manifest]:
    """Write an artifact of TensorRT 10.3.0 on an Orin; return its folder and its manifest."""
    bound = {
        "portable": False,
        "library": "tensorrt",
        "library_version": "10.3.0",
        "gpu": "Orin",
        "compute_capability": "8.7",
    }
    content = {"model.engine": b"plan"} | ({manifest.SOURCE: b"onnx"} if source else {})
    made = write_artifact(
        folder / "trt-int8",
        backend="trt",
        precision=precision,
        content=content,
        runs_on=bound | runs_on,
    )
    return str(made), manifest.read(str(made))


def waiting_artifact(folder: Path, **changes: Any) -> tuple[str, manifest.Manifest]:
    """Write an artifact whose engine is yet to be built; return its folder and its manifest."""
    given = {
        "backend": "trt",
        "precision": "fp32",
        "engine": "model.engine",
        "content": {manifest.SOURCE: b"onnx"},
        "runs_on": PREPARED,
    }
    made = write_artifact(folder / "trt-waiting", **(given | changes))
    return str(made), manifest.read(str(made))
