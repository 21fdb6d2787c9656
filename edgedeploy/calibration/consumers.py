"""What an error in a channel of an activation costs the layers that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.graph.constants import array_of
from edgedeploy.graph.placement import is_weighted, output_axis

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from edgedeploy.types import Array

# they hand on the values that they read, in the same order
_KEEP_ORDER = frozenset({"Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Unsqueeze"})


def channel_weights(graph: ir.Graph, channels: Mapping[str, int]) -> dict[str, Array]:
    """Return the factor by which each channel's squared error reaches the outputs of its readers.

    A convolution adds up independent errors: one in channel c adds its square times the sum of
    all squared weights that c meets. Any other reader, an Add or a pool, hands it on as it is.

    Behind the last convolution or matrix product the values are the answer, of which the largest
    counts: no squared error says what cutting it costs.

    Args:
        graph: Batch norm folded.
        channels: How many each activation has on axis 1, by name.

    Returns:
        By name ``(channels,)`` float64; tensors that are the answer are left out.

    Source:
        Banner et al. 2019 (see `squared_error`) weigh rounding and clipping as independent noise;
        that its power passes a linear layer by the squared weights is the variance of a sum.
    """
    values = {value.name: value for value in graph.inputs}
    values |= {value.name: value for node in graph for value in node.outputs}
    return {
        name: _factors(values[name], count)
        for name, count in channels.items()
        if _is_read_by_a_layer(values[name])
    }


def _is_read_by_a_layer(value: ir.Value) -> bool:
    """Return whether a convolution or matrix product comes anywhere behind a value."""
    seen: set[ir.Value] = set()
    waiting = [value]
    while waiting:
        for node, _ in waiting.pop().uses():
            if is_weighted(node):
                return True
            waiting += [output for output in node.outputs if output not in seen]
            seen.update(node.outputs)
    return False


def _factors(value: ir.Value, channels: int) -> Array:
    total = np.zeros(channels)
    for node, index in value.uses():
        if is_weighted(node) and index == 0:
            total += _folded(_squares(node), channels)
        elif node.op_type in _KEEP_ORDER:
            total += _factors(node.outputs[0], channels)
        else:
            total += 1.0
    return total


def _squares(node: ir.Node) -> Array:
    """Return the sum of squared weights by input channel or feature."""
    weight = array_of(node.inputs[1])
    if weight is None:  # is_weighted has looked
        raise ValueError(f"{node.name} has no constant weights")
    squares: Array = np.square(weight.astype(np.float64))
    if node.op_type != "Conv":
        found: Array = squares.sum(axis=output_axis(node))
        return found
    groups = node.attributes.get_int("group", 1)
    by_group = squares.reshape(groups, -1, *squares.shape[1:])
    found = by_group.sum(axis=(1, *range(3, by_group.ndim)))
    return found.reshape(-1)


def _folded(weights: Array, channels: int) -> Array:
    """Add up the features of each channel, as Flatten lays them out; else spread them evenly."""
    if len(weights) % channels:
        return np.full(channels, weights.sum() / channels)
    found: Array = weights.reshape(channels, -1).sum(axis=1)
    return found
