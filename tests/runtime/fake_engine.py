"""A GPU and engines of several generations of TensorRT, acted out on the CPU.

Each generation has the names that its real one has and none of the others (docs/tensorrt.md), so
code that reaches for a wrong name fails as it would on a board. The "engine" averages each channel.
"""

from __future__ import annotations

import enum
import itertools
from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EdgeDeployError
from edgedeploy.runtime.cuda_device import Cuda, Gpu, Memory, no_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.types import Array

GENERATIONS = ("8.2.1", "8.4.1", "8.5.2", "8.6.1", "10.3.0", "10.13.0", "11.1.0")
WORKING_BYTES = 3 << 20
Type = enum.Enum("Type", ["FLOAT", "HALF", "INT8"])
Mode = enum.Enum("Mode", ["NONE", "INPUT", "OUTPUT"])


class FakeGpu(Cuda):
    """Device memory in a dictionary, and one stream that does nothing before it is waited for.

    Its clock goes on by one millisecond with every piece of work, whatever that is.
    """

    package = "fake"
    gpu = Gpu("Orin", "8.7")

    def __init__(
        self,
        *,
        budget_bytes: int = 1 << 30,
        shares_memory: bool = False,
        no_graphs: str | None = None,
        capture_fails: str = "",
    ) -> None:
        self.shares_memory = shares_memory
        self.no_graphs = no_graphs
        self.capture_fails = capture_fails
        self.device: dict[int, Array] = {}
        self.pinned: list[int] = []
        self.streams: list[int] = []
        self.events: dict[int, float] = {}
        self.graphs: dict[int, list[tuple[str, Callable[[], None]]]] = {}
        self.queue: deque[Callable[[], None]] = deque()
        self.calls: list[str] = []
        self.clock_ms = 0.0
        self._capturing: list[tuple[str, Callable[[], None]]] | None = None
        self._budget_bytes = self._total_bytes = budget_bytes
        self._numbers = itertools.count(1)

    @property
    def holds(self) -> bool:
        """Whether anything was not given back."""
        return any((self.device, self.pinned, self.streams, self.events, self.graphs))

    @property
    def captures(self) -> bool:
        """Whether what is queued goes into a graph just now."""
        return self._capturing is not None

    def memory(self) -> Memory:
        return Memory(self._budget_bytes, self._total_bytes)

    def allocate(self, size_bytes: int) -> int:
        address = 0x1000 * next(self._numbers)
        self.device[address] = self._take(size_bytes)
        return address

    def free(self, address: int) -> None:
        self._budget_bytes += self.device.pop(address).nbytes

    def allocate_pinned(self, size_bytes: int) -> Array:
        memory = self._take(size_bytes)
        self.pinned.append(memory.ctypes.data)
        return memory

    def allocate_mapped(self, size_bytes: int) -> tuple[Array, int]:
        assert self.shares_memory
        memory = self.allocate_pinned(size_bytes)
        address = 0x1000 * next(self._numbers)
        self.device[address] = memory
        return memory, address

    def free_pinned(self, memory: Array) -> None:
        self.pinned.remove(memory.ctypes.data)
        at = memory.ctypes.data
        self.device = {a: m for a, m in self.device.items() if m.ctypes.data != at}

    def create_stream(self) -> int:
        self.streams.append(7)
        return 7

    def destroy_stream(self, stream: int) -> None:
        self.streams.remove(stream)

    def uploading(self, host: Array, address: int, stream: int) -> Callable[[], None]:
        assert stream in self.streams
        data = host.reshape(-1).view(np.uint8)

        def copy() -> None:
            self.device[address][: data.size] = data

        return lambda: self._later("upload", copy)

    def downloading(self, address: int, host: Array, stream: int) -> Callable[[], None]:
        assert stream in self.streams
        data = host.reshape(-1).view(np.uint8)

        def copy() -> None:
            data[:] = self.device[address][: data.size]

        return lambda: self._later("download", copy)

    def synchronize(self, stream: int) -> None:
        assert stream in self.streams
        assert self._capturing is None, "CUDA refuses to wait for a stream that is capturing"
        self.calls.append("synchronize")
        while self.queue:
            self.queue.popleft()()

    def create_event(self) -> int:
        event = next(self._numbers)
        self.events[event] = -1.0
        return event

    def destroy_event(self, event: int) -> None:
        del self.events[event]

    def record(self, event: int, stream: int) -> None:
        assert stream in self.streams
        assert event in self.events
        self.queue.append(lambda: self.events.update({event: self.clock_ms}))

    def elapsed_ms(self, start: int, end: int) -> float:
        assert not self.queue
        assert self.events[start] >= 0
        return self.events[end] - self.events[start]

    def capture(self, work: Callable[[], None], stream: int) -> int:
        assert stream in self.streams
        if self.no_graphs is not None or self.capture_fails:
            raise EdgeDeployError(self.no_graphs or self.capture_fails, fix="no fix")
        self._capturing = []
        self.calls.append("capture")
        try:
            work()
        finally:
            captured, self._capturing = self._capturing, None
        graph = next(self._numbers)
        self.graphs[graph] = captured
        return graph

    def launching(self, graph: int, stream: int) -> Callable[[], None]:
        assert stream in self.streams

        def replay() -> None:
            for _, work in self.graphs[graph]:
                work()

        return lambda: self._later("graph", replay)

    def destroy_graph(self, graph: int) -> None:
        assert not self.queue, "a graph that is running was destroyed"
        del self.graphs[graph]

    def infer(self, source: int, result: int, shape: tuple[int, ...]) -> None:
        def compute() -> None:
            count = int(np.prod(shape))
            images = self.device[source].view(np.float32)[:count].reshape(shape)
            means = images.mean(axis=(2, 3)).reshape(-1)
            self.device[result].view(np.float32)[: means.size] = means

        self._later("infer", compute)

    def _take(self, size_bytes: int) -> Array:
        if size_bytes > self._budget_bytes:
            raise no_memory(size_bytes, "cudaMalloc: out of memory (error 2)", self.memory())
        self._budget_bytes -= size_bytes
        return np.full(size_bytes, 0xFF, np.uint8)

    def _later(self, name: str, work: Callable[[], None]) -> None:
        def timed() -> None:
            work()
            self.clock_ms += 1.0

        if self._capturing is not None:
            self._capturing.append((name, work))
            return
        self.calls.append(name)
        self.queue.append(timed)


