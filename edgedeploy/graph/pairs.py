"""QuantizeLinear and DequantizeLinear nodes: behind an activation, before a layer's constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgedeploy.graph.constants import add_constant

if TYPE_CHECKING:
    from edgedeploy.graph.encoding import Encoding
    from edgedeploy.types import Array


def insert_pair(graph: ir.Graph, value: ir.Value, encoding: Encoding) -> None:
    """Let every reader of ``value`` read it through Q and DQ; an output keeps its name."""
    name = value.name or ""
    scale = add_constant(graph, f"{name}/scale", encoding.scale)
    zero_point = add_constant(graph, f"{name}/zero_point", encoding.zero_point)
    readers = tuple(value.uses())
    quantised = _node(
        "QuantizeLinear",
        [value, scale, zero_point],
        f"{name}/quantized",
        zero_point.dtype,
        value.shape,
    )
    dequantised = _node(
        "DequantizeLinear",
        [quantised.outputs[0], scale, zero_point],
        f"{name}/dequantized",
        ir.DataType.FLOAT,
        value.shape,
    )
    for node, index in readers:
        node.replace_input_with(index, dequantised.outputs[0])
    if value.is_graph_output():
        position = next(i for i, output in enumerate(graph.outputs) if output is value)
        graph.outputs[position] = dequantised.outputs[0]
        value.name, dequantised.outputs[0].name = f"{name}/float", name
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], (quantised, dequantised))
    else:
        graph.insert_after(producer, (quantised, dequantised))


def dequantise_constant(
    graph: ir.Graph, node: ir.Node, index: int, whole: Array, encoding: Encoding, *, axis: int
) -> None:
    """Read an input from an integer constant through a DQ of its own."""
    name = _name_of(node, index)
    dequantised = _node(
        "DequantizeLinear",
        [
            add_constant(graph, f"{name}/quantized", whole),
            add_constant(graph, f"{name}/scale", encoding.scale),
            add_constant(graph, f"{name}/zero_point", encoding.zero_point),
        ],
        f"{name}/dequantized",
        ir.DataType.FLOAT,
        whole.shape,
        axis=axis,
    )
    graph.insert_before(node, dequantised)
    node.replace_input_with(index, dequantised.outputs[0])


def quantise_weights_in_graph(
    graph: ir.Graph, node: ir.Node, whole: Array, encoding: Encoding, *, axis: int
) -> None:
    """Read the weights from float32 ones on their integers' grid, through Q and DQ of their own.

    The axis of Q and DQ is 0, as in every example of TensorRT's: a matrix whose output channels
    are its columns is held transposed.

    Args:
        graph: That ``node`` is in.
        node: A Conv, Gemm or MatMul.
        whole: int8, the weights' shape.
        encoding: ``(channels,)`` scales, zero points 0.
        axis: Of the output channels.
    """
    name = _name_of(node, 1)
    rows = whole if axis == 0 else np.ascontiguousarray(whole.T)
    snapped = add_constant(graph, f"{name}/snapped", _snap(rows, encoding.scale))
    scale = add_constant(graph, f"{name}/scale", encoding.scale)
    zero_point = add_constant(graph, f"{name}/zero_point", encoding.zero_point)
    quantised = _node(
        "QuantizeLinear",
        [snapped, scale, zero_point],
        f"{name}/quantized",
        zero_point.dtype,
        rows.shape,
        axis=0,
    )
    dequantised = _node(
        "DequantizeLinear",
        [quantised.outputs[0], scale, zero_point],
        f"{name}/dequantized",
        ir.DataType.FLOAT,
        rows.shape,
        axis=0,
    )
    graph.insert_before(node, (quantised, dequantised))
    node.replace_input_with(1, dequantised.outputs[0])
    if axis == 0:
        return
    if node.op_type == "Gemm":
        node.attributes["transB"] = ir.AttrInt64("transB", 1)
        return
    turned = _node(
        "Transpose",
        [dequantised.outputs[0]],
        f"{name}/transposed",
        ir.DataType.FLOAT,
        whole.shape,
        perm=[1, 0],
    )
    graph.insert_before(node, turned)
    node.replace_input_with(1, turned.outputs[0])


def _snap(rows: Array, scale: Array) -> Array:
    """Return the float32 numbers next to ``rows`` · ``scale``, one scale a row.

    Divided by that scale again they are next to those very integers: at most 127, they are off by
    127 · 2⁻²³ at most.
    """
    column = scale.astype(np.float64).reshape(-1, *[1] * (rows.ndim - 1))
    largest = float(np.finfo(np.float32).max)
    found: Array = np.clip(rows * column, -largest, largest).astype(np.float32)
    return found


def _name_of(node: ir.Node, index: int) -> str:
    old = node.inputs[index]
    name = old.name if old is not None and len(old.uses()) == 1 else None
    return name or f"{node.outputs[0].name}/input_{index}"


def _node(
    kind: str,
    inputs: list[ir.Value],
    output: str,
    dtype: ir.DataType | None,
    shape: ir.Shape | tuple[int, ...] | None,
    **attributes: int | list[int],
) -> ir.Node:
    result = ir.Value(
        name=output,
        shape=None if shape is None else ir.Shape(shape),
        type=None if dtype is None else ir.TensorType(dtype),
    )
    return ir.node(kind, inputs, attributes, outputs=[result], name=output)
