"""ONNX Runtime on the CPU."""

import json
import os
import shutil
import tempfile
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import onnxruntime

from .errors import ArtifactError, UnsupportedError, UsageError
from .manifest import Manifest
from .session import LayerTime, LayerTimes, Session

# Between two Q/DQ pairs it would give float weights integers of its own, one scale for all
# channels: layers that a calibration left in float lose more that way than the others.
KEEP_FLOATS = ("optimization.disable_specified_optimizers", "WeightBiasQuantization")


_UNTIMED = 5  # calls before the timed ones: the first allocate memory
_KERNEL = "_kernel_time"


def version() -> str:
    """Return the version of ONNX Runtime."""
    return str(onnxruntime.__version__)


def load(folder: str, manifest: Manifest, threads: int, device: Optional[str] = None) -> Session:
    """Open an artifact's ``model.onnx``; see `edgedeploy.runtime.session`.

    Raises:
        UnsupportedError: Another device than the CPU is asked for.
        ArtifactError: ONNX Runtime refuses the model.
    """
    if device is not None and device.upper() != "CPU":
        raise UnsupportedError(
            f"device {device!r} was asked for, backend 'ort' runs on the CPU only",
            fix="leave device out, or load an openvino or trt artifact",
        )
    path = os.path.join(folder, manifest.engine)
    try:
        session = onnxruntime.InferenceSession(
            path, _options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the vendor raises a dozen unrelated types
        raise ArtifactError(
            f"ONNX Runtime {version()} refuses {path}: {_first_line(error)}",
            fix="build it here: edgedeploy build {}.onnx --backend ort".format(manifest.model),
        ) from error
    return OrtSession(session, manifest, threads, path)


class OrtSession(Session):
    """A loaded ONNX model."""

    def __init__(self, session: Any, manifest: Manifest, threads: int, path: str) -> None:
        self._session = session
        self._path = path
        self._threads = threads
        self._input = manifest.input.name
        self._outputs = [manifest.output.name]
        self.described = {
            "library": f"onnxruntime {version()}",
            "device": "CPU",
            "threads": threads,
        }

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Infer once; ONNX Runtime makes a new array per call, so the caller owns it."""
        try:
            output: np.ndarray = self._session.run(self._outputs, {self._input: batch})[0]
        except Exception as error:  # the vendor raises a dozen unrelated types
            raise _failed(batch, error) from error
        return output

    def bind(self, batch: np.ndarray) -> Callable[[], None]:
        """Return ``run_with_iobinding`` on fixed input and output memory.

        It is 4 µs cheaper than ``run``, which allocates an output and looks names up.
        """
        output = self.run(batch)
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, batch)
        binding.bind_output(
            self._outputs[0], "cpu", 0, output.dtype, output.shape, output.ctypes.data
        )
        run = self._session.run_with_iobinding

        def call(_keep: np.ndarray = output) -> None:  # the binding has a bare pointer to it
            run(binding)

        return call

    def layer_times(self, batch: np.ndarray, runs: int) -> LayerTimes:
        """Read the trace of a second session; it is written to a folder of its own, and deleted.

        The trace counts in whole microseconds.
        """
        options = _options(self._threads)
        options.enable_profiling = True
        folder = tempfile.mkdtemp(prefix="edgedeploy-")
        try:
            options.profile_file_prefix = os.path.join(folder, "layers")
            session = onnxruntime.InferenceSession(
                self._path, options, providers=["CPUExecutionProvider"]
            )
            try:
                for _ in range(_UNTIMED + runs):
                    session.run(self._outputs, {self._input: batch})
            finally:
                trace = session.end_profiling()
            with open(trace, encoding="utf-8") as file:
                events = json.load(file)
        except (OSError, ValueError) as error:
            return LayerTimes(None, f"ONNX Runtime's trace cannot be read: {error}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        layers = _layers(events, _UNTIMED)
        if not layers:
            return LayerTimes(None, f"ONNX Runtime {version()} wrote no kernel to its trace")
        return LayerTimes(layers)

    def close(self) -> None:
        """Drop the session, which frees its weights and threads."""
        self._session = None


def _layers(events: List[Dict[str, Any]], untimed: int) -> List[LayerTime]:
    """Return the mean of every kernel of a trace, without its first ``untimed`` calls."""
    kernels: Dict[Tuple[str, str, str], List[float]] = {}
    for event in events:
        name = str(event.get("name"))
        if event.get("cat") != "Node" or not name.endswith(_KERNEL):
            continue
        about = event["args"]
        key = (name[: -len(_KERNEL)], str(about.get("op_name")), str(about.get("node_index")))
        kernels.setdefault(key, []).append(event["dur"] / 1e3)
    return [
        LayerTime(name, kind, sum(times[untimed:]) / len(times[untimed:]))
        for (name, kind, _), times in kernels.items()
    ]


def _options(threads: int) -> Any:
    """Few surprises on a machine that does other work as well.

    Threads do not spin while they wait: beside one other busy process, spinning made MobileNetV1
    0.25 on 2 cores take 6.3 ms at p90 instead of 2.5 ms. One inference is one chain of
    operators, so nothing is gained by running operators in parallel.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(*KEEP_FLOATS)
    options.log_severity_level = 4  # fatal: what goes wrong is raised as well
    return options


def _failed(batch: np.ndarray, error: Exception) -> UsageError:
    return UsageError(
        f"ONNX Runtime cannot infer a batch of shape {batch.shape}: {_first_line(error)}",
        fix="pass the shape that the model was trained on; see rt.info['input']",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