class FakeContext:
    """Takes what both generations ask; `engine` shows each only its own names."""

    def __init__(self, gpu: FakeGpu, batches: tuple[int, int], side: int) -> None:
        self.gpu = gpu
        self.batches = batches
        self.side = side
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}
        self.enqueues = True

    def set_shape(self, shape: tuple[int, ...]) -> bool:
        fits = self.batches[0] <= shape[0] <= self.batches[1]
        if fits and shape[1:] == (3, self.side, self.side):
            self.shape = shape
            return True
        return False

    def run(self, source: int, result: int, stream: int) -> bool:
        assert stream == 7
        if self.enqueues:
            self.gpu.infer(source, result, self.shape)
        return self.enqueues


def engine(
    generation: str,
    gpu: FakeGpu,
    *,
    batches: tuple[int, int] = (1, 8),
    side: int = 4,
    output_type: Type = Type.FLOAT,
    outputs: int = 1,
) -> tuple[Any, Any, FakeContext]:
    """Return an engine, its context as that generation shows it, and the context's inside."""
    inside = FakeContext(gpu, batches, side)
    declared = (-1 if batches[0] != batches[1] else batches[0], 3, side, side)
    profile = [(n, 3, side, side) for n in (batches[0], batches[0], batches[1])]
    names = ["image", *(f"logits{i or ''}" for i in range(outputs))]
    types = [Type.FLOAT, *[output_type] * outputs]
    old = SimpleNamespace(
        num_bindings=len(names),
        get_binding_name=lambda i: names[i],
        binding_is_input=lambda i: i == 0,
        get_binding_dtype=lambda i: types[i],
        get_binding_shape=lambda i: declared if i == 0 else (-1, 3),
        get_profile_shape=lambda profile_index, binding: profile,
    )
    new = SimpleNamespace(
        num_io_tensors=len(names),
        get_tensor_name=lambda i: names[i],
        get_tensor_mode=lambda name: Mode.INPUT if name == "image" else Mode.OUTPUT,
        get_tensor_dtype=lambda name: types[names.index(name)],
        get_tensor_shape=lambda name: declared if name == "image" else (-1, 3),
        get_tensor_profile_shape=lambda name, profile_index: profile,
    )
    old_context = SimpleNamespace(
        set_binding_shape=lambda i, shape: inside.set_shape(tuple(shape)),
        get_binding_shape=lambda i: inside.shape if i == 0 else (inside.shape[0], 3),
        execute_async_v2=lambda bindings, stream: inside.run(bindings[0], bindings[1], stream),
    )
    new_context = SimpleNamespace(
        set_input_shape=lambda name, shape: inside.set_shape(tuple(shape)),
        get_tensor_shape=lambda name: inside.shape if name == "image" else (inside.shape[0], 3),
        set_tensor_address=lambda name, memory: inside.addresses.update({name: memory}),
        execute_async_v3=lambda stream: inside.run(
            inside.addresses["image"], inside.addresses["logits"], stream
        ),
    )
    sizes = {} if generation.startswith("11") else {"device_memory_size": WORKING_BYTES}
    if not generation.startswith(("8", "9")):
        sizes["device_memory_size_v2"] = WORKING_BYTES
    vars(old).update(sizes)
    vars(new).update(sizes)
    if generation.startswith(("8.2", "8.4")):
        return old, old_context, inside
    if generation.startswith("8"):  # 8.5 to 9 have both
        both = SimpleNamespace(**{**vars(old), **vars(new)})
        return both, SimpleNamespace(**vars(old_context), **vars(new_context)), inside
    return new, new_context, inside


def loadable(generation: str, gpu: FakeGpu, information: str = "", *, side: int = 4) -> Any:
    """Return an engine that makes its context and its inspector itself, as `Runtime` gives it."""
    made, context, inside = engine(generation, gpu, side=side)
    made.create_execution_context = lambda: context
    made.inside = inside

    def inspect(_format: Any) -> str:
        assert made.inspector.execution_context is context
        return information

    made.inspector = SimpleNamespace(execution_context=None, get_engine_information=inspect)
    made.create_engine_inspector = lambda: made.inspector
    return made


class FakeRuntime:
    """A runtime that loads engines of its own version, and others through their lean runtime.

    ``deserialised_by`` holds the runtime that was asked in the end.
    """

    num_DLA_cores = 2  # noqa: N815 -- TensorRT's name

    def __init__(self, engine: Any, *, lean: str = "", name: str = "own") -> None:
        self.engine_host_code_allowed = True
        self.DLA_core: int | None = None
        self.name = name
        self.deserialised_by: list[FakeRuntime] = []
        self._engine = engine
        self._lean = lean

    def load_runtime(self, path: str) -> FakeRuntime | None:
        if path != self._lean:
            return None
        made = FakeRuntime(self._engine, name=path)
        made.deserialised_by = self.deserialised_by
        return made

    def deserialize_cuda_engine(self, _plan: bytes) -> Any:
        self.deserialised_by.append(self)
        return self._engine
