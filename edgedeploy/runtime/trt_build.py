"""Building a TensorRT engine from ONNX, with whichever TensorRT is here; on boards too."""

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import cuda_memory, trt_api, trt_inspect
from .cuda_memory import Gpu
from .errors import BuildError, FileError, UnknownNameError, UnsupportedError

# Builder flags by precision where the library is weakly typed. INT8 alone would leave what has no
# INT8 kernel in FP32.
_FLAGS: Dict[str, Tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("FP16", "INT8")}
# A MobileNet's largest layer needs less than 64 MiB; a Nano has 4 GB for everything.
WORKSPACE_MB = 256
BATCH = (1, 1, 8)
LOG = "build.log"
ENGINE, SOURCE, CACHE = "model.engine", "source.onnx", "calibration.cache"


class BuildReport(NamedTuple):
    """What an engine was made by, and for.

    Attributes:
        library: ``"tensorrt"`` or ``"tensorrt_rtx"``.
        version: Of the library.
        gpu: Name of the GPU that the engine is bound to; None where it is not bound to one.
        compute_capability: Of that GPU, e.g. ``"8.7"``.
        runs: Convolutions and matrix products by type, as the engine reports them; empty without
            a GPU to load it on.
        floats: Names of those that run in a float type.
        log: TensorRT's warnings, one a line; also in ``build.log`` beside the engine.
        files: Names of the files written, the engine first.
    """

    library: str
    version: str
    gpu: Optional[str]
    compute_capability: Optional[str]
    runs: Dict[str, int]
    floats: Tuple[str, ...]
    log: str
    files: Tuple[str, ...]

    @property
    def runs_on(self) -> Dict[str, Any]:
        """What the engine is bound to, as the manifest holds it."""
        return {
            "portable": False,
            "library": self.library,
            "library_version": self.version,
            "gpu": self.gpu,
            "compute_capability": self.compute_capability,
        }


def build_engine(
    source: str,
    engine: str,
    *,
    precision: str,
    batch: Tuple[int, int, int] = BATCH,
    workspace_mb: int = WORKSPACE_MB,
    trt: Any = None,
    find_gpu: Callable[[], Optional[Gpu]] = cuda_memory.find_gpu,
) -> BuildReport:
    """Compile an ONNX file into an engine file. One build at a time in a process.

    Args:
        source: ONNX file with one input ``(N, 3, H, W)`` whose height and width are fixed; float16
            inside for ``fp16`` where `trt_api.typed_by_source`; with Q/DQ nodes for ``int8``.
        engine: File to write; it appears whole or not at all. TensorRT's warnings, if it has any,
            go to ``build.log`` beside it.
        precision: ``fp32``, ``fp16`` or ``int8``.
        batch: Smallest, best and largest N, where N is dynamic.
        workspace_mb: Scratch memory that a layer may use, in MiB.
        trt: TensorRT's Python package; None takes the first that is installed.
        find_gpu: Returns the GPU that it will build for, or None.

    Raises:
        BuildError: TensorRT refused the model; the problem carries its reasons.
        UnsupportedError: This TensorRT cannot build on this machine.
        FileError: ``source`` cannot be read, or ``engine`` cannot be written.
        MissingDependencyError: There is no TensorRT.
    """
    if precision not in _FLAGS:
        raise UnknownNameError("TensorRT precision", precision, _FLAGS)
    trt = trt or trt_api.library()
    gpu = find_gpu()
    log = trt_api.logger(trt)
    log.lines.clear()
    builder = _builder(trt, log, gpu)
    network, parser = _parse(trt, builder, log, source)
    config = _configure(trt, builder, precision, workspace_mb)
    best = _add_profile(builder, network, config, batch)
    _check_types(trt, network, precision, source)
    plan = builder.build_serialized_network(network, config)
    del parser  # it owns the weights until here
    if plan is None:
        raise BuildError(
            f"{_name(trt)} built no engine from {os.path.basename(source)}: {trt_api.said(log)}",
            fix="free memory or give more workspace if it ran out; else change the layers it names",
        )
    warnings = "\n".join(log.lines)
    layers = trt_inspect.running_layers(trt, log, plan, best) if gpu else []
    # TensorRT-RTX's runs on every GPU from Ampere on: it finishes compiling when it is loaded
    bound = gpu if trt.__name__ == "tensorrt" else None
    return BuildReport(
        library=trt.__name__,
        version=str(trt.__version__),
        gpu=bound.name if bound else None,
        compute_capability=bound.compute_capability if bound else None,
        runs=trt_inspect.count(layers),
        floats=tuple(name for name, kind in layers if kind != "int8"),
        log=warnings,
        files=_keep(engine, plan, warnings),
    )


def _name(trt: Any) -> str:
    return f"{trt.__name__} {trt.__version__}"


