"""Where Q/DQ pairs go: behind which activations, in which style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.graph.constants import array_of, scalar_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import onnx_ir as ir

POOLS = frozenset({"GlobalAveragePool", "AveragePool"})
# the values are those of the input: the encoding stays as it is
MOVES = frozenset(
    {"Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)


@dataclass(frozen=True, slots=True)
class Placement:
    """What a style quantises in one graph.

    Attributes:
        points: The activations that get a Q/DQ pair, each with the activation whose range it
            uses: itself, unless it only moves the values of another. In graph order.
        weighted: Convolutions and matrix products whose weights are quantised, in graph order.
    """

    points: tuple[tuple[ir.Value, ir.Value], ...]
    weighted: tuple[ir.Node, ...]


def place(graph: ir.Graph, style: QdqStyle, floats: Collection[str] = ()) -> Placement:
    """Decide where Q/DQ pairs go; the graph stays as it is.

    u8 (ONNX Runtime, OpenVINO): on every input and output of a convolution, matrix product, Add
    and pool, so that each of them lies between DQ and Q. s8 (TensorRT): on the inputs only, and of
    an Add's inputs not on the one that a convolution computes for it alone, so that the sum is
    fused into that convolution. Neither style puts anything between a convolution and its ReLU.

    Args:
        graph: Batch norm folded.
        style: Of the Q/DQ pairs.
        floats: Outputs of convolutions and matrix products that stay in float: they ask for no
            pair, and what others ask for stays. Where all of them do, nothing is quantised.

    Source:
        NVIDIA TensorRT developer guide, "Q/DQ layer-placement recommendations";
        ONNX Runtime, "Quantize ONNX models", QDQ format.
    """
    layers = [node for node in graph if is_weighted(node)]
    weighted = tuple(node for node in layers if node.outputs[0].name not in floats)
    if layers and not weighted:
        return Placement((), ())
    wanted: set[ir.Value] = set()
    for node in graph:
        if node in weighted:
            wanted.add(_activation(node.inputs[0]))
        elif node.op_type == "Add" and _adds_activations(node):
            wanted.update(_added(node, style))
        elif node.op_type in POOLS:
            wanted.update((_activation(node.inputs[0]), node.outputs[0]))
        else:
            continue
        if style is QdqStyle.U8:
            wanted.add(behind_activation(node.outputs[0]))
    for value in tuple(wanted):
        wanted.update(_moved_from(value))
    ordered = (value for value in _activations(graph) if value in wanted)
    return Placement(tuple((value, _source(value)) for value in ordered), weighted)


def is_weighted(node: ir.Node) -> bool:
    """Return whether a node multiplies an activation by constant weights that can be int8."""
    if node.op_type not in ("Conv", "Gemm", "MatMul") or node.domain not in ("", "ai.onnx"):
        return False
    weight = array_of(node.inputs[1])
    if weight is None or weight.dtype != "float32" or array_of(node.inputs[0]) is not None:
        return False
    if node.op_type == "MatMul":
        return weight.ndim == 2
    attributes = node.attributes
    return node.op_type == "Conv" or (
        attributes.get_float("alpha", 1.0) == 1.0
        and attributes.get_float("beta", 1.0) == 1.0
        and attributes.get_int("transA", 0) == 0
    )


def output_axis(node: ir.Node) -> int:
    """Return the axis of a weighted node's weights that counts its output channels."""
    if node.op_type == "Conv":
        return 0
    return 0 if node.attributes.get_int("transB", 0) else 1


def _adds_activations(node: ir.Node) -> bool:
    return all(value is not None and array_of(value) is None for value in node.inputs)


def _added(node: ir.Node, style: QdqStyle) -> Iterator[ir.Value]:
    """Yield the inputs of an Add that are quantised."""
    inputs = [_activation(value) for value in node.inputs]
    fused = None
    if style is QdqStyle.S8:
        # of two candidates the later one: the other branch is ready when it runs
        candidates = [value for value in inputs if _is_projection(value)]
        fused = max(candidates, key=_position, default=None)
    for value in inputs:
        if value is not fused:
            yield value


def _is_projection(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and is_weighted(producer) and len(value.uses()) == 1


def _position(value: ir.Value) -> int:
    producer = value.producer()
    if producer is None or producer.graph is None:
        return -1
    return next(i for i, node in enumerate(producer.graph) if node is producer)


def behind_activation(value: ir.Value) -> ir.Value:
    """Return the value behind the ReLUs and Clips that alone read ``value``; else ``value``."""
    while len(value.uses()) == 1 and not value.is_graph_output():
        (reader,) = value.consumers()
        if not (reader.op_type == "Relu" or _is_relu6(reader)):
            return value
        value = reader.outputs[0]
    return value


def _is_relu6(node: ir.Node) -> bool:
    if node.op_type != "Clip" or len(node.inputs) < 1:
        return False
    bounds = [*node.inputs[1:], None, None][:2]
    return all(scalar_of(bound, 0.0) is not None for bound in bounds)


def _moved_from(value: ir.Value) -> Iterator[ir.Value]:
    """Yield the values that ``value`` only moves, back to where they were computed."""
    while (producer := value.producer()) is not None and producer.op_type in MOVES:
        value = _activation(producer.inputs[0])
        yield value


def _source(value: ir.Value) -> ir.Value:
    return (value, *_moved_from(value))[-1]


def _activations(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from (value for value in graph.inputs if not value.is_initializer())
    for node in graph:
        yield from node.outputs


def _activation(value: ir.Value | None) -> ir.Value:
    if value is None:  # the ONNX checker has refused such a node
        raise ValueError("a required input is left out")
    return value
