"""An ONNX file as TensorRT's network: parsed, checked, and told which batches will come."""

import os
from typing import Any, List, Set, Tuple

from . import trt_api
from .errors import BuildError, FileError
from .trt_config import Typing


def read(source: str) -> bytes:
    """Return the bytes of an ONNX file.

    Raises:
        FileError: It cannot be read.
    """
    try:
        with open(source, "rb") as file:
            return file.read()
    except OSError as error:
        raise FileError(
            f"{source} cannot be read: {error.strerror}", fix="give an ONNX file that is there"
        ) from error


def parse(trt: Any, builder: Any, log: Any, source: str, *, typed: bool) -> Tuple[Any, Any]:
    """Return the network of an ONNX file, and the parser, which owns its weights.

    Args:
        trt: TensorRT's package.
        builder: Its builder.
        log: Its logger.
        source: ONNX file.
        typed: Whether the file's types are final.

    Raises:
        BuildError: TensorRT cannot read it; the problem names the nodes.
        FileError: It cannot be read.
    """
    model = read(source)
    network = builder.create_network(trt_api.network_flags(trt, typed=typed))
    parser = trt.OnnxParser(network, log)
    if parser.parse(model):
        return network, parser
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    reasons = [_describe(error) for error in errors]
    if not any(hasattr(error, "node_name") for error in errors):
        more = _more_unsupported(trt, builder, log, model, {error.node() for error in errors})
        reasons += [f"node number {number}: not supported either" for number in more]
    raise BuildError(
        f"{trt_api.describe(trt)} cannot parse {os.path.basename(source)}: "
        f"{'; '.join(reasons) or trt_api.said(log)}",
        fix="replace these operators in the model, or use another backend: --backend ort",
    )


def _describe(error: Any) -> str:
    """Name the node where the version knows its name, else give its number."""
    if hasattr(error, "node_name") and error.node_name():
        where = f"node {error.node_name()!r} ({error.node_operator()})"
    elif error.node() >= 0:
        where = f"node number {error.node()}"
    else:
        where = "the file"
    return f"{where}: {error.code().name}: {error.desc()}"


def _more_unsupported(trt: Any, builder: Any, log: Any, model: bytes, known: Set[int]) -> List[int]:
    """List the nodes that an old parser, which stops at the first, does not read either.

    It groups the nodes that it reads; what lies between the groups it does not.
    """
    network = builder.create_network(trt_api.network_flags(trt, typed=False))
    parser = trt.OnnxParser(network, log)
    _, groups = parser.supports_model(model)
    read_ones = {number for numbers, _ in groups for number in numbers}
    return sorted(set(range(max(read_ones, default=0))) - read_ones - known)


def check_types(trt: Any, network: Any, how: Typing, source: str) -> None:
    """Refuse a source that would silently run in another precision than the one asked.

    Raises:
        BuildError: INT8 of a source without Q/DQ, or implicit INT8 of one with it; FP16 of a
            float32 one where types are final.
    """
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    quantised = trt.LayerType.DEQUANTIZE in [layer.type for layer in layers]
    precision, typed, int8_mode, _ = how
    wrong = None
    if precision == "int8" and int8_mode != "implicit" and not quantised:
        wrong = "has no QuantizeLinear and DequantizeLinear nodes"
    if int8_mode == "implicit" and quantised:
        wrong = "has QuantizeLinear and DequantizeLinear nodes, beside which ranges are ignored"
    if precision == "fp16" and typed and not _has_half(layers):
        wrong = "has no float16 tensors"
    if wrong:
        mode = f" in the mode {int8_mode!r}" if int8_mode else ""
        raise BuildError(
            f"{precision}{mode} was asked, but {os.path.basename(source)} {wrong}, and "
            f"{trt_api.describe(trt)} takes the types from the file",
            fix=f"build it from the model: edgedeploy build MODEL --backend trt --{precision}",
        )


def _has_half(layers: List[Any]) -> bool:
    return any(
        layer.get_output(i).dtype.name == "HALF"
        for layer in layers
        for i in range(layer.num_outputs)
    )


def add_profile(
    builder: Any, network: Any, config: Any, batch: Tuple[int, int, int]
) -> Tuple[int, ...]:
    """Tell which sizes of batch will come; return the best input shape.

    Raises:
        BuildError: There is not one image input, or its height and width are not known.
    """
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    shape = tuple(inputs[0].shape) if len(inputs) == 1 else ()
    if len(shape) != 4 or min(shape[1:]) < 1:
        found = ", ".join(_show(tensor) for tensor in inputs) or "no input"
        raise BuildError(
            f"the model has {found}; TensorRT needs one input of shape (any, 3, height, width)",
            fix="give the size in pixels: --resolution 224, or --input-shape 3x224x224",
        )
    if shape[0] > 0:
        return shape
    sizes = [(n, *shape[1:]) for n in batch]
    profile = builder.create_optimization_profile()
    profile.set_shape(inputs[0].name, *sizes)
    config.add_optimization_profile(profile)
    return sizes[1]


def calibration_profile(builder: Any, network: Any, shape: Tuple[int, ...]) -> Any:
    """Return a profile of one shape, for the calibration of a network whose batch is dynamic.

    Returns:
        None where the batch is fixed: such a network needs none.
    """
    image = network.get_input(0)
    if tuple(image.shape) == shape:
        return None
    profile = builder.create_optimization_profile()
    profile.set_shape(image.name, shape, shape, shape)
    return profile


def _show(tensor: Any) -> str:
    lengths = ", ".join("any" if length < 0 else str(length) for length in tuple(tensor.shape))
    return f"{tensor.name!r} of shape ({lengths})"
