"""The pass that folds batch norm into the convolution before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgedeploy.graph.constants import add_constant, array_of

if TYPE_CHECKING:
    import onnx_ir as ir


def fold_batch_norm(model: ir.Model) -> None:
    """Fold every BatchNormalization that alone reads a convolution into its weights and bias.

    The convolution's output takes the name of batch norm's, so that ranges by name still fit. One
    behind something else than a convolution with constant weights stays.

    Source:
        Jacob et al. 2018, section 3.2: w' = w·γ/√(σ² + eps), b' = β + (b − μ)·γ/√(σ² + eps).
    """
    for norm in model.graph:
        convolution = _foldable(norm)
        if convolution is not None:
            _fold(model.graph, convolution, norm)
    RemoveUnusedNodesPass()(model)


def _foldable(norm: ir.Node) -> ir.Node | None:
    """Return the convolution that ``norm`` can be folded into."""
    if norm.op_type != "BatchNormalization" or norm.attributes.get_int("training_mode", 0) == 1:
        return None
    value = norm.inputs[0]
    convolution = None if value is None else value.producer()
    if value is None or convolution is None or convolution.op_type != "Conv":
        return None
    if len(value.uses()) != 1 or value.is_graph_output():
        return None
    constants = [*convolution.inputs[1:], *norm.inputs[1:]]
    return None if any(array_of(c) is None for c in constants if c is not None) else convolution


def _fold(graph: ir.Graph, convolution: ir.Node, norm: ir.Node) -> None:
    gamma, beta, mean, variance, weight = (
        np.asarray(array_of(value), np.float64)
        for value in (*norm.inputs[1:5], convolution.inputs[1])
    )
    bias = array_of(convolution.inputs[2]) if len(convolution.inputs) > 2 else None
    scale = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    shift = beta + ((0.0 if bias is None else bias) - mean) * scale
    name = convolution.inputs[1].name or ""  # type: ignore[union-attr]  # its array was read above
    dtype = np.asarray(array_of(convolution.inputs[1])).dtype
    convolution.resize_inputs(3)
    folded = (
        add_constant(graph, f"{name}/folded", weight.astype(dtype)),
        add_constant(graph, f"{name}/folded_bias", shift.astype(dtype)),
    )
    for index, value in enumerate(folded, start=1):
        convolution.replace_input_with(index, value)
    _take_over(graph, convolution.outputs[0], norm.outputs[0])
    graph.remove(norm, safe=True)


def _take_over(graph: ir.Graph, value: ir.Value, old: ir.Value) -> None:
    """Let ``value`` stand where ``old`` stood: readers, graph output and name."""
    for node, index in tuple(old.uses()):
        node.replace_input_with(index, value)
    for position, output in enumerate(graph.outputs):
        if output is old:
            graph.outputs[position] = value
    name, old.name = old.name, None
    value.name = name
