"""What the adapters of `cuda_memory` offer, and what goes wrong with a GPU."""

from abc import ABC, abstractmethod
from typing import Callable, NamedTuple, Optional, Tuple

import numpy as np

from .errors import EdgeDeployError, UnsupportedError

_MIB = 1 << 20


class Gpu(NamedTuple):
    """A GPU's name, and its compute capability such as ``"8.7"``."""

    name: str
    compute_capability: str


class Memory(NamedTuple):
    """Device memory: what is free, and all of it. On a Jetson that is the CPU's memory too."""

    free_bytes: int
    total_bytes: int


class Cuda(ABC):
    """CUDA on device 0. Addresses, streams, events and graphs are integers.

    Attributes:
        package: What drives it: ``"pycuda"``, ``"cuda-python"`` or ``"libcudart"``.
        gpu: Device 0.
        shares_memory: Whether CPU and GPU have one memory, as on a Jetson, and the GPU can be
            given an address in the CPU's part of it.
        no_graphs: Why there are no CUDA graphs here; None where there are.
    """

    package = ""
    gpu = Gpu("", "")
    shares_memory = False
    no_graphs: Optional[str] = None

    @abstractmethod
    def memory(self) -> Memory:
        """Return how much device memory there is."""

    def free_memory(self) -> int:
        """Return the bytes of device memory that are free."""
        return self.memory().free_bytes

    @abstractmethod
    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory, which begins at a multiple of 256.

        Raises:
            UnsupportedError: There is not enough.
        """

    @abstractmethod
    def free(self, address: int) -> None:
        """Free device memory."""

    @abstractmethod
    def allocate_pinned(self, size_bytes: int) -> np.ndarray:
        """Return page-locked host memory as uint8; it lives until `free_pinned`.

        Raises:
            UnsupportedError: There is not enough.
        """

    @abstractmethod
    def allocate_mapped(self, size_bytes: int) -> Tuple[np.ndarray, int]:
        """Return page-locked host memory as uint8, and the address that the GPU has for it.

        Only where `shares_memory`; it lives until `free_pinned`.

        Raises:
            UnsupportedError: There is not enough.
        """

    @abstractmethod
    def free_pinned(self, memory: np.ndarray) -> None:
        """Free page-locked host memory; no view of it may be used afterwards."""

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

    @abstractmethod
    def create_event(self) -> int:
        """Return a new event, which keeps the time at which a stream comes to it."""

    @abstractmethod
    def destroy_event(self, event: int) -> None:
        """Destroy an event."""

    @abstractmethod
    def record(self, event: int, stream: int) -> None:
        """Queue an event; it keeps the latest time only."""

    @abstractmethod
    def elapsed_ms(self, start: int, end: int) -> float:
        """Wait for ``end``, and return the milliseconds from ``start`` to it, to about 0.5 µs."""

    @abstractmethod
    def capture(self, work: Callable[[], None], stream: int) -> int:
        """Return as a graph what ``work`` queues on a stream, which does not run it.

        Raises:
            EdgeDeployError: `no_graphs`; or ``work`` does what a graph cannot hold.
        """

    @abstractmethod
    def launching(self, graph: int, stream: int) -> Callable[[], None]:
        """Return a call that queues a graph."""

    @abstractmethod
    def destroy_graph(self, graph: int) -> None:
        """Destroy a graph that no stream is running."""


def failed(reason: str) -> EdgeDeployError:
    """Return the error for a call of CUDA that failed."""
    return EdgeDeployError(
        f"CUDA failed: {reason}",
        fix="free GPU memory if it ran out; after any other error start the process again",
    )


def no_memory(size_bytes: int, reason: str, here: Memory) -> UnsupportedError:
    """Return the error for an allocation that failed."""
    return UnsupportedError(
        f"{size_bytes / _MIB:.1f} MiB for the GPU were not to be had ({reason}): "
        f"{here.free_bytes // _MIB} of {here.total_bytes // _MIB} MiB are free",
        fix="end what else uses the GPU, on a Jetson also what else uses memory; or build the "
        "engine with a smaller --batch",
    )


def no_gpu(reason: str, fix: str = "") -> UnsupportedError:
    """Return the error for a machine without a GPU that CUDA can use."""
    return UnsupportedError(
        f"no NVIDIA GPU can be used here: {reason}",
        fix=fix
        or "run it on a machine with an NVIDIA GPU, its driver and CUDA; elsewhere use an "
        "artifact of backend ort or openvino",
    )
