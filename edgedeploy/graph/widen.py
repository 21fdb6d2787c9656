"""The pass that turns weights stored as float16 into the float32 constants they are cast to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgedeploy.graph.constants import add_constant, array_of

if TYPE_CHECKING:
    from edgedeploy.types import Array


def widen(model: ir.Model) -> None:
    """Replace every Cast of a float16 constant to float32 by what it makes, under its name.

    Files that are kept small hold their weights so. Layers whose weights another node computes
    would be neither folded nor calibrated nor quantised.
    """
    for node in model.graph:
        stored = _stored(node)
        if stored is None:
            continue
        output = node.outputs[0]
        value = add_constant(model.graph, output.name or "", stored.astype(np.float32))
        for reader, index in tuple(output.uses()):
            reader.replace_input_with(index, value)
        model.graph.remove(node, safe=True)
    RemoveUnusedNodesPass()(model)


def _stored(node: ir.Node) -> Array | None:
    """Return the float16 constant that ``node`` casts to float32, None if it does not."""
    if node.op_type != "Cast" or node.attributes.get_int("to", 0) != ir.DataType.FLOAT:
        return None
    array = array_of(node.inputs[0])
    half = array is not None and array.dtype == np.float16
    return array if half and not node.outputs[0].is_graph_output() else None
