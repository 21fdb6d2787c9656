"""OpenVINO."""

import functools
import os
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import openvino as ov

from .errors import ArtifactError, UnsupportedError
from .manifest import Manifest
from .session import LayerTime, LayerTimes, Session

# Compiled shapes of batch that are kept: each holds its own memory.
_KEPT = 4
_UNTIMED = 5  # calls before the timed ones: the first allocate memory
# What to hint, and the capability it needs, by the precision asked; f32 for all others, and so
# for what stays float in int8.
_HINTS = {"fp16": ("f16", "FP16"), "bf16": ("bf16", "BF16")}


def version() -> str:
    """Return the version of OpenVINO."""
    return str(ov.get_version())


def load(folder: str, manifest: Manifest, threads: int, device: Optional[str] = None) -> Session:
    """Read an artifact's IR and compile it for a batch of 1; see `edgedeploy.runtime.session`.

    Raises:
        UnsupportedError: The device is not here, or does not compile it.
        ArtifactError: OpenVINO cannot read it.
    """
    core = _core()
    wanted = str(device or manifest.options.get("ov_device") or "CPU").upper()
    here = list(core.available_devices)
    families = {"AUTO"} | {name.split(".", 1)[0] for name in here}
    if _root(wanted).split(".", 1)[0] not in families:
        raise UnsupportedError(
            f"OpenVINO has no device {wanted!r} here, it has: {', '.join(here)}",
            fix="pass one of these as device, or install the driver of the one that is missing",
        )
    path = os.path.join(folder, manifest.engine)
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        raise ArtifactError(
            f"OpenVINO {version()} cannot read {path}: {_reason(error)}",
            fix=f"build it here: edgedeploy build {manifest.model}.onnx --backend openvino",
        ) from error
    try:
        return OpenVinoSession(
            core, model, wanted, _config(core, wanted, manifest.precision, threads)
        )
    except RuntimeError as error:
        raise UnsupportedError(
            f"OpenVINO's device {wanted!r} does not take the model: {_reason(error)}",
            fix="pass device='CPU', or repair the driver of that device",
        ) from error


@functools.lru_cache(maxsize=None)
def _core() -> Any:
    """Return the core of this process, which stays.

    The CPU plugin of a core gives the main thread an alternate stack for signals. Where two cores
    go in the order they came, the one of the first is left in place after its memory is gone, and
    the next signal, such as Ctrl-C, ends the process (OpenVINO 2026.4).
    """
    return ov.Core()


class OpenVinoSession(Session):
    """An IR, compiled once per shape of batch: static shapes run 1.4 times faster than dynamic."""

    def __init__(self, core: Any, model: Any, device: str, config: Dict[str, Any]) -> None:
        self._core = core
        self._model = model
        self._device = device
        self._config = config
        self._requests: Dict[Tuple[int, ...], Any] = {}
        self.described = {
            "library": f"openvino {version()}",
            "device": device,
            "device_name": str(core.get_property(_root(device), "FULL_DEVICE_NAME")),
            "threads": config.get("INFERENCE_NUM_THREADS"),
            "float_type": config["INFERENCE_PRECISION_HINT"],
        }
        shape = model.input().partial_shape
        shape[0] = 1
        if not shape.is_dynamic:
            compiled = self._request(tuple(shape.to_shape())).get_compiled_model()
            self.described["device"] = ",".join(compiled.get_property("EXECUTION_DEVICES"))
            if "INFERENCE_PRECISION_HINT" in compiled.get_property("SUPPORTED_PROPERTIES"):
                hint = compiled.get_property("INFERENCE_PRECISION_HINT")
                self.described["float_type"] = hint.to_string()

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Infer once; the result is a copy, for the next call overwrites the request's output."""
        request = self._request(batch.shape)
        call = _bind(request, batch)
        call()
        return np.array(request.get_output_tensor().data, dtype=np.float32)

    def bind(self, batch: np.ndarray) -> Callable[[], None]:
        """Return a request's ``infer`` with ``batch`` shared, not copied."""
        return _bind(self._request(batch.shape), batch)

    def layer_times(self, batch: np.ndarray, runs: int) -> LayerTimes:
        """Ask a second compiled model, with performance counters; they count in microseconds."""
        try:
            self._model.reshape(list(batch.shape))
            config = dict(self._config, PERF_COUNT=True)
            compiled = self._core.compile_model(self._model, self._device, config)
        except RuntimeError as error:
            return LayerTimes(None, f"OpenVINO's {self._device} has no counters: {_reason(error)}")
        request = compiled.create_infer_request()
        call = _bind(request, batch)
        for _ in range(_UNTIMED):
            call()
        found: Dict[Tuple[str, str], List[float]] = {}
        for _ in range(runs):
            call()
            for layer in request.get_profiling_info():
                if layer.status == ov.ProfilingInfo.Status.EXECUTED:
                    times = found.setdefault((layer.node_name, layer.node_type), [])
                    times.append(layer.real_time.total_seconds() * 1e3)
        if not found:
            return LayerTimes(None, f"OpenVINO's {self._device} counted no layer")
        return LayerTimes(
            [LayerTime(name, kind, sum(ms) / runs) for (name, kind), ms in found.items()]
        )

    def close(self) -> None:
        """Drop the compiled models."""
        self._requests.clear()
        self._model = self._core = None

    def _request(self, shape: Tuple[int, ...]) -> Any:
        """Return the request for a shape; compile it on first use, keep the last few."""
        request = self._requests.pop(shape, None)
        if request is not None:
            self._requests[shape] = request  # now the last one, and so the last to go
            return request
        try:
            self._model.reshape(list(shape))
            compiled = self._core.compile_model(self._model, self._device, self._config)
        except RuntimeError as error:
            raise UnsupportedError(
                f"OpenVINO {version()} cannot compile for {self._device} and a batch of shape "
                f"{shape}: {_reason(error)}",
                fix="pass device='CPU', or the shape that the model was trained on",
            ) from error
        self._requests[shape] = request = compiled.create_infer_request()
        if len(self._requests) > _KEPT:
            del self._requests[next(iter(self._requests))]
        return request


def _bind(request: Any, batch: np.ndarray) -> Callable[[], None]:
    # OpenVINO shares writable memory only; it does not write to it
    tensor = ov.Tensor(batch, shared_memory=bool(batch.flags.writeable))
    request.set_input_tensor(tensor)
    infer = request.infer

    def call(_keep: Any = (batch, tensor)) -> None:
        infer()

    return call


def float_type(core: Any, device: str, precision: str) -> str:
    """Return the type to hint: what the device does not list becomes ``f32``."""
    hint, capability = _HINTS.get(precision, ("f32", "FP32"))
    listed = core.get_property(_root(device), "OPTIMIZATION_CAPABILITIES")
    return hint if capability in listed else "f32"


def _config(core: Any, device: str, precision: str, threads: int) -> Dict[str, Any]:
    """Set what decides numbers and latency; OpenVINO's own defaults differ by machine."""
    hint = float_type(core, device, precision)
    config: Dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    if device == "CPU":
        config.update({"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads})
    return config


def _root(device: str) -> str:
    """Return the device whose properties can be asked for: ``AUTO`` of ``AUTO:GPU,CPU``."""
    return device.split(":", 1)[0]


def _reason(error: Exception) -> str:
    """Return the line of OpenVINO's trace that says what is wrong, the last one."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return lines[-1] if lines else type(error).__name__
