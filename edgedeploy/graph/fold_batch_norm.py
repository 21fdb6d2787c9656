"""The pass that folds batch norm into the convolution before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgedeploy.graph.constants import add_constant, array_of, constant_like, stored

if TYPE_CHECKING:
    from edgedeploy.types import Array


def fold_batch_norm(model: ir.Model) -> None:
    """Fold every BatchNormalization that alone reads a convolution into its weights and bias.

    The convolution's output takes the name of batch norm's, so that ranges by name still fit. One
    behind something else than a convolution with constant weights stays. Weights kept as float16,
    behind a Cast, are kept so again.

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
    arrays = [array_of(stored(c)) for c in constants if c is not None]
    if any(array is None for array in arrays) or not _is_float(arrays[0]):
        return None
    return convolution


def _is_float(array: Array | None) -> bool:
    # weights that a Cast makes of integers would be rounded to integers again
    return array is not None and array.dtype.kind == "f"


def _fold(graph: ir.Graph, convolution: ir.Node, norm: ir.Node) -> None:
    gamma, beta, mean, variance, weight = (
        np.asarray(array_of(stored(value)), np.float64)
        for value in (*norm.inputs[1:5], convolution.inputs[1])
    )
    bias = array_of(stored(convolution.inputs[2])) if len(convolution.inputs) > 2 else None
    scale = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    shift = beta + ((0.0 if bias is None else bias) - mean) * scale
    name = convolution.inputs[1].name or ""  # type: ignore[union-attr]  # its array was read above
    kernel = constant_like(graph, convolution, f"{name}/folded", weight, convolution.inputs[1])
    computed = (kernel.dtype or ir.DataType.FLOAT).numpy()
    convolution.resize_inputs(3)
    convolution.replace_input_with(1, kernel)
    folded_bias = add_constant(graph, f"{name}/folded_bias", shift.astype(computed))
    convolution.replace_input_with(2, folded_bias)
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
