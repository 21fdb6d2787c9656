"""TensorRT's builder of several generations, acted out on the CPU; engines are in `fake_engine`.

Each generation has the names that its real one has and none of the others (docs/tensorrt.md), so
code that reaches for a wrong name fails as it would on a board.
"""

from __future__ import annotations

import enum
import functools
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.runtime.fake_config import NAMES, config_kind, has
from tests.runtime.fake_engine import Type

if TYPE_CHECKING:
    from collections.abc import Callable

Severity = enum.Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])
_make_enum: Any = enum.IntEnum  # mypy wants to see the members
LayerType = enum.Enum("LayerType", ["CONSTANT", "CONVOLUTION", "QUANTIZE", "DEQUANTIZE"])
NETWORK_FLAGS = {
    "8": {"EXPLICIT_BATCH": 0, "EXPLICIT_PRECISION": 1},
    "10": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    "11": {"STRONGLY_TYPED": 0, "PREFER_JIT_PYTHON_PLUGINS": 1},
}


class FakeLogger:
    """The base class that TensorRT offers for loggers."""


class FakeBase:
    """A base class that TensorRT offers for what its user implements."""


class _Builder:
    def __init__(self, trt: Library, logger: Any) -> None:
        if trt.builder_is_null:
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._trt = trt
        self._logger = logger
        self.num_DLA_cores = trt.dla_cores
        if has(trt.generation, "Builder.platform_has_fast_int8"):
            self.platform_has_fast_int8 = trt.fast_int8

    def create_network(self, flags: int) -> Any:
        self._trt.seen.network = flags
        return self._trt.network

    def create_builder_config(self) -> Any:
        self._trt.seen.config = self._trt.IBuilderConfig(self._trt)
        return self._trt.seen.config

    def create_optimization_profile(self) -> Any:
        made = SimpleNamespace(shapes=None)
        made.set_shape = lambda *shapes: vars(made).update(shapes=shapes)
        return made

    def build_serialized_network(self, _network: Any, config: Any) -> bytes | None:
        self._calibrate(getattr(config, "int8_calibrator", None))
        if not self._advance(getattr(config, "progress_monitor", None)):
            self._logger.log(Severity.ERROR, "Error Code 7: BuildCanceled")
            return None
        if config.get_timing_cache() is not None:
            config.get_timing_cache().entries.add(self._trt.timed)
        self._logger.log(Severity.INFO, "Engine generation completed")
        for text in self._trt.warnings:
            self._logger.log(Severity.WARNING, text)
        if self._trt.plan is None:
            self._logger.log(Severity.ERROR, "10: Could not find any implementation for node c")
        return self._trt.plan

    def _calibrate(self, calibrator: Any) -> None:
        """Read the cache, or find it foreign and ask for images, as TensorRT does."""
        if calibrator is None:
            return
        self._trt.seen.table = calibrator.read_calibration_cache()
        if self._trt.refuses_cache and calibrator.get_batch(["image"]) is None:
            self._logger.log(Severity.ERROR, "Calibration failure occurred with no scaling factors")
        calibrator.write_calibration_cache(b"TensorRT's own")
        assert calibrator.get_batch_size() == 1

    def _advance(self, monitor: Any) -> bool:
        """Go through two phases, one within the other; return whether nobody stopped it."""
        self._trt.during()
        if monitor is None:
            return True
        monitor.phase_start("Building engine", None, 1)
        monitor.phase_start("Timing tactics", "Building engine", 2)
        go_on = all(monitor.step_complete("Timing tactics", step) for step in range(2))
        monitor.phase_finish("Timing tactics")
        if go_on:
            go_on = monitor.step_complete("Building engine", 0)
        monitor.phase_finish("Building engine")
        return bool(go_on)


