"""Device memory, pinned host memory, copies and streams: PyCUDA, else cuda-python, else libcudart.

A bare JetPack has neither of the two packages: PyCUDA must be compiled there and cuda-python needs
a newer Python. The three say the same things in the same order; device 0 and its primary context
are used, which TensorRT and every other user of the CUDA runtime share. Choose another GPU with
the environment variable CUDA_VISIBLE_DEVICES.
"""

import ctypes
import importlib
from abc import ABC, abstractmethod
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy as np

from . import cudart
from .errors import EdgeDeployError, UnsupportedError

# Values of the CUDA runtime API (cuda_runtime_api.h, driver_types.h), unchanged since CUDA 10.
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2
_STREAM_NON_BLOCKING = 1
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76


class Gpu(NamedTuple):
    """A GPU's name, and its compute capability such as ``"8.7"``."""

    name: str
    compute_capability: str


class Cuda(ABC):
    """CUDA on device 0. Addresses and streams are integers.

    Attributes:
        package: What drives it: ``"pycuda"``, ``"cuda-python"`` or ``"libcudart"``.
        gpu: Device 0.
    """

    package = ""
    gpu = Gpu("", "")

    @abstractmethod
    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory."""

    @abstractmethod
    def free(self, address: int) -> None:
        """Free device memory."""

    @abstractmethod
    def allocate_pinned(self, size_bytes: int) -> np.ndarray:
        """Return page-locked host memory as uint8; it lives until `free_pinned`."""

    @abstractmethod
    def free_pinned(self, memory: np.ndarray) -> None:
        """Free what `allocate_pinned` returned; no view of it may be used afterwards."""

    @abstractmethod
    def create_stream(self) -> int:
        """Return a new stream that does not wait for the default stream."""

    @abstractmethod
    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""

    @abstractmethod
    def uploading(self, host: np.ndarray, address: int, stream: int) -> Callable[[], None]:
        """Return a call that queues a copy of contiguous pinned memory to the device."""

    @abstractmethod
    def downloading(self, address: int, host: np.ndarray, stream: int) -> Callable[[], None]:
        """Return a call that queues a copy from the device into contiguous pinned memory."""

    @abstractmethod
    def synchronize(self, stream: int) -> None:
        """Wait until a stream has done all that was queued."""


class CudaRuntime(Cuda):
    """The CUDA runtime API, through cuda-python or through libcudart itself."""

    def __init__(self, package: str, api: Any) -> None:
        """Look for device 0.

        Args:
            package: Who offers the API.
            api: Has ``call(name, *arguments) -> value``, ``describe(code)`` and ``device_name()``.

        Raises:
            UnsupportedError: There is no GPU, or no driver for it.
        """
        self.package = package
        self._api = api
        try:
            count = api.call("cudaGetDeviceCount")
        except cudart.CudaError as error:
            raise _no_gpu(str(error)) from error
        if count < 1:
            raise _no_gpu("the driver lists no device")
        major = api.call("cudaDeviceGetAttribute", _COMPUTE_CAPABILITY_MAJOR, 0)
        minor = api.call("cudaDeviceGetAttribute", _COMPUTE_CAPABILITY_MINOR, 0)
        self.gpu = Gpu(api.device_name(), f"{major}.{minor}")

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory."""
        return int(self._call("cudaMalloc", size_bytes))

    def free(self, address: int) -> None:
        """Free device memory."""
        self._call("cudaFree", address)

    def allocate_pinned(self, size_bytes: int) -> np.ndarray:
        """Return page-locked host memory as uint8; it lives until `free_pinned`."""
        address = int(self._call("cudaHostAlloc", size_bytes, 0))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(address))

    def free_pinned(self, memory: np.ndarray) -> None:
        """Free what `allocate_pinned` returned; no view of it may be used afterwards."""
        self._call("cudaFreeHost", memory.ctypes.data)

    def create_stream(self) -> int:
        """Return a new stream that does not wait for the default stream."""
        return int(self._call("cudaStreamCreateWithFlags", _STREAM_NON_BLOCKING))

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""
        self._call("cudaStreamDestroy", stream)

    def uploading(self, host: np.ndarray, address: int, stream: int) -> Callable[[], None]:
        """Return a call that queues a copy of contiguous pinned memory to the device."""
        arguments = (address, host.ctypes.data, host.nbytes, _HOST_TO_DEVICE, stream)
        return lambda: self._call("cudaMemcpyAsync", *arguments)

    def downloading(self, address: int, host: np.ndarray, stream: int) -> Callable[[], None]:
        """Return a call that queues a copy from the device into contiguous pinned memory."""
        arguments = (host.ctypes.data, address, host.nbytes, _DEVICE_TO_HOST, stream)
        return lambda: self._call("cudaMemcpyAsync", *arguments)

    def synchronize(self, stream: int) -> None:
        """Wait until a stream has done all that was queued."""
        self._call("cudaStreamSynchronize", stream)

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return self._api.call(name, *arguments)
        except cudart.CudaError as error:
            raise _failed(str(error)) from error


