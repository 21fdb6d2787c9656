"""The CUDA runtime API as an adapter of `cuda_memory`."""

import ctypes
from typing import Any, Callable, Optional, Tuple

import numpy as np

from . import cuda_device, cuda_graphs
from .cuda_device import Cuda, Gpu, Memory
from .cudart import CudaError
from .errors import UnsupportedError

# Values of the CUDA runtime API (cuda_runtime_api.h, driver_types.h), unchanged since CUDA 10.
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2
_STREAM_NON_BLOCKING = 1
_MAPPED = 2
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76
_INTEGRATED, _CAN_MAP_HOST_MEMORY = 18, 19
_OUT_OF_MEMORY, _DRIVER_TOO_OLD = 2, 35


class CudaRuntime(Cuda):
    """The CUDA runtime API, through cuda-python or through libcudart itself."""

    def __init__(self, api: Any) -> None:
        """Look for device 0.

        Args:
            api: The CUDA runtime, of `cudart`.

        Raises:
            UnsupportedError: There is no GPU, or no driver for it.
        """
        self.package = api.package
        self._api = api
        try:
            count = api.call("cudaGetDeviceCount")
        except CudaError as error:
            raise _unusable(api, error) from error
        if count < 1:
            raise cuda_device.no_gpu("the driver lists no device")
        major = self._attribute(_COMPUTE_CAPABILITY_MAJOR)
        minor = self._attribute(_COMPUTE_CAPABILITY_MINOR)
        self.gpu = Gpu(api.device_name(), f"{major}.{minor}")
        shared = (self._attribute(_INTEGRATED), self._attribute(_CAN_MAP_HOST_MEMORY))
        self.shares_memory = all(shared)

    def memory(self) -> Memory:
        """Return how much device memory there is."""
        free_bytes, total_bytes = self._call("cudaMemGetInfo")
        return Memory(int(free_bytes), int(total_bytes))

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory, which begins at a multiple of 256."""
        return int(self._allocate(size_bytes, "cudaMalloc", size_bytes))

    def free(self, address: int) -> None:
        """Free device memory."""
        self._call("cudaFree", address)

    def allocate_pinned(self, size_bytes: int) -> np.ndarray:
        """Return page-locked host memory as uint8; it lives until `free_pinned`."""
        return self._host(size_bytes, 0)

    def allocate_mapped(self, size_bytes: int) -> Tuple[np.ndarray, int]:
        """Return page-locked host memory as uint8, and the address that the GPU has for it."""
        memory = self._host(size_bytes, _MAPPED)
        return memory, int(self._call("cudaHostGetDevicePointer", memory.ctypes.data, 0))

    def free_pinned(self, memory: np.ndarray) -> None:
        """Free page-locked host memory; no view of it may be used afterwards."""
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

    def create_event(self) -> int:
        """Return a new event, which keeps the time at which a stream comes to it."""
        return int(self._call("cudaEventCreateWithFlags", 0))

    def destroy_event(self, event: int) -> None:
        """Destroy an event."""
        self._call("cudaEventDestroy", event)

    def record(self, event: int, stream: int) -> None:
        """Queue an event; it keeps the latest time only."""
        self._call("cudaEventRecord", event, stream)

    def elapsed_ms(self, start: int, end: int) -> float:
        """Wait for ``end``, and return the milliseconds from ``start`` to it, to about 0.5 µs."""
        self._call("cudaEventSynchronize", end)
        return float(self._call("cudaEventElapsedTime", start, end))

    def capture(self, work: Callable[[], None], stream: int) -> int:
        """Return as a graph what ``work`` queues on a stream, which does not run it."""
        try:
            return cuda_graphs.capture(self._api, work, stream)
        except CudaError as error:
            raise cuda_device.failed(str(error)) from error

    def launching(self, graph: int, stream: int) -> Callable[[], None]:
        """Return a call that queues a graph."""
        return lambda: self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        """Destroy a graph that no stream is running."""
        self._call("cudaGraphExecDestroy", graph)

    def _host(self, size_bytes: int, flags: int) -> np.ndarray:
        address = int(self._allocate(size_bytes, "cudaHostAlloc", size_bytes, flags))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(address))

    def _attribute(self, number: int) -> int:
        return int(self._call("cudaDeviceGetAttribute", number, 0))

    def _allocate(self, size_bytes: int, name: str, *arguments: Any) -> Any:
        try:
            return self._api.call(name, *arguments)
        except CudaError as error:
            if error.code != _OUT_OF_MEMORY:
                raise cuda_device.failed(str(error)) from error
            self._api.clear_error()  # TensorRT would take it for one of its own
            raise cuda_device.no_memory(size_bytes, str(error), self.memory()) from error

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return self._api.call(name, *arguments)
        except CudaError as error:
            raise cuda_device.failed(str(error)) from error


def _unusable(api: Any, error: CudaError) -> UnsupportedError:
    """Say what is wrong with the driver: CUDA has one error for none at all and one too old."""
    if error.code != _DRIVER_TOO_OLD:
        return cuda_device.no_gpu(str(error))
    supported = _version(api, "cudaDriverGetVersion")
    if supported is None:
        return cuda_device.no_gpu("there is no NVIDIA driver")
    needed = _version(api, "cudaRuntimeGetVersion")
    return cuda_device.no_gpu(
        f"its driver supports CUDA up to {supported}, {api.package} needs "
        f"{needed or 'a later one'}",
        fix=f"update the NVIDIA driver, or install the CUDA runtime {supported} that it supports",
    )


def _version(api: Any, name: str) -> Optional[str]:
    """Return CUDA's 12060 as 12.6; None of no driver, or where the call needs one (CUDA 11, 12)."""
    try:
        version = int(api.call(name))
    except CudaError:
        return None
    return f"{version // 1000}.{version % 1000 // 10}" if version else None
