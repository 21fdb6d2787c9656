"""What each generation of TensorRT reads: one row a generation, told apart by what it has.

A library that is here is recognised by its names, never by its version (`of`); a board that is not
here by the version that the board table has for its JetPack (`for_version`).
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
        times_kernels: Whether it times kernels when it builds, and keeps a timing cache.
    """

    name: str
    opset: int
    ir_version: int
    typed: bool
    int8: Tuple[str, ...]
    dla_int8: Optional[str]
    times_kernels: bool = True


_BY_FLAGS, _BY_SOURCE = False, True

DIALECTS = (
    Dialect("8.2", 13, 7, _BY_FLAGS, ("implicit", "qdq"), "implicit"),
    Dialect("8.4", 17, 8, _BY_FLAGS, ("implicit", "qdq"), "implicit"),
    Dialect("8.5", 17, 8, _BY_FLAGS, ("qdq", "implicit"), "implicit"),
    Dialect("8.6", 17, 8, _BY_FLAGS, ("qdq", "implicit"), "implicit"),
    Dialect("10", 20, 10, _BY_SOURCE, ("typed", "qdq", "implicit"), "implicit"),
    Dialect("11", 23, 11, _BY_SOURCE, ("typed",), "typed"),
    Dialect("rtx", 23, 11, _BY_SOURCE, ("typed",), None, times_kernels=False),
)


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


def int8_mode(dialect: Dialect, asked: str = "auto", *, dla: bool = False) -> str:
    """Return how INT8 is said to a library: ``implicit``, ``qdq`` or ``typed``.

    Args:
        dialect: Of the library that builds.
        asked: One of `trt_options.INT8_MODES`.
        dla: Whether it is for a DLA, which reads no Q/DQ nodes before TensorRT 11.

    Raises:
        UnsupportedError: That library has no such mode, or drives no DLA.
    """
    if dla:
        if dialect.dla_int8 is None:
            raise UnsupportedError(
                f"TensorRT of the generation {dialect.name} drives no DLA",
                fix="leave --dla-core out, or build with the TensorRT of a Jetson that has one",
            )
        modes: Tuple[str, ...] = (dialect.dla_int8,)
    else:
        modes = dialect.int8
    if asked == "auto":
        return modes[0]
    if asked not in modes:
        where = "on a DLA " if dla else ""
        raise UnsupportedError(
            f"INT8 mode {asked!r} was asked for, TensorRT of the generation {dialect.name} has "
            f"{where}{' and '.join(modes)}",
            fix=f"pass --int8-mode {modes[0]}, or leave it out",
        )
    return asked


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