def _builder(trt: Any, log: Any, gpu: Optional[Gpu]) -> Any:
    """Return a builder that works.

    Raises:
        UnsupportedError: TensorRT does not start here. It would make a builder that wraps a null
            pointer and crashes the process; TensorRT-RTX needs no GPU to build.
    """
    if gpu is None and trt.__name__ == "tensorrt":
        raise _cannot_build(trt, "it needs an NVIDIA GPU, and there is none")
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # pybind11's word for a null pointer
        raise _cannot_build(trt, trt_api.said(log)) from error
    if trt_api.errors(log):
        raise _cannot_build(trt, trt_api.said(log))
    return builder


def _cannot_build(trt: Any, reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"{_name(trt)} cannot build here: {reason}",
        fix="build on the machine with the NVIDIA GPU; engines for RTX GPUs can be built without "
        "one: pip install 'edgedeploy[trt-rtx]'",
    )


def _configure(trt: Any, builder: Any, precision: str, workspace_mb: int) -> Any:
    config = builder.create_builder_config()
    trt_api.set_builder_flags(trt, config, _FLAGS[precision])
    trt_api.set_workspace(trt, config, workspace_mb << 20)
    # or the engine would not tell the types that it runs
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    return config


def _parse(trt: Any, builder: Any, log: Any, source: str) -> Tuple[Any, Any]:
    try:
        with open(source, "rb") as file:
            model = file.read()
    except OSError as error:
        raise FileError(
            f"{source} cannot be read: {error.strerror}", fix="give an ONNX file that is there"
        ) from error
    network = builder.create_network(trt_api.network_flags(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        errors = "; ".join(_describe(parser.get_error(i)) for i in range(parser.num_errors))
        raise BuildError(
            f"{_name(trt)} cannot parse {os.path.basename(source)}: {errors or trt_api.said(log)}",
            fix="replace these operators in the model, or use another backend: --backend ort",
        )
    return network, parser


def _describe(error: Any) -> str:
    """Name the node where the version knows its name, else give its number."""
    if hasattr(error, "node_name") and error.node_name():
        where = f"node {error.node_name()!r} ({error.node_operator()})"
    else:
        where = f"node number {error.node()}"
    return f"{where}: {error.code().name}: {error.desc()}"


def _check_types(trt: Any, network: Any, precision: str, source: str) -> None:
    """Refuse a source that would silently run in another precision than the one asked.

    Raises:
        BuildError: INT8 of a source without Q/DQ; FP16 of a float32 one where types are final.
    """
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    lacks = None
    if precision == "int8" and trt.LayerType.DEQUANTIZE not in [layer.type for layer in layers]:
        lacks = "QuantizeLinear and DequantizeLinear nodes"
    if precision == "fp16" and trt_api.typed_by_source(trt) and not _has_half(layers):
        lacks = "float16 tensors"
    if lacks:
        raise BuildError(
            f"{precision} was asked, but {os.path.basename(source)} has no {lacks}, and "
            f"{_name(trt)} takes the types from the file",
            fix=f"build it from the model: edgedeploy build MODEL --backend trt --{precision}",
        )


def _has_half(layers: List[Any]) -> bool:
    return any(
        layer.get_output(i).dtype.name == "HALF"
        for layer in layers
        for i in range(layer.num_outputs)
    )


def _add_profile(
    builder: Any, network: Any, config: Any, batch: Tuple[int, int, int]
) -> Tuple[int, ...]:
    """Tell which sizes of batch will come; return the best input shape."""
    image = network.get_input(0)
    shape = tuple(image.shape)
    if network.num_inputs != 1 or len(shape) != 4 or min(shape[1:]) < 1:
        text = ", ".join("any" if length < 0 else str(length) for length in shape)
        raise BuildError(
            f"the model has {network.num_inputs} input(s), {image.name!r} of shape ({text}); "
            "TensorRT needs one of shape (any, 3, height, width)",
            fix="give the size in pixels: --resolution 224, or --input-shape 3x224x224",
        )
    if shape[0] > 0:
        return shape
    sizes = [(n, *shape[1:]) for n in batch]
    profile = builder.create_optimization_profile()
    profile.set_shape(image.name, *sizes)
    config.add_optimization_profile(profile)
    return sizes[1]


def _keep(engine: str, plan: Any, warnings: str) -> Tuple[str, ...]:
    """Write the log, if there is one, then the engine; return their names, the engine first."""
    log = os.path.join(os.path.dirname(engine), LOG)
    if warnings:
        write(log, (warnings + "\n").encode("utf-8"))
    elif os.path.exists(log):
        os.remove(log)  # of the build before
    write(engine, memoryview(plan))
    names = (os.path.basename(engine), LOG)
    return names if warnings else names[:1]


def write(path: str, data: Any) -> None:
    """Write a file in one step, by renaming.

    Raises:
        FileError: The folder cannot be written to, or the disk is full; ``path`` is as before.
    """
    part = path + ".part"
    try:
        try:
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            if os.path.exists(part):
                os.remove(part)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror}",
            fix="free space there, make the folder writable, or choose another with -o",
        ) from error
