"""TensorRT, or TensorRT-RTX: whichever built the artifact."""

import contextlib
import os
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from . import cuda_memory, trt_api, trt_engine
from .cuda_memory import Cuda, Gpu
from .errors import ArtifactError, EdgeDeployError, UnsupportedError
from .manifest import Manifest
from .session import Session
from .trt_engine import BoundEngine

_FLOAT_BYTES = 4


def version() -> str:
    """Return the version of TensorRT, or of TensorRT-RTX.

    Raises:
        MissingDependencyError: Neither is installed.
    """
    return str(trt_api.library().__version__)


def load(folder: str, manifest: Manifest, threads: int, device: Optional[str] = None) -> Session:
    """Load an artifact's engine on GPU 0; see `edgedeploy.runtime.session`.

    Raises:
        MissingDependencyError: The library that built it is not installed.
        UnsupportedError: There is no GPU here, or a device was asked for by name.
        ArtifactError: It was built by another version or for another GPU, or is damaged.
    """
    del threads  # the GPU does the work
    if device is not None:
        raise UnsupportedError(
            f"device {device!r} was asked for, backend 'trt' runs on the first NVIDIA GPU",
            fix="leave device out; choose a GPU with the variable CUDA_VISIBLE_DEVICES",
        )
    built_by = str(manifest.runs_on.get("library"))
    trt = trt_api.library(built_by if trt_api.installed(built_by) else None)
    check_library(folder, manifest, trt.__name__, str(trt.__version__))
    return open_session(trt, cuda_memory.open_gpu(), folder, manifest)


def open_session(trt: Any, cuda: Cuda, folder: str, manifest: Manifest) -> "TrtSession":
    """Load an artifact's engine with this library on this GPU.

    Raises:
        UnsupportedError: TensorRT does not start, or has no memory for the engine.
        ArtifactError: It was built for another GPU, or is damaged.
    """
    check_gpu(folder, manifest, cuda.gpu)
    log = trt_api.logger(trt)
    engine = deserialize(trt, log, folder, manifest)
    context = engine.create_execution_context()
    if context is None:
        raise UnsupportedError(
            f"{folder} loads, but TensorRT cannot run it: {trt_api.said(log)}",
            fix="free GPU memory and try again",
        )
    described = {
        "library": f"{trt.__name__} {trt.__version__}",
        "device": cuda.gpu.name,
        "threads": None,
        "compute_capability": cuda.gpu.compute_capability,
        "cuda": cuda.package,
    }
    return TrtSession(trt_engine.wrap(engine, context), cuda, described)


def check_library(folder: str, manifest: Manifest, library: str, here: str) -> None:
    """Compare the library that built an artifact with the one that is here.

    Raises:
        ArtifactError: It is another library or version; TensorRT takes engines of its own only.
    """
    built = (manifest.runs_on.get("library"), manifest.runs_on.get("library_version"))
    if built != (library, here):
        raise ArtifactError(
            f"{folder} was built by {built[0]} {built[1]}, this machine has {library} {here}",
            fix=rebuild_fix(folder, manifest),
        )


def check_gpu(folder: str, manifest: Manifest, here: Gpu) -> None:
    """Compare the GPU that an artifact is bound to, if any, with the one that is here.

    Raises:
        ArtifactError: It is another GPU, or another compute capability.
    """
    built = (manifest.runs_on.get("gpu"), manifest.runs_on.get("compute_capability"))
    if built[0] is not None and built != tuple(here):
        raise ArtifactError(
            f"{folder} was built for {built[0]} (compute capability {built[1]}), this machine has "
            f"{here.name} ({here.compute_capability})",
            fix=rebuild_fix(folder, manifest),
        )


def deserialize(trt: Any, log: Any, folder: str, manifest: Manifest) -> Any:
    """Return the engine; code that an engine file may carry is never run.

    Raises:
        ArtifactError: TensorRT does not take the file; the problem says why.
        UnsupportedError: TensorRT does not start on this machine.
    """
    path = os.path.join(folder, manifest.engine)
    try:
        with open(path, "rb") as file:
            plan = file.read()
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read: {error.strerror}", fix=rebuild_fix(folder, manifest)
        ) from error
    engine = trt_api.make_runtime(trt, log).deserialize_cuda_engine(plan)
    if engine is None:
        raise ArtifactError(
            f"{trt.__name__} {trt.__version__} does not load {path}: {trt_api.said(log)}",
            fix=rebuild_fix(folder, manifest),
        )
    return engine


