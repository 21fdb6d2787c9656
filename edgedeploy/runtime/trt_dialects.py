"""What differs between the generations of TensorRT: one row a generation, and where it is from.

A library that is here is recognised by its names, never by its version (`of`); a board that is not
here by the version that the board table has for its JetPack (`for_version`). Members of enums are
taken by name, because their values change. This is every name that some generations lack:

what                                            8.2   8.4   8.5   8.6   10    11    RTX
NetworkDefinitionCreationFlag.EXPLICIT_BATCH    yes   yes   yes   yes   yes   -     -
NetworkDefinitionCreationFlag.STRONGLY_TYPED    -     -     -     -     yes   yes   yes
BuilderFlag.FP16, BuilderFlag.INT8              yes   yes   yes   yes   yes   -     -
Builder.platform_has_fast_int8                  yes   yes   yes   yes   yes   -     -
IInt8EntropyCalibrator2, int8_calibrator        yes   yes   yes   yes   yes   -     -
IBuilderConfig.set_calibration_profile          yes   yes   yes   yes   yes   -     -
IBuilderConfig.max_workspace_size               yes   yes   yes   yes   -     -     -
IBuilderConfig.set_memory_pool_limit            -     yes   yes   yes   yes   yes   yes
IBuilderConfig.builder_optimization_level       -     -     -     yes   yes   yes   yes
BuilderFlag.VERSION_COMPATIBLE                  -     -     -     yes   yes   yes   (a)
HardwareCompatibilityLevel.AMPERE_PLUS          -     -     -     yes   yes   yes   (a)
  .SAME_COMPUTE_CAPABILITY                      -     -     -     -     10.9  yes   (a)
IProgressMonitor, progress_monitor              -     -     -     -     yes   yes   yes
OnnxParser.supports_model                       yes   yes   yes   yes   yes   -     -
ParserError.node_name, node_operator            -     -     -     -     yes   yes   yes
ICudaEngine.num_bindings, execute_async_v2      yes   yes   yes   yes   -     -     -
ICudaEngine.num_io_tensors, execute_async_v3    -     -     yes   yes   yes   yes   yes
Runtime.engine_host_code_allowed                -     -     -     yes   yes   yes   yes

(a) The names are there and do nothing, or fail: an engine of TensorRT-RTX runs on every RTX GPU
from Ampere on, and with the version that built it only.

Source:
    Names: NVIDIA's bindings, imported (tests/runtime/test_trt_names.py); 8.2 to 8.5 by NVIDIA's
    sources, python/src/infer/pyCore.cpp of the tags.
    Newest opset: onnx/onnx-tensorrt, docs/operators.md: 8.2 says 13, 8.5 and 8.6 17, 10.0 20 and
    10.15 24. None of 8.4 was found: its first release, which is JetPack's, still had the ONNX of
    8.2 (docs/Changelog.md: 8.4.2 updated it), so it is given what 8.2 reads.
    Newest IR version: that of the ONNX which a parser is built with (same Changelog, and
    docs/Versioning.md of ONNX): 1.8 to 8.4.1, 1.12 to 1.13 to 8.6, 1.14 or later in 10.0, 1.19 or
    later for opset 24. A newer one is a warning, not an error; TensorRT-RTX 1.7.1 reads opset 27
    and IR 14 without one.
    INT8 modes: Q/DQ nodes are read since 8.0; before 8.5 they stand in the way of fusions
    (NVIDIA/TensorRT#1532, #2067), and calibrators ended with 10.16. DLAs read Q/DQ nodes in
    11.4.1 only, https://docs.nvidia.com/deeplearning/tensorrt/11.4.1/inference-library/
    dla-strongly-typed-networks.html; 10.7 was the last 10.x with a DLA.
    Timing: TensorRT-RTX calls its timing cache a no-op (deprecated in 1.2).
"""

from typing import Any, NamedTuple, Optional, Tuple

from .errors import UnknownNameError, UnsupportedError


class Dialect(NamedTuple):
    """One generation.

    Attributes:
        name: The first version of it, or ``"rtx"``.
        opset: Newest ONNX opset that its parser reads.
        ir_version: Newest ONNX IR version that its parser reads.
        typed: Whether float types come from the source, in a strongly typed network; where not,
            the builder's flags choose them.
        int8: Its INT8 modes on a GPU, the default first.
        dla_int8: Its INT8 mode on a DLA; None where it drives none.
        compatible: Whether it can make engines for other GPUs, and for later versions.
        times_kernels: Whether it times kernels when it builds, and keeps a timing cache.
    """

    name: str
    opset: int
    ir_version: int
    typed: bool
    int8: Tuple[str, ...]
    dla_int8: Optional[str]
    compatible: bool = False
    times_kernels: bool = True


