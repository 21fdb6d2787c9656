"""TensorRT of several generations, and a GPU, acted out on the CPU.

Each generation has the names that its real one has and none of the others (docs/tensorrt.md), so
code that reaches for a wrong name fails as it would on a board. The "engine" averages each channel.
"""

from __future__ import annotations

import enum
import functools
from collections import deque
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.runtime.cuda_memory import Cuda, Gpu

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.types import Array

GENERATIONS = ("8.2.1", "8.5.2", "8.6.1", "10.3.0", "11.1.0")
Type = enum.Enum("Type", ["FLOAT", "HALF", "INT8"])
Mode = enum.Enum("Mode", ["NONE", "INPUT", "OUTPUT"])
Severity = enum.Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])
_make_enum: Any = enum.IntEnum  # mypy wants to see the members
LayerType = enum.Enum("LayerType", ["CONVOLUTION", "QUANTIZE", "DEQUANTIZE"])
NETWORK_FLAGS = {
    "8": {"EXPLICIT_BATCH": 0, "EXPLICIT_PRECISION": 1},
    "10": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    "11": {"STRONGLY_TYPED": 0, "PREFER_JIT_PYTHON_PLUGINS": 1},
}
BUILDER_FLAGS = {"8": ("FP16", "INT8", "TF32"), "10": ("FP16", "INT8", "TF32"), "11": ("TF32",)}


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
    if generation.startswith("8.2"):
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


class FakeLogger:
    """The base class that TensorRT offers for loggers."""


class _Builder:
    def __init__(self, trt: Library, logger: Any) -> None:
        if trt.builder_is_null:
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._trt = trt
        self._logger = logger

    def create_network(self, flags: int) -> Any:
        self._trt.seen.network = flags
        return self._trt.network

    def create_builder_config(self) -> Any:
        kind = _OldConfig if self._trt.generation == "8.2.1" else _Config
        self._trt.seen.config = kind(self._trt.seen)
        return self._trt.seen.config

    def create_optimization_profile(self) -> Any:
        made = SimpleNamespace(shapes=None)
        made.set_shape = lambda *shapes: vars(made).update(shapes=shapes)
        return made

    def build_serialized_network(self, _network: Any, _config: Any) -> bytes | None:
        self._logger.log(Severity.INFO, "Engine generation completed")
        for text in self._trt.warnings:
            self._logger.log(Severity.WARNING, text)
        if self._trt.plan is None:
            self._logger.log(Severity.ERROR, "10: Could not find any implementation for node c")
        return self._trt.plan


class _OldConfig:
    def __init__(self, seen: SimpleNamespace) -> None:
        self._seen = seen

    def set_flag(self, flag: Any) -> None:
        self._seen.flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self._seen.cleared.add(flag.name)

    def add_optimization_profile(self, profile: Any) -> int:
        self._seen.profile = profile.shapes
        return 0


class _Config(_OldConfig):
    def set_memory_pool_limit(self, pool: Any, size_bytes: int) -> None:
        self._seen.pool = (pool.name, size_bytes)


class _Parser:
    def __init__(self, trt: Library, _network: Any, _logger: Any) -> None:
        self._errors = trt.parse_errors
        self.num_errors = len(self._errors)

    def parse(self, _model: bytes) -> bool:
        return not self._errors

    def get_error(self, index: int) -> Any:
        return self._errors[index]


class _Runtime:
    def __init__(self, trt: Library, logger: Any) -> None:
        if trt.runtime_is_null:
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
        self._trt = trt
        self.engine_host_code_allowed = True

    def deserialize_cuda_engine(self, _plan: bytes) -> Any:
        self._trt.seen.host_code = self.engine_host_code_allowed
        return self._trt.engine


class Library(ModuleType):
    """The package ``tensorrt`` of a generation; ``seen`` records what was asked of it."""

    ILogger = FakeLogger
    LayerType = LayerType
    ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "DETAILED"])
    LayerInformationFormat = enum.Enum("LayerInformationFormat", ["ONELINE", "JSON"])
    MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])

    def __init__(
        self,
        generation: str,
        *,
        layers: tuple[enum.Enum, ...] = (LayerType.CONVOLUTION,),
        layer_type: Type = Type.FLOAT,
        input_shape: tuple[int, ...] = (-1, 3, 32, 32),
        parse_errors: tuple[Any, ...] = (),
        warnings: tuple[str, ...] = (),
        plan: bytes | None = b"plan",
        builder_is_null: bool = False,
        runtime_is_null: bool = False,
        engine: Any = None,
    ) -> None:
        super().__init__("tensorrt")
        self.__version__ = self.generation = generation
        major, _, _ = generation.partition(".")
        self.NetworkDefinitionCreationFlag = _make_enum("Flag", NETWORK_FLAGS[major])
        self.BuilderFlag = _make_enum("BuilderFlag", BUILDER_FLAGS[major])
        self.seen = SimpleNamespace(flags=set(), cleared=set(), profile=None, network=None)
        self.engine = engine
        self.parse_errors, self.warnings, self.plan = parse_errors, warnings, plan
        self.builder_is_null, self.runtime_is_null = builder_is_null, runtime_is_null
        output = SimpleNamespace(dtype=layer_type)
        made = [
            SimpleNamespace(type=kind, num_outputs=1, get_output=lambda _: output)
            for kind in layers
        ]
        self.network = SimpleNamespace(
            num_layers=len(made),
            get_layer=made.__getitem__,
            num_inputs=1,
            get_input=lambda _: SimpleNamespace(name="image", shape=input_shape),
        )
        self.Builder = functools.partial(_Builder, self)
        self.OnnxParser = functools.partial(_Parser, self)
        self.Runtime = functools.partial(_Runtime, self)
