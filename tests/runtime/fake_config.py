"""TensorRT's builder config of several generations, and which of them has which name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.runtime.fake_engine import GENERATIONS

if TYPE_CHECKING:
    from types import SimpleNamespace

# Name -> first and last generation that has it.
_ALWAYS = ("8.2.1", "11.1.0")
_TO_8, _TO_10 = ("8.2.1", "8.6.1"), ("8.2.1", "10.13.0")
_FROM_8_6, _FROM_10 = ("8.6.1", "11.1.0"), ("10.3.0", "11.1.0")
NAMES = {
    "BuilderFlag.FP16": _TO_10,
    "BuilderFlag.INT8": _TO_10,
    "BuilderFlag.TF32": _ALWAYS,
    "BuilderFlag.GPU_FALLBACK": _ALWAYS,
    "BuilderFlag.VERSION_COMPATIBLE": _FROM_8_6,
    "BuilderFlag.EXCLUDE_LEAN_RUNTIME": _FROM_8_6,
    "HardwareCompatibilityLevel.NONE": _FROM_8_6,
    "HardwareCompatibilityLevel.AMPERE_PLUS": _FROM_8_6,
    "HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY": ("10.13.0", "11.1.0"),
    "ICudaEngine.num_bindings": _TO_8,
    "ICudaEngine.num_io_tensors": ("8.5.2", "11.1.0"),
    "IBuilderConfig.max_workspace_size": _TO_8,
    "IBuilderConfig.set_memory_pool_limit": ("8.4.1", "11.1.0"),
    "MemoryPoolType.WORKSPACE": ("8.4.1", "11.1.0"),
    "IBuilderConfig.builder_optimization_level": _FROM_8_6,
    "IBuilderConfig.hardware_compatibility_level": _FROM_8_6,
    "IBuilderConfig.int8_calibrator": _TO_10,
    "IBuilderConfig.set_calibration_profile": _TO_10,
    "IBuilderConfig.progress_monitor": _FROM_10,
    "Builder.platform_has_fast_int8": _TO_10,
    "OnnxParser.supports_model": _TO_10,
    "OnnxParser.supports_model_v2": _FROM_10,
    "IInt8EntropyCalibrator2": _TO_10,
    "IProgressMonitor": _FROM_10,
}


def has(generation: str, name: str) -> bool:
    """Whether a generation has a name of `NAMES`; every one has those that are not there."""
    first, last = NAMES.get(name, _ALWAYS)
    places = [GENERATIONS.index(known) for known in (first, generation, last)]
    return places == sorted(places)


class TimingCache:
    """What was timed, on which GPU."""

    def __init__(self, data: bytes, gpu: str) -> None:
        name, _, entries = (data or f"{gpu}|".encode()).decode().partition("|")
        self.gpu, self.entries = name, set(entries.split(",")) - {""}

    def serialize(self) -> bytes:
        return f"{self.gpu}|{','.join(sorted(self.entries))}".encode()

    def combine(self, input_cache: TimingCache, *, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.entries |= input_cache.entries
        return True


class Config:
    """What every generation takes; `config_kind` adds what only some have."""

    profiling_verbosity: Any = None
    default_device_type: Any = None
    DLA_core = -1
    trt: Any
    seen: SimpleNamespace

    def __init__(self, trt: Any) -> None:
        vars(self).update(trt=trt, seen=trt.seen, timing_cache=None)

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self), name):
            raise AttributeError(f"IBuilderConfig of {self.trt.generation} has no {name}")
        super().__setattr__(name, value)

    def set_flag(self, flag: Any) -> None:
        self.seen.flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self.seen.cleared.add(flag.name)

    def add_optimization_profile(self, profile: Any) -> int:
        self.seen.profile = profile.shapes
        return 0

    def can_run_on_DLA(self, layer: Any) -> bool:  # noqa: N802  # TensorRT's name
        assert self.default_device_type.name == "DLA"
        return layer.name not in self.trt.gpu_only

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache:
        return TimingCache(serialized_timing_cache, self.trt.gpu_name)

    def set_timing_cache(self, cache: TimingCache, *, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache.gpu != self.trt.gpu_name:
            return False
        vars(self)["timing_cache"] = cache
        return True

    def get_timing_cache(self) -> Any:
        return vars(self)["timing_cache"]


def _set_memory_pool_limit(config: Config, pool: Any, size_bytes: int) -> None:
    config.seen.pool = (pool.name, size_bytes)


def _set_calibration_profile(config: Config, profile: Any) -> bool:
    config.seen.calibration_profile = profile.shapes
    return True


def config_kind(generation: str) -> type[Config]:
    of_some = {
        "max_workspace_size": 0,
        "set_memory_pool_limit": _set_memory_pool_limit,
        "builder_optimization_level": 3,
        "hardware_compatibility_level": None,
        "int8_calibrator": None,
        "set_calibration_profile": _set_calibration_profile,
        "progress_monitor": None,
    }
    taken = {
        name: value for name, value in of_some.items() if has(generation, f"IBuilderConfig.{name}")
    }
    return type("IBuilderConfig", (Config,), taken)