_BY_FLAGS, _BY_SOURCE = False, True

_IMPLICIT, _QDQ = ("implicit", "qdq"), ("qdq", "implicit")

#   name, opset, IR, float types, INT8 modes, INT8 mode of a DLA
DIALECTS = (
    Dialect("8.2", 13, 7, _BY_FLAGS, _IMPLICIT, "implicit"),
    Dialect("8.4", 13, 7, _BY_FLAGS, _IMPLICIT, "implicit"),
    Dialect("8.5", 17, 8, _BY_FLAGS, _QDQ, "implicit"),
    Dialect("8.6", 17, 8, _BY_FLAGS, _QDQ, "implicit", compatible=True),
    Dialect("10", 20, 9, _BY_SOURCE, ("typed", *_QDQ), "implicit", compatible=True),
    Dialect("11", 24, 12, _BY_SOURCE, ("typed",), "typed", compatible=True),
    Dialect("rtx", 24, 12, _BY_SOURCE, ("typed",), None, times_kernels=False),
)


def title(dialect: Dialect) -> str:
    """Return what to call a generation in a message.

    Example:
        >>> title(find("8.5")), title(find("rtx"))
        ('TensorRT 8.5', 'TensorRT-RTX')
    """
    return "TensorRT-RTX" if dialect.name == "rtx" else f"TensorRT {dialect.name}"


def find(name: str) -> Dialect:
    """Return the dialect called ``name``.

    Raises:
        UnknownNameError: There is none.
    """
    for dialect in DIALECTS:
        if dialect.name == name:
            return dialect
    raise UnknownNameError("generation of TensorRT", name, [d.name for d in DIALECTS])


def of(trt: Any) -> Dialect:
    """Return the dialect of a library, by what it has."""
    if trt.__name__ == "tensorrt_rtx":
        return find("rtx")
    if not hasattr(trt.BuilderFlag, "FP16"):
        return find("11")
    if not hasattr(trt.ICudaEngine, "num_bindings"):
        return find("10")
    if hasattr(trt.IBuilderConfig, "hardware_compatibility_level"):
        return find("8.6")
    if hasattr(trt.ICudaEngine, "num_io_tensors"):
        return find("8.5")
    if hasattr(trt.IBuilderConfig, "set_memory_pool_limit"):
        return find("8.4")
    return find("8.2")


def for_version(version: str) -> Dialect:
    """Return the dialect of a version of the board table, e.g. ``"8.2.1"`` or ``"10.16.2"``.

    Raises:
        UnsupportedError: It is older than 8.2, whose ONNX parser does not read Q/DQ models.
    """
    wanted = _numbers(version)
    known = [d for d in DIALECTS if d.name != "rtx" and _numbers(d.name) <= wanted]
    if not known:
        raise UnsupportedError(
            f"TensorRT {version} is older than {DIALECTS[0].name}, the oldest that is supported",
            fix="update the board's JetPack; edgedeploy devices lists them",
        )
    return known[-1]


def int8_modes(dialect: Dialect, *, dla: bool = False) -> Tuple[str, ...]:
    """Return how INT8 can be said to a library, the default first.

    Args:
        dialect: Of the library that builds.
        dla: Whether it is for a DLA, which reads no Q/DQ nodes before TensorRT 11.

    Raises:
        UnsupportedError: That library drives no DLA.
    """
    if not dla:
        return dialect.int8
    if dialect.dla_int8 is None:
        raise UnsupportedError(
            f"{title(dialect)} drives no DLA",
            fix="leave --dla-core out, or build with the TensorRT of a Jetson that has one",
        )
    return (dialect.dla_int8,)


def int8_mode(dialect: Dialect, asked: str = "auto", *, dla: bool = False) -> str:
    """Return how INT8 is said to a library: ``implicit``, ``qdq`` or ``typed``.

    Args:
        dialect: Of the library that builds.
        asked: One of `trt_options.INT8_MODES`.
        dla: Whether it is for a DLA.

    Raises:
        UnsupportedError: That library has no such mode, or drives no DLA.
    """
    modes = int8_modes(dialect, dla=dla)
    if asked == "auto":
        return modes[0]
    if asked not in modes:
        where = "on a DLA " if dla else ""
        raise UnsupportedError(
            f"INT8 mode {asked!r} was asked for, {title(dialect)} has {where}{' and '.join(modes)}",
            fix=f"pass --int8-mode {modes[0]}, or leave it out",
        )
    return asked


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