class _Current:
    """Makes a PyCUDA context current inside a ``with`` block, on any thread."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._context.push()

    def __exit__(self, *_: Any) -> None:
        self._context.pop()


class PyCuda(Cuda):
    """PyCUDA on the primary context, current only while a call of ours lasts."""

    package = "pycuda"

    def __init__(self, driver: Any) -> None:
        """Look for device 0; ``driver`` is the module ``pycuda.driver``.

        Raises:
            UnsupportedError: There is no GPU, or no driver for it.
        """
        self._driver = driver
        try:
            driver.init()
            device = driver.Device(0)
            self.gpu = Gpu(device.name(), "{}.{}".format(*device.compute_capability()))
            self._current = _Current(device.retain_primary_context())
        except driver.Error as error:
            raise _no_gpu(str(error)) from error
        self._held: Dict[int, Any] = {}

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory."""
        memory = self._do(lambda: self._driver.mem_alloc(size_bytes))
        self._held[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        """Free device memory."""
        self._do(self._held.pop(address).free)

    def allocate_pinned(self, size_bytes: int) -> np.ndarray:
        """Return page-locked host memory as uint8; it lives until `free_pinned`."""
        memory = self._do(lambda: self._driver.pagelocked_empty(size_bytes, np.uint8))
        self._held[memory.ctypes.data] = memory
        return np.asarray(memory)

    def free_pinned(self, memory: np.ndarray) -> None:
        """Free what `allocate_pinned` returned; no view of it may be used afterwards."""
        self._do(self._held.pop(memory.ctypes.data).base.free)

    def create_stream(self) -> int:
        """Return a new stream that does not wait for the default stream."""
        stream = self._do(lambda: self._driver.Stream(_STREAM_NON_BLOCKING))
        self._held[int(stream.handle)] = stream
        return int(stream.handle)

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""
        with self._current:
            del self._held[stream]  # PyCUDA destroys it with its object

    def uploading(self, host: np.ndarray, address: int, stream: int) -> Callable[[], None]:
        """Return a call that queues a copy of contiguous pinned memory to the device."""
        handle = self._held[stream]
        copy = self._driver.memcpy_htod_async
        return lambda: self._do(lambda: copy(address, host, handle))

    def downloading(self, address: int, host: np.ndarray, stream: int) -> Callable[[], None]:
        """Return a call that queues a copy from the device into contiguous pinned memory."""
        handle = self._held[stream]
        copy = self._driver.memcpy_dtoh_async
        return lambda: self._do(lambda: copy(host, address, handle))

    def synchronize(self, stream: int) -> None:
        """Wait until a stream has done all that was queued."""
        self._do(self._held[stream].synchronize)

    def _do(self, work: Callable[[], Any]) -> Any:
        try:
            with self._current:
                return work()
        except self._driver.Error as error:
            raise _failed(str(error)) from error


def open_gpu() -> Cuda:
    """Return CUDA on device 0, through the first package that loads.

    Raises:
        UnsupportedError: There is no NVIDIA GPU, no driver, or no CUDA runtime library.
    """
    driver = _import("pycuda.driver")
    if driver is not None and hasattr(driver.Device, "retain_primary_context"):
        return PyCuda(driver)
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        module = _import(name)
        if module is not None:
            return CudaRuntime("cuda-python", cudart.CudaPython(module))
    return _open_libcudart(cudart.library_paths())


def find_gpu() -> Optional[Gpu]:
    """Return device 0, or None where no GPU can be used."""
    try:
        return open_gpu().gpu
    except UnsupportedError:
        return None


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):  # not installed, or it does not find the driver
        return None


def _open_libcudart(paths: List[str]) -> Cuda:
    """Open the first library that the driver supports; there may be several of different age."""
    refused = _no_gpu("there is no CUDA runtime library (libcudart)")
    for path in paths:
        try:
            return CudaRuntime("libcudart", cudart.LibCudart(path))
        except OSError as error:
            refused = _no_gpu(str(error))
        except UnsupportedError as error:
            refused = error
    raise refused


def _no_gpu(reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"no NVIDIA GPU can be used here: {reason}",
        fix="run it on a machine with an NVIDIA GPU, its driver and CUDA; elsewhere use an "
        "artifact of backend ort or openvino",
    )


def _failed(reason: str) -> EdgeDeployError:
    return EdgeDeployError(
        f"CUDA failed: {reason}",
        fix="free GPU memory if it ran out; after any other error start the process again",
    )
