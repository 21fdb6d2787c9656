"""The bias of a convolution or matrix product, and adding to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.graph.constants import array_of, replace_constant

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgedeploy.types import Array


def bias_of(node: ir.Node) -> Array | None:
    """Return a layer's own constant bias; None where it has none, as a MatMul never has."""
    return array_of(node.inputs[2]) if len(node.inputs) > 2 else None


def takes_bias(node: ir.Node) -> bool:
    """Return whether a weighted node has a place for a bias of one number a channel."""
    if node.op_type not in ("Conv", "Gemm"):
        return False
    bias = bias_of(node)
    if bias is None:  # left out, unless it depends on the input
        return len(node.inputs) < 3 or node.inputs[2] is None
    return bias.ndim == 1


def correct_bias(graph: ir.Graph, node: ir.Node, shift: Array) -> Array:
    """Add ``shift``, ``(channels,)`` float32, to the bias of a node that takes one; return it."""
    bias = bias_of(node)
    shifted: Array = np.asarray(shift + (np.float32(0) if bias is None else bias), np.float32)
    node.resize_inputs(3)
    replace_constant(graph, node, 2, shifted)
    return shifted
