"""PyCUDA as an adapter of `cuda_memory`.

No release of PyCUDA up to 2026.1 has CUDA graphs (its src/wrapper/wrap_cudadrv.cpp binds none), so
they are made with the CUDA runtime, which takes PyCUDA's streams: both use the primary context.
"""

from typing import Any, Callable, Dict, Tuple

import numpy as np

from . import cuda_device, cuda_graphs
from .cuda_device import Cuda, Gpu, Memory
from .cudart import CudaError

_STREAM_NON_BLOCKING = 1


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

    def __init__(self, driver: Any, api: Any = None) -> None:
        """Look for device 0.

        Args:
            driver: The module ``pycuda.driver``.
            api: The CUDA runtime, of `cudart`; without it there are no graphs.

        Raises:
            UnsupportedError: There is no GPU, or no driver for it.
        """
        self._driver = driver
        self._api = api
        if api is None:
            self.no_graphs = "PyCUDA has none, and there is no CUDA runtime library (libcudart)"
        try:
            driver.init()
            device = driver.Device(0)
            self.gpu = Gpu(device.name(), "{}.{}".format(*device.compute_capability()))
            asked = (
                driver.device_attribute.INTEGRATED,
                driver.device_attribute.CAN_MAP_HOST_MEMORY,
            )
            self.shares_memory = all(device.get_attribute(number) for number in asked)
            self._current = _Current(device.retain_primary_context())
        except driver.Error as error:
            raise cuda_device.no_gpu(str(error)) from error
        self._held: Dict[int, Any] = {}

    def memory(self) -> Memory:
        """Return how much device memory there is."""
        free_bytes, total_bytes = self._do(self._driver.mem_get_info)
        return Memory(int(free_bytes), int(total_bytes))

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory, which begins at a multiple of 256."""
        memory = self._allocate(size_bytes, lambda: self._driver.mem_alloc(size_bytes))
        self._held[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        """Free device memory."""
        self._do(self._held.pop(address).free)

    def allocate_pinned(self, size_bytes: int) -> np.ndarray:
        """Return page-locked host memory as uint8; it lives until `free_pinned`."""
        return self._host(size_bytes, 0)

    def allocate_mapped(self, size_bytes: int) -> Tuple[np.ndarray, int]:
        """Return page-locked host memory as uint8, and the address that the GPU has for it."""
        memory = self._host(size_bytes, self._driver.host_alloc_flags.DEVICEMAP)
        owner = self._held[memory.ctypes.data].base
        return memory, int(self._do(owner.get_device_pointer))

    def free_pinned(self, memory: np.ndarray) -> None:
        """Free page-locked host memory; no view of it may be used afterwards."""
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

    def create_event(self) -> int:
        """Return a new event, which keeps the time at which a stream comes to it."""
        event = self._do(self._driver.Event)
        self._held[id(event)] = event
        return id(event)

    def destroy_event(self, event: int) -> None:
        """Destroy an event."""
        with self._current:
            del self._held[event]  # PyCUDA destroys it with its object

    def record(self, event: int, stream: int) -> None:
        """Queue an event; it keeps the latest time only."""
        self._do(lambda: self._held[event].record(self._held[stream]))

    def elapsed_ms(self, start: int, end: int) -> float:
        """Wait for ``end``, and return the milliseconds from ``start`` to it, to about 0.5 µs."""
        self._do(self._held[end].synchronize)
        return float(self._do(lambda: self._held[start].time_till(self._held[end])))

    def capture(self, work: Callable[[], None], stream: int) -> int:
        """Return as a graph what ``work`` queues on a stream, which does not run it."""
        if self.no_graphs is not None:
            raise cuda_device.failed(f"there are no CUDA graphs: {self.no_graphs}")
        return int(self._do(lambda: cuda_graphs.capture(self._api, work, stream)))

    def launching(self, graph: int, stream: int) -> Callable[[], None]:
        """Return a call that queues a graph."""
        return lambda: self._do(lambda: self._api.call("cudaGraphLaunch", graph, stream))

    def destroy_graph(self, graph: int) -> None:
        """Destroy a graph that no stream is running."""
        self._do(lambda: self._api.call("cudaGraphExecDestroy", graph))

    def _host(self, size_bytes: int, flags: int) -> np.ndarray:
        make = self._driver.pagelocked_empty
        memory = self._allocate(size_bytes, lambda: make(size_bytes, np.uint8, mem_flags=flags))
        self._held[memory.ctypes.data] = memory
        return np.asarray(memory)

    def _allocate(self, size_bytes: int, work: Callable[[], Any]) -> Any:
        try:
            with self._current:
                return work()
        except self._driver.MemoryError as error:
            raise cuda_device.no_memory(size_bytes, str(error), self.memory()) from error
        except self._driver.Error as error:
            raise cuda_device.failed(str(error)) from error

    def _do(self, work: Callable[[], Any]) -> Any:
        try:
            with self._current:
                return work()
        except (self._driver.Error, CudaError) as error:
            raise cuda_device.failed(str(error)) from error
