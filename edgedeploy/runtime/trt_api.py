"""TensorRT's Python packages; `trt_dialects` has the table of what differs between them."""

import importlib
import importlib.util
from collections import Counter, deque
from typing import Any, Deque, Dict, List, Optional, Tuple

from .errors import MissingDependencyError, UnsupportedError

PACKAGES = ("tensorrt", "tensorrt_rtx")  # best first

_INSTALL = (
    "on a Jetson use JetPack's own TensorRT (sudo apt-get install python3-libnvinfer, and a "
    "virtual environment made with --system-site-packages); on a PC with an NVIDIA GPU: pip "
    "install 'edgedeploy[trt]'; to build engines where there is no GPU: pip install "
    "'edgedeploy[trt-rtx]'"
)
_KEPT_LINES = 1000
# TensorRT keeps the first logger of a process and warns about every other one.
_LOGGERS: Dict[Any, Any] = {}
_NEVER_FREED: List[Any] = []


def installed(name: str) -> bool:
    """Return whether one of TensorRT's packages is here, without importing it."""
    return name in PACKAGES and importlib.util.find_spec(name) is not None


def library(name: Optional[str] = None) -> Any:
    """Import TensorRT's Python package.

    Args:
        name: ``"tensorrt"`` or ``"tensorrt_rtx"``; None takes the first of these that is installed.

    Raises:
        MissingDependencyError: It is not installed, or does not load.
    """
    wanted = PACKAGES if name is None else (name,)
    for package in wanted:
        if installed(package):
            try:
                return importlib.import_module(package)
            except (ImportError, OSError) as error:
                raise MissingDependencyError(
                    f"the package {package!r} is installed but does not load: {error}",
                    fix=f"run: python3 -c 'import {package}', and repair what it reports",
                ) from error
    raise MissingDependencyError(
        f"TensorRT is not installed: there is no package {' or '.join(wanted)}",
        fix=_INSTALL,
    )


def describe(trt: Any) -> str:
    """Return a library's name and version, for messages."""
    return f"{trt.__name__} {trt.__version__}"


def network_flags(trt: Any, *, typed: bool) -> int:
    """Return the flags that `create_network` takes, as bits; those that the library has."""
    kinds = trt.NetworkDefinitionCreationFlag
    names = ["EXPLICIT_BATCH"] + (["STRONGLY_TYPED"] if typed else [])
    flags = 0
    for name in names:
        if hasattr(kinds, name):
            flags |= 1 << int(getattr(kinds, name))
    return flags


def set_builder_flags(trt: Any, config: Any, names: Tuple[str, ...]) -> None:
    """Set the builder flags of these names, those that the library has.

    TF32 is cleared: it is on by default and rounds float32 products to 10 bits of mantissa.
    """
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)
    for name in names:
        if hasattr(trt.BuilderFlag, name):
            config.set_flag(getattr(trt.BuilderFlag, name))


def set_workspace(trt: Any, config: Any, size_bytes: int) -> None:
    """Limit the scratch memory that a layer may use."""
    if hasattr(config, "set_memory_pool_limit"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size_bytes)
    else:
        config.max_workspace_size = size_bytes


def logger(trt: Any) -> Any:
    """Return this process's logger for ``trt``; its ``lines`` are TensorRT's latest warnings."""
    if trt not in _LOGGERS:
        _LOGGERS[trt] = _make_logger(trt)
    return _LOGGERS[trt]


def _make_logger(trt: Any) -> Any:
    class Lines(trt.ILogger):  # type: ignore[misc]  # the vendor has no types
        """Keeps warnings and errors as ``SEVERITY: text``, newest last."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: Deque[str] = deque(maxlen=_KEPT_LINES)

        def log(self, severity: Any, msg: str) -> None:
            if severity.name not in ("INFO", "VERBOSE"):
                self.lines.append(f"{severity.name}: {msg.strip()}")

    return Lines()


def note(log: Any, text: str) -> None:
    """Add a line of our own to what TensorRT has logged."""
    log.lines.append(f"NOTE: {text}")


def errors(log: Any) -> List[str]:
    """Return the errors among what TensorRT has logged."""
    return [line for line in log.lines if not line.startswith(("WARNING", "NOTE"))]


def said(log: Any) -> str:
    """Return the errors that TensorRT has logged, or all it has logged, as one line."""
    lines = errors(log) or log.lines
    return " | ".join(" ".join(line.split()) for line in lines) or "it gave no reason"


def summary(log: Any) -> str:
    """Return what TensorRT has logged, one a line; what it said again is counted, not repeated."""
    times: Dict[str, int] = Counter(log.lines)
    return "\n".join(f"{line} ({n} times)" if n > 1 else line for line, n in times.items())


def make_runtime(trt: Any, log: Any) -> Any:
    """Return TensorRT's runtime, which runs no code that an engine file may carry.

    Raises:
        UnsupportedError: TensorRT cannot start here, for want of a driver that it knows.
    """
    log.lines.clear()
    runtime = trt.Runtime(log)
    if errors(log):  # it then wraps a null pointer: using it or freeing it crashes the process
        _NEVER_FREED.append(runtime)
        raise UnsupportedError(
            f"{describe(trt)} does not start here: {said(log)}",
            fix="update the NVIDIA driver to one that this TensorRT supports",
        )
    if hasattr(runtime, "engine_host_code_allowed"):
        runtime.engine_host_code_allowed = False
    return runtime


def make_builder(trt: Any, log: Any, *, has_gpu: bool) -> Any:
    """Return TensorRT's builder.

    Args:
        trt: TensorRT's package.
        log: Its logger.
        has_gpu: Whether a GPU can be used here; TensorRT-RTX needs none to build.

    Raises:
        UnsupportedError: TensorRT does not start here. It would make a builder that wraps a null
            pointer and crashes the process.
    """
    if not has_gpu and trt.__name__ == "tensorrt":
        raise _cannot_build(trt, "it needs an NVIDIA GPU, and there is none")
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # pybind11's word for a null pointer
        raise _cannot_build(trt, said(log)) from error
    if errors(log):
        raise _cannot_build(trt, said(log))
    return builder


def _cannot_build(trt: Any, reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"{describe(trt)} cannot build here: {reason}",
        fix="build on the machine with the NVIDIA GPU; engines for RTX GPUs can be built without "
        "one: pip install 'edgedeploy[trt-rtx]'",
    )
