"""What was asked of a build, said to TensorRT's builder config."""

from typing import Any, Dict, NamedTuple, Optional, Tuple

from . import trt_api, trt_dialects
from .errors import UnknownNameError, UnsupportedError, UsageError
from .trt_options import TrtOptions

PRECISIONS = ("fp32", "fp16", "int8")
# Builder flags by precision where the network is weakly typed. INT8 alone would leave what has no
# INT8 kernel in FP32.
_FLAGS: Dict[str, Tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("FP16", "INT8")}
_LEVELS = {"ampere-plus": "AMPERE_PLUS", "same-compute-capability": "SAME_COMPUTE_CAPABILITY"}


class Typing(NamedTuple):
    """How types are said to the library that is here.

    Attributes:
        precision: One of `PRECISIONS`.
        typed: Whether the source's types are final, in a strongly typed network.
        int8_mode: ``implicit``, ``qdq`` or ``typed``; None but for INT8.
        flags: Names of the builder flags.
    """

    precision: str
    typed: bool
    int8_mode: Optional[str]
    flags: Tuple[str, ...]


def typing(
    trt: Any, precision: str, options: TrtOptions, int8_mode: Optional[str] = None
) -> Typing:
    """Return how types are said to a library.

    Args:
        trt: TensorRT's package.
        precision: One of `PRECISIONS`.
        options: What else was asked.
        int8_mode: How INT8 is said; None: as ``options`` say.

    Raises:
        UnknownNameError: There is no such precision.
        UnsupportedError: This library has no such INT8 mode, or drives no DLA.
        UsageError: FP32, or several sizes of batch, on a DLA.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("TensorRT precision", precision, PRECISIONS)
    dialect = trt_dialects.of(trt)
    dla = options.dla_core is not None
    if dla and len(set(options.batch)) > 1:
        raise UsageError(
            f"DLA core {options.dla_core} was asked for with the batch sizes "
            f"{', '.join(map(str, options.batch))}, a DLA takes one size",
            fix=f"pass --batch {options.batch[1]}",
        )
    if dla and precision == "fp32":
        raise UsageError(
            f"fp32 was asked of DLA core {options.dla_core}, a DLA computes in fp16 and int8 only",
            fix="pass --fp16 or --int8, or leave --dla-core out",
        )
    asked = int8_mode or options.int8_mode if precision == "int8" else "auto"
    mode = trt_dialects.int8_mode(dialect, asked, dla=dla)
    if precision == "int8":
        typed = mode == "typed"
        return Typing(precision, typed, mode, () if typed else _FLAGS["int8"])
    # before TensorRT 11 a DLA takes weakly typed networks only
    typed = dialect.typed and (not dla or dialect.dla_int8 == "typed")
    return Typing(precision, typed, None, () if typed else _FLAGS[precision])


def check_int8(trt: Any, builder: Any) -> None:
    """Refuse INT8 on a GPU that has none, as that of a Nano or a TX2.

    Raises:
        UnsupportedError: The builder says so; TensorRT 11 does not say, and starts on no such GPU.
    """
    if not getattr(builder, "platform_has_fast_int8", True):
        raise UnsupportedError(
            f"this GPU has no INT8, says {trt_api.describe(trt)}: layers would silently run in "
            "float",
            fix="build it with --fp16",
        )


def make(trt: Any, builder: Any, options: TrtOptions, flags: Tuple[str, ...]) -> Any:
    """Return a builder config that says what was asked.

    Raises:
        UnsupportedError: This library has no such option.
    """
    config = builder.create_builder_config()
    trt_api.set_builder_flags(trt, config, flags)
    trt_api.set_workspace(trt, config, options.workspace_mb << 20)
    # or the engine would not tell the types that it runs
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.optimization_level is not None:
        if not hasattr(config, "builder_optimization_level"):
            raise _lacks(trt, f"optimisation level {options.optimization_level}", "--opt-level")
        config.builder_optimization_level = options.optimization_level
    if options.version_compatible:
        _set_version_compatible(trt, config)
    if options.hardware_compatible is not None:
        _set_hardware(trt, config, options.hardware_compatible)
    return config


def _set_version_compatible(trt: Any, config: Any) -> None:
    """Ask for an engine that carries no code, because loading one that does is running it."""
    if not trt_dialects.of(trt).compatible:
        raise _lacks(trt, "a version-compatible engine", "--version-compatible")
    config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)


def _set_hardware(trt: Any, config: Any, name: str) -> None:
    if trt_dialects.of(trt).name == "rtx":
        raise UnsupportedError(
            f"an engine compatible with {name} was asked for, {trt_api.describe(trt)} makes none",
            fix="leave --hardware-compatible out: its engines run on every RTX GPU from Ampere on",
        )
    levels = getattr(trt, "HardwareCompatibilityLevel", None)
    if not hasattr(levels, _LEVELS[name]):
        raise _lacks(trt, f"an engine compatible with {name}", "--hardware-compatible")
    config.hardware_compatibility_level = getattr(levels, _LEVELS[name])


def _lacks(trt: Any, what: str, flag: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what} was asked for, {trt_api.describe(trt)} does not make that",
        fix=f"leave {flag} out, or use a TensorRT that has it: docs/tensorrt.md lists them",
    )


def use_dla(trt: Any, builder: Any, config: Any, network: Any, core: int) -> Tuple[str, ...]:
    """Put a network on a DLA; return the names of the layers that fall back to the GPU.

    Raises:
        UnsupportedError: There is no such core.
    """
    if core >= builder.num_DLA_cores:
        raise UnsupportedError(
            f"DLA core {core} was asked for, this machine has {builder.num_DLA_cores}",
            fix="leave --dla-core out; edgedeploy devices tells which boards have one",
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    return tuple(
        layer.name
        for layer in layers
        if layer.type != trt.LayerType.CONSTANT and not config.can_run_on_DLA(layer)
    )