def rebuild_fix(folder: str, manifest: Manifest) -> str:
    """Say how to build this artifact again, on this machine."""
    command = f"edgedeploy build {manifest.model}.onnx --backend trt --{manifest.precision}"
    if os.path.exists(os.path.join(folder, "source.onnx")):
        # the name under which this folder of ours was imported, on a board perhaps another
        return (
            f"rebuild it here from its source.onnx: python3 -m {__package__}.trt_rebuild {folder} "
            f"(or from the model: {command})"
        )
    return f"rebuild it here: {command}"


class TrtSession(Session):
    """An engine with its buffers: pinned on the host, plain on the device, one stream.

    Batches above the largest that the engine takes go in pieces.
    """

    def __init__(self, engine: BoundEngine, cuda: Cuda, described: Dict[str, Any]) -> None:
        self._engine = engine
        self._cuda = cuda
        self._largest = engine.largest
        self._out_row = engine.set_shape((self._largest, *engine.row))[1:]
        self._rows = self._largest  # that the context is set to
        self._calls: Dict[int, Callable[[], None]] = {}
        with contextlib.ExitStack() as undo:
            self._undo = undo
            self._stream = cuda.create_stream()
            undo.callback(cuda.destroy_stream, self._stream)
            self._device_in = self._allocate(engine.row)
            self._device_out = self._allocate(self._out_row)
            self._host_in = self._pin(self._largest, engine.row)
            self._host_out = self._pin(self._largest, self._out_row)
            engine.attach(self._device_in, self._device_out)
            self._undo = undo.pop_all()
        self.described = dict(described, largest_batch=self._largest)

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Infer, copying in and out of the pinned buffers."""
        result = np.empty((len(batch), *self._out_row), dtype=np.float32)
        for start in range(0, len(batch), self._largest):
            piece = batch[start : start + self._largest]
            rows = len(piece)
            if rows not in self._calls:
                self._calls[rows] = self._call(self._host_in[:rows], self._host_out[:rows])
            self._host_in[:rows] = piece
            self._calls[rows]()
            result[start : start + rows] = self._host_out[:rows]
        return result

    def bind(self, batch: np.ndarray) -> Callable[[], None]:
        """Return host-to-device copy, inference, device-to-host copy and the wait for them.

        ``batch`` is copied into pinned memory here, once; that memory is freed by `close`.
        """
        source = self._pin(len(batch), self._engine.row)
        source[:] = batch
        return self._call(source, self._pin(len(batch), self._out_row))

    def close(self) -> None:
        """Wait for the GPU, then free everything; bound calls must not be called any more."""
        self._calls.clear()
        self._undo.callback(self._cuda.synchronize, self._stream)  # the last in is the first out
        self._undo.close()
        del self._engine, self._host_in, self._host_out

    def _call(self, source: np.ndarray, result: np.ndarray) -> Callable[[], None]:
        """Prepare a blocking call from pinned ``source`` to pinned ``result``."""
        steps: List[Callable[[], None]] = []
        for start in range(0, len(source), self._largest):
            here = slice(start, start + self._largest)
            steps.append(self._cuda.uploading(source[here], self._device_in, self._stream))
            steps.append(self._inference(len(source[here])))
            steps.append(self._cuda.downloading(self._device_out, result[here], self._stream))

        def call() -> None:
            for step in steps:
                step()
            self._cuda.synchronize(self._stream)

        return call

    def _inference(self, rows: int) -> Callable[[], None]:
        # fewer rows than the engine takes: what is left on the device from before fills them
        shape = (max(rows, self._engine.smallest), *self._engine.row)

        def infer() -> None:
            if self._rows != shape[0]:
                self._engine.set_shape(shape)
                self._rows = shape[0]
            if not self._engine.enqueue(self._stream):
                raise EdgeDeployError(
                    f"TensorRT did not run a batch of shape {shape}",
                    fix="free GPU memory and load the artifact again",
                )

        return infer

    def _allocate(self, row: trt_engine.Shape) -> int:
        address = self._cuda.allocate(self._largest * _size(row))
        self._undo.callback(self._cuda.free, address)
        return address

    def _pin(self, rows: int, row: trt_engine.Shape) -> np.ndarray:
        memory = self._cuda.allocate_pinned(rows * _size(row))
        self._undo.callback(self._cuda.free_pinned, memory)
        return memory.view(np.float32).reshape((rows, *row))


def _size(row: trt_engine.Shape) -> int:
    """Return the bytes of one float32 image or result."""
    return int(np.prod(row, dtype=np.int64)) * _FLOAT_BYTES
