"""The pass that makes a graph INT8: quantised weights, and Q/DQ pairs behind activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import BuildError
from edgedeploy.graph.bias import bias_of, correct_bias, takes_bias
from edgedeploy.graph.constants import array_of, opset, sort_constants
from edgedeploy.graph.encoding import (
    LARGEST_HALF,
    Encoding,
    encode_bias,
    encode_range,
    encode_weight,
    half_scale,
    halve_weight,
    weight_scale,
)
from edgedeploy.graph.pairs import dequantise_constant, insert_pair, quantise_weights_in_graph
from edgedeploy.graph.placement import Placement, is_weighted, output_axis, place

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import onnx_ir as ir

    from edgedeploy.calibration_values import Correction, TensorRange

_SHOWN = 3


def quantise(
    model: ir.Model,
    ranges: Mapping[str, TensorRange],
    style: QdqStyle,
    *,
    any_x86: bool = True,
    corrections: Mapping[str, Correction] | None = None,
    floats: Collection[str] = (),
    float_weights: bool = False,
    half: bool = False,
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
        float_weights: In s8, write quantised weights as float32 on their integers' grid, behind Q
            and DQ: TensorRT 8 refuses an int8 constant.
        half: In s8, choose scales that float16 holds; `to_float16` then makes them float16.

    Raises:
        BuildError: A range is missing, empty or, with ``half``, beyond float16; a correction or a
            layer to leave in float does not fit; or the opset is too old. The model is unchanged.
    """
    placement = place(model.graph, style, floats)
    _check(model, placement, ranges)
    if half:
        _check_half(placement, ranges)
    layers = _check_floats(model.graph, floats)
    found = corrections or {}
    check_corrections(model.graph, found)
    encodings = _encodings(placement, ranges, style, half=half)
    for node in placement.weighted:
        value = node.inputs[0]
        _quantise_weights(
            model.graph,
            node,
            encodings[value] if value is not None and style is QdqStyle.U8 else None,
            found.get(node.outputs[0].name or ""),
            any_x86=any_x86,
            float_weights=float_weights,
            half=half,
        )
    for name in floats:
        if name in found:
            correct_bias(model.graph, layers[name], found[name].bias)
    for point, encoding in encodings.items():
        insert_pair(model.graph, point, encoding)
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
        insert_pair(model.graph, point, encoding)


def _encodings(
    placement: Placement, ranges: Mapping[str, TensorRange], style: QdqStyle, *, half: bool = False
) -> dict[ir.Value, Encoding]:
    found = {
        point: encode_range(ranges[source.name or ""], style) for point, source in placement.points
    }
    if half:
        return {point: Encoding(half_scale(e.scale), e.zero_point) for point, e in found.items()}
    return found


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


def _check_half(placement: Placement, ranges: Mapping[str, TensorRange]) -> None:
    """Refuse activations and weights that float16 cannot hold once they are dequantised."""
    reached = {}
    for _, source in placement.points:
        found = ranges[source.name or ""]
        reached[source.name or ""] = max(-found.low, found.high)
    for node in placement.weighted:
        weight = node.inputs[1]
        reached[(weight and weight.name) or ""] = float(np.abs(np.asarray(array_of(weight))).max())
    for name, largest in reached.items():
        if not largest <= LARGEST_HALF:
            raise BuildError(
                f"{name} reaches {largest:g}, float16 ends at {LARGEST_HALF:g}, and a strongly "
                "typed INT8 engine is float16 outside the quantised layers",
                fix="build it with --fp32, or with --int8-mode qdq where TensorRT is 10",
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
    float_weights: bool,
    half: bool,
) -> None:
    """Put int8 weights before ``node``, and where its input's encoding is given an int32 bias."""
    weight, axis = np.asarray(array_of(node.inputs[1])), output_axis(node)
    bias = bias_of(node)
    scale = weight_scale(weight, axis, bias=bias, encoding=encoding, any_x86=any_x86)
    rounding = None if correction is None else correction.rounding
    whole, found = encode_weight(weight, axis, scale, rounding)
    if half:
        whole, found = halve_weight(weight, axis, whole, scale)
    if float_weights:
        quantise_weights_in_graph(graph, node, whole, found, axis=axis)
    else:
        dequantise_constant(graph, node, 1, whole, found, axis=axis)
    if correction is not None:
        bias = correct_bias(graph, node, correction.bias)
    if encoding is None or bias is None or bias.shape != scale.shape:
        return
    whole_bias, bias_encoding = encode_bias(bias, encoding.scale, scale)
    dequantise_constant(graph, node, 2, whole_bias, bias_encoding, axis=0)
