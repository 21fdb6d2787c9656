"""A GPU and engines of several generations of TensorRT, acted out on the CPU.

Each generation has the names that its real one has and none of the others (docs/tensorrt.md), so
code that reaches for a wrong name fails as it would on a board. The "engine" averages each channel.
"""

from __future__ import annotations

import enum
from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.runtime.cuda_memory import Cuda, Gpu

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.types import Array

GENERATIONS = ("8.2.1", "8.4.1", "8.5.2", "8.6.1", "10.3.0", "10.13.0", "11.1.0")
Type = enum.Enum("Type", ["FLOAT", "HALF", "INT8"])
Mode = enum.Enum("Mode", ["NONE", "INPUT", "OUTPUT"])


class FakeGpu(Cuda):
    """Device memory in a dictionary, and one stream that does nothing before it is waited for."""

    package = "fake"
    gpu = Gpu("Orin", "8.7")

    def __init__(self, *, budget_bytes: int = 1 << 30) -> None:
        self.device: dict[int, Array] = {}
        self.pinned: list[int] = []
        self.streams: list[int] = []
        self.queue: deque[Callable[[], None]] = deque()
        self.calls: list[str] = []
        self._budget_bytes = budget_bytes

    def allocate(self, size_bytes: int) -> int:
        self._budget_bytes -= size_bytes
        if self._budget_bytes < 0:
            raise MemoryError("out of device memory")
        address = 0x1000 * (len(self.device) + 1)
        self.device[address] = np.full(size_bytes, 0xFF, np.uint8)
        return address

    def free(self, address: int) -> None:
        del self.device[address]

    def allocate_pinned(self, size_bytes: int) -> Array:
        memory = np.full(size_bytes, 0xFF, np.uint8)
        self.pinned.append(memory.ctypes.data)
        return memory

    def free_pinned(self, memory: Array) -> None:
        self.pinned.remove(memory.ctypes.data)

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
        self.calls.append("synchronize")
        while self.queue:
            self.queue.popleft()()

    def infer(self, source: int, result: int, shape: tuple[int, ...]) -> None:
        def compute() -> None:
            count = int(np.prod(shape))
            images = self.device[source].view(np.float32)[:count].reshape(shape)
            means = images.mean(axis=(2, 3)).reshape(-1)
            self.device[result].view(np.float32)[: means.size] = means

        self._later("infer", compute)

    def _later(self, name: str, work: Callable[[], None]) -> None:
        self.calls.append(name)
        self.queue.append(work)


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
    if generation.startswith(("8.2", "8.4")):
        return old, old_context, inside
    if generation.startswith("8"):  # 8.5 to 9 have both
        both = SimpleNamespace(**vars(old), **vars(new))
        return both, SimpleNamespace(**vars(old_context), **vars(new_context)), inside
    return new, new_context, inside


def loadable(generation: str, gpu: FakeGpu, information: str = "") -> Any:
    """Return an engine that makes its context and its inspector itself, as `Runtime` gives it."""
    made, context, inside = engine(generation, gpu)
    made.create_execution_context = lambda: context
    made.inside = inside

    def inspect(_format: Any) -> str:
        assert made.inspector.execution_context is context
        return information

    made.inspector = SimpleNamespace(execution_context=None, get_engine_information=inspect)
    made.create_engine_inspector = lambda: made.inspector
    return made
