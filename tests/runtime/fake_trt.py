"""TensorRT's builder of several generations, acted out on the CPU; engines are in `fake_engine`.

Each generation has the names that its real one has and none of the others (docs/tensorrt.md), so
code that reaches for a wrong name fails as it would on a board.
"""

from __future__ import annotations

import enum
import functools
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.runtime.fake_engine import Type

Severity = enum.Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])
_make_enum: Any = enum.IntEnum  # mypy wants to see the members
LayerType = enum.Enum("LayerType", ["CONVOLUTION", "QUANTIZE", "DEQUANTIZE"])
NETWORK_FLAGS = {
    "8": {"EXPLICIT_BATCH": 0, "EXPLICIT_PRECISION": 1},
    "10": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    "11": {"STRONGLY_TYPED": 0, "PREFER_JIT_PYTHON_PLUGINS": 1},
}
BUILDER_FLAGS = {"8": ("FP16", "INT8", "TF32"), "10": ("FP16", "INT8", "TF32"), "11": ("TF32",)}


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
