"""Make one quantised model in a process of its own, and say what that took.

    python worker.py JOB.json       makes it, prints {"seconds", "peak_rss_bytes"} as JSON
    python worker.py --versions     prints the versions of what is installed here

It runs in whatever environment the quantiser lives in, so it imports nothing of edgedeploy except
for the job `edgedeploy` itself. Times leave the imports out.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGES = ("edgedeploy", "nncf", "numpy", "onnx", "onnxruntime", "openvino")


def main() -> None:
    """Do the job that the first argument names."""
    if sys.argv[1] == "--versions":
        print(json.dumps(_versions()))
        return
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(sys.stderr):  # NNCF draws its progress there
        work = _JOBS[job["kind"]](job)
        start_ns = time.perf_counter_ns()
        more = work() or {}
        seconds = (time.perf_counter_ns() - start_ns) / 1e9
    print(json.dumps({"seconds": seconds, "peak_rss_bytes": _peak_rss_bytes(), **more}))


def _ort(job: dict[str, Any]) -> Callable[[], None]:
    """onnxruntime.quantization, as its documentation says: prepare, then quantize_static."""
    import onnx
    from onnxruntime import quantization as tools
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            self._samples = _samples(job)

        def get_next(self) -> dict[str, Any] | None:
            return next(({job["input"]: sample} for sample in self._samples), None)

    def work() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            sized, ready = Path(scratch, "sized.onnx"), Path(scratch, "ready.onnx")
            onnx.save(_with_side(onnx.load(job["model"]), *job["side"]), sized)
            quant_pre_process(sized, ready, skip_symbolic_shape=True)
            tools.quantize_static(
                ready,
                Path(job["out"], "model.onnx"),
                Reader(),
                quant_format=tools.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=job["reduce_range"],
                activation_type=tools.QuantType[job["activations"]],
                weight_type=tools.QuantType.QInt8,
                calibrate_method=tools.CalibrationMethod[job["method"]],
                extra_options={"ActivationSymmetric": job["activations"] == "QInt8"},
            )

    return work


def _nncf(job: dict[str, Any]) -> Callable[[], None]:
    """NNCF, its statistics taken from every sample.

    The model is converted first, as NNCF's examples do: one that is only read keeps its biases
    behind shape arithmetic, and NNCF then finds none to correct.
    """
    import nncf  # type: ignore[import-not-found]  # lives in an environment of its own
    import openvino as ov

    advanced = None
    if job["overflow_fix"] is not None:
        advanced = nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix[job["overflow_fix"]]
        )

    def work() -> None:
        model = ov.convert_model(job["model"], input=[1, 3, *job["side"]])
        quantised = nncf.quantize(
            model,
            nncf.Dataset(list(_files(job)), _load),
            preset=None if job["preset"] is None else nncf.QuantizationPreset[job["preset"]],
            subset_size=len(list(_files(job))),
            fast_bias_correction=job["fast_bias_correction"],
            advanced_parameters=advanced,
        )
        ov.save_model(quantised, Path(job["out"], "model.xml"), compress_to_fp16=False)

    return work


def _edgedeploy(job: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """Ours: from pictures to a calibration, then to the artifacts of two backends.

    It decodes and resizes the pictures itself; the others are handed what comes of that.
    """
    from edgedeploy import pipeline
    from edgedeploy.calibration import measuring
    from edgedeploy.images import open_images
    from edgedeploy.model_file import ModelHints
    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import BuildSpec, Precision

    rule = Preprocessing(mean=tuple(job["mean"]), std=tuple(job["std"]))
    path, out = Path(job["model"]), Path(job["out"])
    specs = [BuildSpec(backend=name, precision=Precision.INT8) for name in ("ort", "openvino")]

    def work() -> dict[str, float]:
        start_ns = time.perf_counter_ns()
        images = open_images(Path(job["images"])).every(job["rule"])
        hints = ModelHints(preprocessing=rule)
        calib = pipeline.calibrate(
            path, images, hints=hints, method=measuring.DEFAULT_METHOD, out=out
        )[0]
        calibrated_ns = time.perf_counter_ns()
        list(pipeline.build_all([path], specs, hints=hints, calib=calib, out=out))
        return {
            "calibrate_s": (calibrated_ns - start_ns) / 1e9,
            "build_s": (time.perf_counter_ns() - calibrated_ns) / 1e9,
        }

    return work


_JOBS: dict[str, Callable[[dict[str, Any]], Callable[[], dict[str, float] | None]]] = {
    "ort": _ort,
    "nncf": _nncf,
    "edgedeploy": _edgedeploy,
}


def _with_side(proto: Any, height: int, width: int) -> Any:
    """Say the size of the image; shapes that were inferred without it go."""
    dimensions = proto.graph.input[0].type.tensor_type.shape.dim
    for dimension, size in zip(dimensions[2:], (height, width), strict=True):
        dimension.dim_value = size
    del proto.graph.value_info[:]
    return proto


def _files(job: dict[str, Any]) -> Iterator[Path]:
    yield from sorted(Path(job["samples"]).glob("*.npy"))


def _samples(job: dict[str, Any]) -> Iterator[Any]:
    yield from map(_load, _files(job))


def _load(path: Path) -> Any:
    import numpy as np

    return np.load(path)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _peak_rss_bytes() -> int:
    """VmHWM of this process; its ru_maxrss would begin with what the parent held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
