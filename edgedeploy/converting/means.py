"""Biases corrected: what the means of decomposed layers have moved by is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.converting import running
from edgedeploy.graph import dac
from edgedeploy.graph.bias import bias_of, takes_bias
from edgedeploy.graph.constants import array_of, constant_like
from edgedeploy.graph.placement import behind_activation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import onnx_ir as ir

    from edgedeploy.types import Array

_LEAST_SHARE = 0.2  # a ReLU's zeros do not move with the bias; few other values tell little
_STEPS = 2  # the share grows with the bias: where it was small, one step goes too far


def correct_biases(
    original: ir.Model,
    converted: ir.Model,
    layers: Collection[str],
    pictures: Sequence[Array],
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Give every decomposed layer back the means that its output channels had.

    Layer by layer in graph order, each behind the corrected ones before it: first the mean of what
    the layer puts out, then, where a ReLU or Clip follows, what is still missing behind that. The
    second step matters more: a lower rank takes variance away, less of which gets past a ReLU. A
    layer whose bias depends on the input is left as it is.

    Args:
        original: The network before.
        converted: The same with ``layers`` decomposed; its biases are changed in place.
        layers: By name, see `dac.convertible`.
        pictures: Inputs, ``(1, 3, H, W)`` float32.
        threads: Of ONNX Runtime.
        progress: Called with (layers done, layers in all) after each.

    Source:
        Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
        Correction", section 4.2, appendix D (empirical), for another source of error.
    """
    nodes = {name: n for name, n in dac.convertible(original).items() if name in layers}
    sizes = {n.outputs[0].name or "": dac.weight_of(n).ndim for n in nodes.values()}
    behind = {
        node.outputs[0].name or "": behind_activation(node.outputs[0]).name or ""
        for node in nodes.values()
    }
    names = {name: axes for output, axes in sizes.items() for name in (output, behind[output])}
    wanted = running.channel_means(original, names, pictures, threads)
    last = {node.outputs[0].name: node for node in converted.graph}
    for number, (output, axes) in enumerate(sizes.items(), start=1):
        if takes_bias(last[output]):
            found = running.channel_means(converted, {output: axes}, pictures, threads)
            _shift(converted.graph, last[output], wanted[output] - found[output])
            after = behind[output]
            for _ in range(_STEPS if after != output else 0):
                mean, share = running.activity(converted, after, axes, pictures, threads)
                missing = (wanted[after] - mean) / np.maximum(share, _LEAST_SHARE)
                _shift(converted.graph, last[output], missing)
        progress(number, len(sizes))


def _shift(graph: ir.Graph, node: ir.Node, shift: Array) -> None:
    bias = bias_of(node)
    shifted = shift + (0.0 if bias is None else np.asarray(bias, np.float64))
    like = node.inputs[1] if bias is None else node.inputs[2]
    node.resize_inputs(3)
    value = constant_like(graph, node, f"{node.name}/bias", shifted, like)
    old = node.inputs[2]
    node.replace_input_with(2, value)
    if old is not None and not old.uses() and array_of(old) is not None:
        graph.initializers.pop(old.name or "", None)
