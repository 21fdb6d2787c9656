"""Building a TensorRT engine from ONNX, with whichever TensorRT is here; on boards too."""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from . import cuda_memory, trt_api, trt_inspect
from .errors import BuildError, FileError, UnknownNameError, UnsupportedError

# Builder flags by precision where the library is weakly typed. INT8 alone would leave what has no
# INT8 kernel in FP32.
_FLAGS: Dict[str, Tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("FP16", "INT8")}
# A MobileNet's largest layer needs less than 64 MiB; a Nano has 4 GB for everything.
WORKSPACE_MB = 256
BATCH = (1, 1, 8)


class BuildReport(NamedTuple):
    """What an engine was made by, and for.

    Attributes:
        library: ``"tensorrt"`` or ``"tensorrt_rtx"``.
        version: Of the library.
        gpu: Name of the GPU that the engine is bound to; None where it is not bound to one.
        compute_capability: Of that GPU, e.g. ``"8.7"``.
        runs: Convolutions and matrix products by type, as the engine reports them; empty without
            a GPU to load it on.
        log: TensorRT's warnings, one a line.
    """

    library: str
    version: str
    gpu: Optional[str]
    compute_capability: Optional[str]
    runs: Dict[str, int]
    log: str

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
    library: Optional[str] = None,
) -> BuildReport:
    """Compile an ONNX file into an engine file. One build at a time in a process.

    Args:
        source: ONNX file with one input ``(N, 3, H, W)`` whose height and width are fixed; float16
            inside for ``fp16`` where `trt_api.typed_by_source`; with Q/DQ nodes for ``int8``.
        engine: File to write; it appears whole or not at all.
        precision: ``fp32``, ``fp16`` or ``int8``.
        batch: Smallest, best and largest N, where N is dynamic.
        workspace_mb: Scratch memory that a layer may use, in MiB.
        library: ``tensorrt`` or ``tensorrt_rtx``; None takes the first that is installed.

    Raises:
        BuildError: TensorRT refused the model; the problem carries its reasons.
        UnsupportedError: This TensorRT cannot build on this machine.
        FileError: ``source`` cannot be read, or ``engine`` cannot be written.
        MissingDependencyError: There is no TensorRT.
    """
    if precision not in _FLAGS:
        raise UnknownNameError("TensorRT precision", precision, _FLAGS)
    trt = trt_api.library(library)
    log = trt_api.logger(trt)
    log.lines.clear()
    builder = _builder(trt, log)
    network, parser = _parse(trt, builder, log, source)
    _check_types(trt, network, precision, source)
    config = builder.create_builder_config()
    trt_api.set_builder_flags(trt, config, _FLAGS[precision])
    trt_api.set_workspace(trt, config, workspace_mb << 20)
    if hasattr(trt.ProfilingVerbosity, "DETAILED"):
        config.profiling_verbosity = (
            trt.ProfilingVerbosity.DETAILED
        )  # or the engine hides its types
    best = _add_profile(builder, network, config, batch)
    plan = builder.build_serialized_network(network, config)
    del parser  # it owns the weights until here
    if plan is None:
        raise BuildError(
            f"{_name(trt)} built no engine from {os.path.basename(source)}: {trt_api.said(log)}",
            fix="free memory or give more workspace if it ran out; else change the layers it names",
        )
    _write(engine, memoryview(plan))
    return _report(trt, log, plan, best)


def _name(trt: Any) -> str:
    return f"{trt.__name__} {trt.__version__}"


def _builder(trt: Any, log: Any) -> Any:
    try:
        return trt.Builder(log)
    except (TypeError, RuntimeError) as error:  # pybind11's words for a builder that is null
        raise UnsupportedError(
            f"{_name(trt)} cannot build here: {trt_api.said(log)}",
            fix="build on the machine with the NVIDIA GPU; engines for RTX GPUs can be built "
            "without one: pip install 'edgedeploy[trt-rtx]'",
        ) from error


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


def _write(path: str, data: memoryview) -> None:
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


def _report(trt: Any, log: Any, plan: Any, best: Tuple[int, ...]) -> BuildReport:
    gpu = cuda_memory.find_gpu()
    runs = {} if gpu is None else trt_inspect.running_types(trt, log, plan, best)
    # An engine of TensorRT-RTX runs on every GPU from Ampere on; it finishes compiling when loaded.
    bound = gpu if trt.__name__ == "tensorrt" else None
    return BuildReport(
        library=trt.__name__,
        version=str(trt.__version__),
        gpu=bound.name if bound else None,
        compute_capability=bound.compute_capability if bound else None,
        runs=runs,
        log="\n".join(log.lines),
    )
