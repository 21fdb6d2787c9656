"""The pass that makes a graph INT8: quantised weights, and Q/DQ pairs behind activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgedeploy.errors import BuildError
from edgedeploy.graph.bias import bias_of, correct_bias, takes_bias
from edgedeploy.graph.constants import add_constant, array_of, opset, sort_constants
from edgedeploy.graph.encoding import (
    Encoding,
    encode_bias,
    encode_range,
    encode_weight,
    weight_scale,
)
from edgedeploy.graph.placement import Placement, is_weighted, output_axis, place
from edgedeploy.types import QdqStyle

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgedeploy.types import Array, Correction, TensorRange

_SHOWN = 3


def quantise(
    model: ir.Model,
    ranges: Mapping[str, TensorRange],
    style: QdqStyle,
    *,
    any_x86: bool = True,
    corrections: Mapping[str, Correction] | None = None,
    floats: Collection[str] = (),
) -> None:
    """Insert Q/DQ pairs, and make weights int8 with one scale per output channel.

    Args:
        model: float32, batch norm folded; opset 13 or newer.
        ranges: By tensor name; `tensors.activations` says which must be there.
        style: u8: uint8 activations with zero points, int32 biases. s8: int8, zero points 0,
            float biases.
        any_x86: In u8, keep the weights to sums that do not saturate on CPUs without VNNI.
        corrections: By the name of a layer's output; measured with these very arguments.
        floats: Outputs of layers whose weights stay in float; see `place`. Of their corrections
            only the bias counts.

    Raises:
        BuildError: A range is missing or empty, a correction or a layer to leave in float does
            not fit, or the opset is too old. The model is unchanged.
    """
    placement = place(model.graph, style, floats)
    _check(model, placement, ranges)
    layers = _check_floats(model.graph, floats)
    found = corrections or {}
    check_corrections(model.graph, found)
    encodings = _encodings(placement, ranges, style)
    for node in placement.weighted:
        value = node.inputs[0]
        encoding = encodings[value] if value is not None and style is QdqStyle.U8 else None
        correction = found.get(node.outputs[0].name or "")
        _quantise_weights(model.graph, node, encoding, correction, any_x86=any_x86)
    for name in floats:
        if name in found:
            correct_bias(model.graph, layers[name], found[name].bias)
    for point, encoding in encodings.items():
        _insert_pair(model.graph, point, encoding)
    RemoveUnusedNodesPass()(model)
    sort_constants(model.graph)


def quantise_activations(
    model: ir.Model,
    ranges: Mapping[str, TensorRange],
    style: QdqStyle,
    *,
    floats: Collection[str] = (),
) -> None:
    """Insert the Q/DQ pairs of `quantise`, and leave the weights as they are."""
    placement = place(model.graph, style, floats)
    _check(model, placement, ranges)
    for point, encoding in _encodings(placement, ranges, style).items():
        _insert_pair(model.graph, point, encoding)


def _encodings(
    placement: Placement, ranges: Mapping[str, TensorRange], style: QdqStyle
) -> dict[ir.Value, Encoding]:
    return {
        point: encode_range(ranges[source.name or ""], style) for point, source in placement.points
    }


def _check(model: ir.Model, placement: Placement, ranges: Mapping[str, TensorRange]) -> None:
    if opset(model) < 13:
        raise BuildError(
            f"the model is opset {opset(model)}, int8 weights per channel need 13 or newer",
            fix="export it again with opset 13 or newer, or convert it with onnx.version_converter",
        )
    problems = {}
    for _, source in placement.points:
        name = source.name or ""
        found = ranges.get(name)
        if found is None:
            problems[name] = f"{name} has no range"
        elif not (found.low < found.high and math.isfinite(found.high - found.low)):
            problems[name] = f"{name} has the range {found.low:g} to {found.high:g}"
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise BuildError(
            f"{len(problems)} of the tensors to quantise have no usable range: "
            f"{'; '.join([*problems.values()][:_SHOWN])}{more}",
            fix="measure them on this very model: edgedeploy calibrate MODEL --data IMAGES",
        )


def _check_floats(graph: ir.Graph, floats: Collection[str]) -> dict[str, ir.Node]:
    """Return the layers by their outputs; refuse to leave others in float."""
    layers = {node.outputs[0].name or "": node for node in graph if is_weighted(node)}
    unknown = [name for name in floats if name not in layers]
    if unknown:
        raise BuildError(
            f"the calibration leaves {unknown[0]} in float, which is no layer here",
            fix="calibrate this very model: edgedeploy calibrate MODEL --data IMAGES",
        )
    return layers


def check_corrections(graph: ir.Graph, corrections: Mapping[str, Correction]) -> None:
    """Refuse corrections of layers that the graph does not have.

    Raises:
        BuildError: One names no layer, or is of another shape.
    """
    layers = (node for node in graph if is_weighted(node) and takes_bias(node))
    nodes = {node.outputs[0].name or "": node for node in layers}
    fix = "calibrate this very model: edgedeploy calibrate MODEL --data IMAGES"
    for name, correction in corrections.items():
        if name not in nodes:
            raise BuildError(f"the calibration corrects {name}, which is no layer here", fix=fix)
        weight = np.asarray(array_of(nodes[name].inputs[1]))
        wanted = (weight.shape[output_axis(nodes[name])],)
        if correction.bias.shape != wanted:
            raise BuildError(
                f"the calibration corrects {name} with a bias of {correction.bias.shape}, "
                f"the layer's is {wanted}",
                fix=fix,
            )
        if correction.rounding is not None and correction.rounding.shape != weight.shape:
            raise BuildError(
                f"the calibration rounds {correction.rounding.shape} weights of {name}, "
                f"the layer has {weight.shape}",
                fix=fix,
            )


def _quantise_weights(
    graph: ir.Graph,
    node: ir.Node,
    encoding: Encoding | None,
    correction: Correction | None,
    *,
    any_x86: bool,
) -> None:
    """Put int8 weights before ``node``, and where its input's encoding is given an int32 bias."""
    weight, axis = np.asarray(array_of(node.inputs[1])), output_axis(node)
    bias = bias_of(node)
    scale = weight_scale(weight, axis, bias=bias, encoding=encoding, any_x86=any_x86)
    rounding = None if correction is None else correction.rounding
    whole, found = encode_weight(weight, axis, scale, rounding)
    _replace_constant(graph, node, 1, whole, found, axis=axis)
    if correction is not None:
        bias = correct_bias(graph, node, correction.bias)
    if encoding is None or bias is None or bias.shape != scale.shape:
        return
    whole_bias, bias_encoding = encode_bias(bias, encoding.scale, scale)
    _replace_constant(graph, node, 2, whole_bias, bias_encoding, axis=0)


def _replace_constant(
    graph: ir.Graph, node: ir.Node, index: int, whole: Array, encoding: Encoding, *, axis: int
) -> None:
    """Read an input from an integer constant through a DQ of its own."""
    old = node.inputs[index]
    name = old.name if old is not None and len(old.uses()) == 1 else None
    name = name or f"{node.outputs[0].name}/input_{index}"
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


def _insert_pair(graph: ir.Graph, value: ir.Value, encoding: Encoding) -> None:
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


def _node(
    kind: str,
    inputs: list[ir.Value],
    output: str,
    dtype: ir.DataType | None,
    shape: ir.Shape | tuple[int, ...] | None,
    **attributes: int,
) -> ir.Node:
    result = ir.Value(
        name=output,
        shape=None if shape is None else ir.Shape(shape),
        type=None if dtype is None else ir.TensorType(dtype),
    )
    return ir.node(kind, inputs, attributes, outputs=[result], name=output)
