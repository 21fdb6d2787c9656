"""Does one job, read as JSON on stdin; its last line on stdout is what it found, or its error."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import pipeline
from edgedeploy.errors import EdgeDeployError
from edgedeploy.images import open_images
from edgedeploy.meters import board
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime import cuda_memory, trt, trt_api, trt_timing_cache
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import BuildSpec, Precision
from edgedeploy.worker import timing
from edgedeploy.worker.profiling import random_batch
from edgedeploy.worker.samples import encode

if TYPE_CHECKING:
    from collections.abc import Callable

# What an ONNX file takes that does not say it.
_RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
_MIN_RUNS = 64
_STAGE_RUNS = 200


def machine() -> dict[str, Any]:
    """Return what `results.Machine` holds.

    Raises:
        UnsupportedError: There is no NVIDIA GPU.
        MissingDependencyError: There is no TensorRT.
    """
    cuda = cuda_memory.open_gpu()
    library = trt_api.library()
    return {
        "gpu": cuda.gpu.name,
        "compute_capability": cuda.gpu.compute_capability,
        "library": trt_api.describe(library),
        "cuda": cuda.package,
        "board": board.detect().model,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def build(model: str, precision: str, calib: str | None, out: str) -> dict[str, Any]:
    """Build an artifact, unless it is there; its manifest has the seconds of its own build."""
    # or the seconds would depend on what was built before
    os.environ[trt_timing_cache.VARIABLE] = "off"
    path = Path(model)
    (built,) = pipeline.build_all(
        [path],
        [BuildSpec(backend="trt", precision=Precision(precision))],
        hints=_hints(path),
        calib=None if calib is None else Path(calib),
        out=Path(out),
    )
    if isinstance(built, pipeline.Failure):
        raise built.error
    known = built.manifest
    return {
        "folder": str(built.folder),
        "engine_bytes": known.size_bytes,
        "build_s": known.raw["built"]["seconds"],
        "int8_mode": known.raw["precision"].get("int8_mode"),
        "runs": known.runs,
    }


def latency(folder: str, *, graphs: bool, duration_s: float) -> dict[str, Any]:
    """Time bound calls of one image, as a profile does; then the stages of some, by CUDA events."""
    known = manifests.read(folder)
    batch = random_batch(known, None, 1, seed=0)
    before = cuda_memory.open_gpu().free_memory()
    session = trt.load(folder, known, 1, graphs=graphs)
    try:
        call = session.bind(batch)
        warmed = timing.warm_up(call, timing.WarmUp())
        taken = before - cuda_memory.open_gpu().free_memory()
        with timing.no_garbage_collection():
            samples = timing.time_calls(call, duration_s, _MIN_RUNS)
        replayed = dict(session.described["cuda_graph"])
        stages = session.stage_times(batch, _STAGE_RUNS)
    finally:
        session.close()
    return {
        "samples": encode(samples.ns),
        "warmed": warmed.settled,
        "device_bytes": taken,
        "no_graph": replayed["reason"] if graphs and not replayed["used"] else None,
        "stages_ms": stages,
    }


def agreement(folder: str, images: str) -> dict[str, Any]:
    """Compare the answers with those of the FP32 artifact beside it."""
    evaluations = pipeline.evaluate(
        [Path(folder)],
        open_images(Path(images)),
        class_offset="auto",
        hints=ModelHints(),
    )
    found = evaluations[0][1]
    return {
        "agreement": found.agreement,
        "agreement_reason": found.agreement_reason,
        "top1": found.top1,
        "pictures": found.count,
    }


def _hints(path: Path) -> ModelHints:
    from edgedeploy import model_file

    if model_file.read(path).preprocessing is not None:
        return ModelHints()
    return ModelHints(preprocessing=_RULE)


_JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "machine": machine,
    "build": build,
    "latency": latency,
    "agreement": agreement,
}


def main() -> int:
    """Do it; return the exit code."""
    told = json.load(sys.stdin)
    try:
        found = _JOBS[told.pop("do")](**told)
    except EdgeDeployError as error:
        about = {"problem": error.problem, "fix": error.fix, "exit_code": error.exit_code}
        found = {"error": about}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
