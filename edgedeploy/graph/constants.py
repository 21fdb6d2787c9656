"""Constants of a graph as NumPy arrays, whether they are initialisers or Constant nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from edgedeploy.types import Array


def array_of(value: ir.Value | None) -> Array | None:
    """Return what a value always holds, or None if it depends on the input or is left out."""
    if value is None:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def scalar_of(value: ir.Value | None, default: float) -> float | None:
    """Return a constant of one element; ``default`` if left out, None if it is no constant."""
    if value is None:
        return default
    array = array_of(value)
    return None if array is None or array.size != 1 else float(array.reshape(()))


def add_constant(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Add an initialiser called ``name``, or ``name.2`` and so on if that is taken."""
    taken = graph.initializers
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}.{number}"
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=unique)
    value = ir.Value(
        name=unique,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def stored(value: ir.Value | None) -> ir.Value | None:
    """Return the constant behind a Cast, as of weights kept in float16; else the value itself."""
    cast = _cast(value)
    return value if cast is None else cast.inputs[0]


def constant_like(
    graph: ir.Graph, node: ir.Node, name: str, array: Array, like: ir.Value | None
) -> ir.Value:
    """Add a constant stored as ``like`` is: of its type, and behind a Cast where that has one.

    Numbers beyond the range of what is stored behind a Cast are stored as it makes them.

    Args:
        graph: Of the node.
        node: The first that reads it.
        name: Of the constant.
        array: Of any float type.
        like: A constant, or what a Cast makes of one.
    """
    cast = _cast(like)
    small = np.asarray(array_of(stored(like))).dtype
    if cast is None:
        return add_constant(graph, name, array.astype(small))
    made = ir.DataType(cast.attributes.get_int("to", ir.DataType.FLOAT))
    if np.abs(array).max(initial=0.0) > np.finfo(small).max:
        return add_constant(graph, name, array.astype(made.numpy()))
    value = add_constant(graph, name, array.astype(small))
    widening = ir.Node(
        "",
        "Cast",
        [value],
        attributes=list(cast.attributes.values()),
        outputs=[ir.Value(name=f"{value.name}/cast", shape=value.shape, type=ir.TensorType(made))],
        name=f"{value.name}/cast",
    )
    graph.insert_before(node, widening)
    return widening.outputs[0]


def replace_constant(graph: ir.Graph, node: ir.Node, index: int, array: Array) -> None:
    """Let ``node`` read a float32 initialiser of new values instead of a constant.

    It takes the constant's name, unless somebody else reads that, too, and keeps it.
    """
    old = node.inputs[index]
    name = f"{node.outputs[0].name}/input_{index}"
    node.replace_input_with(index, None)
    if old is not None and old.name is not None and not (old.uses() or old.is_graph_output()):
        name = old.name
        graph.initializers.pop(name, None)
        if (producer := old.producer()) is not None:
            graph.remove(producer, safe=True)
    node.replace_input_with(index, add_constant(graph, name, array.astype(np.float32)))


def sort_constants(graph: ir.Graph) -> None:
    """List initialisers in the order of their readers, whatever order they were added in."""
    read = dict.fromkeys(
        value.name or ""
        for node in graph
        for value in node.inputs
        if value is not None and value.is_initializer()
    )
    for name in read:
        if name in graph.initializers:
            graph.initializers[name] = graph.initializers.pop(name)


def opset(model: ir.Model) -> int:
    """Return the version of ONNX's own operator set that the model uses."""
    return model.opset_imports.get("", 1)


def _cast(value: ir.Value | None) -> ir.Node | None:
    producer = None if value is None else value.producer()
    return producer if producer is not None and producer.op_type == "Cast" else None