class _Parser:
    def __init__(self, trt: Library, _network: Any, _logger: Any) -> None:
        self._trt = trt
        self._errors = trt.parse_errors
        self.num_errors = len(self._errors)
        if has(trt.generation, "OnnxParser.supports_model_v2"):
            self.supports_model_v2 = lambda _model: not trt.parse_errors
            self.num_subgraphs = len(trt.subgraphs)
            self.get_subgraph_nodes = lambda index: trt.subgraphs[index][0]
            self.is_subgraph_supported = lambda index: trt.subgraphs[index][1]
        if has(trt.generation, "OnnxParser.supports_model"):
            self.supports_model = lambda _model: (not trt.parse_errors, list(trt.subgraphs))

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
        self.DLA_core: int | None = None

    def deserialize_cuda_engine(self, _plan: bytes) -> Any:
        self._trt.seen.host_code = self.engine_host_code_allowed
        self._trt.seen.runtime_dla_core = self.DLA_core
        return self._trt.engine


class Library(ModuleType):
    """The package ``tensorrt`` of a generation; ``seen`` records what was asked of it."""

    ILogger = FakeLogger
    LayerType = LayerType
    DeviceType = enum.Enum("DeviceType", ["GPU", "DLA"])
    ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "DETAILED"])
    LayerInformationFormat = enum.Enum("LayerInformationFormat", ["ONELINE", "JSON"])

    def __init__(
        self,
        generation: str,
        *,
        layers: tuple[enum.Enum, ...] = (LayerType.CONVOLUTION,),
        layer_type: Type = Type.FLOAT,
        input_shape: tuple[int, ...] = (-1, 3, 32, 32),
        parse_errors: tuple[Any, ...] = (),
        subgraphs: tuple[tuple[list[int], bool], ...] = (),
        warnings: tuple[str, ...] = (),
        plan: bytes | None = b"plan",
        builder_is_null: bool = False,
        runtime_is_null: bool = False,
        engine: Any = None,
        fast_int8: bool = True,
        refuses_cache: bool = False,
        dla_cores: int = 0,
        gpu_only: tuple[str, ...] = (),
        timed: str = "conv",
        gpu_name: str = "Orin",
        during: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__("tensorrt")
        self.__version__ = self.generation = generation
        major, _, _ = generation.partition(".")
        self.NetworkDefinitionCreationFlag = _make_enum("Flag", NETWORK_FLAGS[major])
        self.seen = SimpleNamespace(flags=set(), cleared=set(), profile=None, network=None)
        self.engine = engine
        self.parse_errors, self.warnings, self.plan = parse_errors, warnings, plan
        self.builder_is_null, self.runtime_is_null = builder_is_null, runtime_is_null
        self.subgraphs, self.during = subgraphs, during
        self.fast_int8, self.refuses_cache = fast_int8, refuses_cache
        self.dla_cores, self.gpu_only = dla_cores, gpu_only
        self.timed, self.gpu_name = timed, gpu_name
        self.network = _network(layers, layer_type, input_shape)
        self.IBuilderConfig = config_kind(generation)
        self.Builder = functools.partial(_Builder, self)
        self.OnnxParser = functools.partial(_Parser, self)
        self.Runtime = functools.partial(_Runtime, self)
        for owner in ("BuilderFlag", "HardwareCompatibilityLevel", "ICudaEngine", "MemoryPoolType"):
            names = [name for name in NAMES if name.startswith(f"{owner}.")]
            members = [name.partition(".")[2] for name in names if has(generation, name)]
            if members:
                setattr(self, owner, _make_enum(owner, members))
        for name in ("IInt8EntropyCalibrator2", "IProgressMonitor"):
            if has(generation, name):
                setattr(self, name, FakeBase)


def _network(
    layers: tuple[enum.Enum, ...], layer_type: Type, input_shape: tuple[int, ...]
) -> SimpleNamespace:
    """Return a network whose layer ``i`` is called ``convolution<i>`` and reads ``tensor<i>``."""
    output = SimpleNamespace(dtype=layer_type)
    made = [
        SimpleNamespace(
            type=kind,
            name=f"{kind.name.lower()}{i}",
            num_outputs=1,
            get_output=lambda _: output,
            get_input=lambda _, i=i: SimpleNamespace(name=f"tensor{i}"),
        )
        for i, kind in enumerate(layers)
    ]
    return SimpleNamespace(
        num_layers=len(made),
        get_layer=made.__getitem__,
        num_inputs=1,
        get_input=lambda _: SimpleNamespace(name="image", shape=input_shape),
    )
