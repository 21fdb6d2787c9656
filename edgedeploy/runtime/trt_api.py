"""TensorRT's Python packages, and what differs between their versions.

Versions are told apart by what they have, never by their number, and members of enums are taken
by name, because their values change:

what                                            8.2   8.4   8.5   8.6   10    11    RTX
NetworkDefinitionCreationFlag.EXPLICIT_BATCH    yes   yes   yes   yes   yes   -     -
NetworkDefinitionCreationFlag.STRONGLY_TYPED    -     -     -     -     yes   yes   yes
BuilderFlag.FP16, BuilderFlag.INT8              yes   yes   yes   yes   yes   -     -
IBuilderConfig.max_workspace_size               yes   yes   yes   yes   -     -     -
IBuilderConfig.set_memory_pool_limit            -     yes   yes   yes   yes   yes   yes
ICudaEngine.num_bindings, execute_async_v2      yes   yes   yes   yes   -     -     -
ICudaEngine.num_io_tensors, execute_async_v3    -     -     yes   yes   yes   yes   yes
ParserError.node_name, node_operator            -     -     -     -     yes   yes   yes
Runtime.engine_host_code_allowed                -     -     -     yes   yes   yes   yes

docs/tensorrt.md says how this was checked.
"""

import importlib
import importlib.util
from collections import deque
from typing import Any, Deque, Dict, Optional, Tuple

from .errors import MissingDependencyError

PACKAGES = ("tensorrt", "tensorrt_rtx")  # best first

_INSTALL = (
    "on a Jetson use JetPack's own TensorRT (sudo apt-get install python3-libnvinfer, and a "
    "virtual environment made with --system-site-packages); on a PC with an NVIDIA GPU: pip "
    "install 'edgedeploy[trt]'; to build engines where there is no GPU: pip install "
    "'edgedeploy[trt-rtx]'"
)
_KEPT_LINES = 1000
# TensorRT keeps the first logger of a process and warns about every other one.
_LOGGERS: Dict[str, Any] = {}


def library(name: Optional[str] = None) -> Any:
    """Import TensorRT's Python package.

    Args:
        name: ``"tensorrt"`` or ``"tensorrt_rtx"``; None takes the first of these that is installed.

    Raises:
        MissingDependencyError: It is not installed, or does not load.
    """
    wanted = PACKAGES if name is None else (name,)
    for package in wanted:
        if package in PACKAGES and importlib.util.find_spec(package) is not None:
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


def typed_by_source(trt: Any) -> bool:
    """Return whether the types of the ONNX file are final: there are no precision flags left."""
    return not hasattr(trt.BuilderFlag, "FP16")


def network_flags(trt: Any) -> int:
    """Return the flags that `create_network` takes, as bits."""
    kinds = trt.NetworkDefinitionCreationFlag
    names = ["EXPLICIT_BATCH"] + (["STRONGLY_TYPED"] if typed_by_source(trt) else [])
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
    if trt.__name__ not in _LOGGERS:
        _LOGGERS[trt.__name__] = _make_logger(trt)
    return _LOGGERS[trt.__name__]


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


def said(log: Any) -> str:
    """Return the errors that TensorRT has logged, or all it has logged, as one line."""
    errors = [line for line in log.lines if not line.startswith("WARNING")]
    return " | ".join(" ".join(line.split()) for line in errors or log.lines) or "it gave no reason"
