"""The pass that makes a graph compute in float16."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from edgedeploy.errors import BuildError
from edgedeploy.graph.constants import add_constant, array_of

_LARGEST = float(np.finfo(np.float16).max)
# inputs that ONNX wants in float32 whatever the data are
_FLOAT32_INPUTS = frozenset({("Resize", 2)})
_DTYPE_ATTRIBUTES = {"Cast": "to", "RandomNormalLike": "dtype", "RandomUniformLike": "dtype"}


def to_float16(model: ir.Model) -> None:
    """Compute in float16 between a float32 input and a float32 output of the same names.

    Q/DQ nodes get float16 scales: they must be such that float16 holds, see `quantise`. Only what
    quantises the input itself reads it in float32, so that nothing is rounded twice.

    Raises:
        BuildError: A weight is outside float16's range, ±65504. The model is unchanged.
    """
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    graph = model.graph
    for value in graph.inputs:
        _keep_quantised_input(graph, value)
    constants = [v for v in graph.initializers.values() if v.dtype == ir.DataType.FLOAT]
    _check([v for v in constants if not _is_bound(v)])
    for value in constants:
        if not _stays_float32(value):
            _halve(value)
    for node in graph:
        _halve_type_attribute(node)
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT:
                value.type = ir.TensorType(ir.DataType.FLOAT16)
    for value in graph.inputs:
        _cast_input(graph, value)
    for position, value in enumerate(graph.outputs):
        if value.dtype == ir.DataType.FLOAT16:
            graph.outputs[position] = _cast_output(graph, value)


def _check(weights: list[ir.Value]) -> None:
    for value in weights:
        array = array_of(value)
        largest = 0.0 if array is None or not array.size else float(np.abs(array).max())
        if not largest <= _LARGEST:
            raise BuildError(
                f"{value.name} holds {largest:g}, float16 ends at {_LARGEST:g}",
                fix="build fp32 instead, or scale that tensor down in training",
            )


def _is_bound(value: ir.Value) -> bool:
    """Return whether a constant only bounds a Clip, where ±3.4e38 means that there is no bound."""
    return all(node.op_type == "Clip" and index > 0 for node, index in value.uses())


def _stays_float32(value: ir.Value) -> bool:
    return any(
        (node.op_type, index) in _FLOAT32_INPUTS or _quantises_input(node)
        for node, index in value.uses()
    )


def _quantises_input(node: ir.Node) -> bool:
    value = node.inputs[0] if node.op_type == "QuantizeLinear" else None
    return value is not None and value.is_graph_input()


def _keep_quantised_input(graph: ir.Graph, value: ir.Value) -> None:
    """Give the nodes that quantise an input a float32 scale of their own."""
    for node, _ in tuple(value.uses()):
        scale = array_of(node.inputs[1]) if _quantises_input(node) else None
        if scale is not None:
            own = add_constant(graph, f"{value.name}/scale/float32", scale)
            node.replace_input_with(1, own)


def _halve(value: ir.Value) -> None:
    array = np.asarray(array_of(value))
    half = np.clip(array, -_LARGEST, _LARGEST).astype(np.float16)
    value.const_value = ir.tensor(half, name=value.name)
    value.type = ir.TensorType(ir.DataType.FLOAT16)


def _halve_type_attribute(node: ir.Node) -> None:
    name = _DTYPE_ATTRIBUTES.get(node.op_type)
    if name is not None and node.attributes.get_int(name) == ir.DataType.FLOAT:
        node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT16))
    if node.op_type == "ConstantOfShape":
        value = node.attributes.get("value")
        filled = np.zeros(1, np.float32) if value is None else value.as_tensor().numpy()
        if filled.dtype == np.float32:
            half = ir.tensor(filled.astype(np.float16))
            node.attributes["value"] = ir.AttrTensor("value", half)


def _cast_input(graph: ir.Graph, value: ir.Value) -> None:
    if value.dtype != ir.DataType.FLOAT:
        return
    readers = tuple(use for use in value.uses() if use.node.op_type != "QuantizeLinear")
    if not readers:
        return
    cast = _cast(value, ir.DataType.FLOAT16, f"{value.name}/float16")
    graph.insert_before(graph[0], cast)
    for node, index in readers:
        node.replace_input_with(index, cast.outputs[0])


def _cast_output(graph: ir.Graph, value: ir.Value) -> ir.Value:
    name = value.name or ""
    value.name = f"{name}/float16"
    cast = _cast(value, ir.DataType.FLOAT, name)
    graph.append(cast)
    return cast.outputs[0]


def _cast(value: ir.Value, dtype: ir.DataType, output: str) -> ir.Node:
    result = ir.Value(name=output, shape=value.shape, type=ir.TensorType(dtype))
    return ir.node("Cast", [value], {"to": int(dtype)}, outputs=[result], name=f"{output}/cast")
