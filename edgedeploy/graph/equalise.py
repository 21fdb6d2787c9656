"""The pass that multiplies channels so that they share one range, and divides where they are read.

The network computes what it did before: a channel of a ReLU6 may only grow, and while it stays
below the common bound, that bound is a clip of its own in the channel's old units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.errors import BuildError
from edgedeploy.graph.constants import array_of, replace_constant, scalar_of
from edgedeploy.graph.placement import is_weighted, output_axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from edgedeploy.types import Array

# channel by channel, and s · f(x) = f(s · x) for s > 0
_HOMOGENEOUS = frozenset({"AveragePool", "GlobalAveragePool", "Identity", "MaxPool", "Relu"})


@dataclass(frozen=True, slots=True)
class Link:
    """Two layers with nothing between them that minds the scale of a channel.

    Attributes:
        name: The first layer's output behind its activation; what scales are stored under.
        tensors: Every tensor from the first layer's output to the second's input.
        producer: The convolution or matrix product that computes the channels.
        consumer: The only one that reads them.
        ceiling: Upper bound of a Clip between them; None where there is none.
        depthwise: Whether the consumer reads each channel with a kernel of its own.
    """

    name: str
    tensors: tuple[str, ...]
    producer: ir.Node
    consumer: ir.Node
    ceiling: float | None
    depthwise: bool


def links(graph: ir.Graph) -> tuple[Link, ...]:
    """Return the pairs of layers whose common channels can be scaled, in graph order."""
    return tuple(link for node in graph if is_weighted(node) for link in _links_from(node))


def equalise(model: ir.Model, scales: Mapping[str, Array]) -> None:
    """Multiply the named channels where they are computed, divide them where they are read.

    Args:
        model: float32, batch norm folded; changed in place.
        scales: By `Link.name`, ``(channels,)``; above 0, at least 1 where the link has a ceiling.

    Source:
        Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
        Correction", section 4.1; there ReLU6 is replaced by ReLU, here it stays.

    Raises:
        BuildError: The model has no such link, or one with another number of channels. The model
            is unchanged.
    """
    found = {link.name: link for link in links(model.graph)}
    for name, scale in scales.items():
        _check(name, scale, found.get(name))
    for name, scale in scales.items():
        _scale_outputs(model.graph, found[name].producer, scale)
        _scale_inputs(model.graph, found[name].consumer, scale)


def _check(name: str, scale: Array, link: Link | None) -> None:
    fix = "calibrate this very model: edgedeploy calibrate MODEL --data IMAGES"
    if link is None:
        raise BuildError(f"the calibration equalises {name}, which this model cannot", fix=fix)
    weight = np.asarray(array_of(link.producer.inputs[1]))
    channels = weight.shape[output_axis(link.producer)]
    if scale.shape != (channels,):
        raise BuildError(
            f"the calibration has {scale.size} equalisation scales for {name}, "
            f"which has {channels} channels",
            fix=fix,
        )
    wrong = scale[~((scale > 0) & np.isfinite(scale))]
    if wrong.size:
        raise BuildError(
            f"the calibration scales a channel of {name} by {wrong[0]:g}, it must be above 0",
            fix=fix,
        )
    if link.ceiling is not None and (scale < 1).any():
        raise BuildError(
            f"the calibration scales a channel of {name} by {scale.min():g}: "
            f"behind a Clip at {link.ceiling:g} it must be at least 1",
            fix=fix,
        )


def _links_from(producer: ir.Node) -> Iterator[Link]:
    value, ceiling = producer.outputs[0], None
    name = value.name or ""
    tensors = [name]
    while len(value.uses()) == 1 and not value.is_graph_output():
        (reader,) = value.consumers()
        if is_weighted(reader):
            if _fits(producer, reader):
                depthwise = _groups(reader) > 1 and _inputs_per_group(reader) == 1
                yield Link(name, tuple(tensors), producer, reader, ceiling, depthwise)
            return
        if reader.op_type == "Clip":
            bound = _ceiling(reader)
            if bound is None:
                return
            ceiling = bound if ceiling is None else min(bound, ceiling)
        elif not (reader.op_type in _HOMOGENEOUS or _pads_zeros(reader) or _drops_ones(reader)):
            return
        value = reader.outputs[0]
        tensors.append(value.name or "")
        if reader.op_type in ("Clip", "Relu"):
            name = tensors[-1]


def _fits(producer: ir.Node, consumer: ir.Node) -> bool:
    if not (_on_axis_1(producer, producer.outputs[0]) and _on_axis_1(consumer, consumer.inputs[0])):
        return False
    produced = np.asarray(array_of(producer.inputs[1])).shape[output_axis(producer)]
    return bool(produced == _groups(consumer) * _inputs_per_group(consumer))


def _on_axis_1(node: ir.Node, value: ir.Value | None) -> bool:
    """Return whether what a layer reads or computes has its channels there: a MatMul's are last."""
    shape = None if value is None else value.shape
    return node.op_type != "MatMul" or (shape is not None and len(shape) == 2)


def _groups(node: ir.Node) -> int:
    return int(node.attributes.get_int("group", 1))


def _inputs_per_group(node: ir.Node) -> int:
    shape: tuple[int, ...] = np.asarray(array_of(node.inputs[1])).shape
    return shape[1 - output_axis(node)]


def _ceiling(node: ir.Node) -> float | None:
    """Return the upper bound of a Clip from 0 up, None of any other."""
    low, high = [*node.inputs[1:], None, None][:2]
    if low is None or high is None or scalar_of(low, 0.0) != 0.0:
        return None
    return scalar_of(high, 0.0)


def _pads_zeros(node: ir.Node) -> bool:
    if node.op_type != "Pad" or node.attributes.get_string("mode", "constant") != "constant":
        return False
    filler = node.inputs[2] if len(node.inputs) > 2 else None
    return scalar_of(filler, 0.0) == 0.0


def _drops_ones(node: ir.Node) -> bool:
    """Return whether a node only takes the axes of length 1 off ``(N, C, 1, 1)``."""
    before = None if node.inputs[0] is None else node.inputs[0].shape
    after = node.outputs[0].shape
    if node.op_type not in ("Flatten", "Reshape", "Squeeze") or before is None or after is None:
        return False
    return len(before) == 4 and list(before)[2:] == [1, 1] and list(after)[1:] == [before[1]]


def _scale_outputs(graph: ir.Graph, node: ir.Node, scale: Array) -> None:
    weight, axis = np.asarray(array_of(node.inputs[1])), output_axis(node)
    shape = [1] * weight.ndim
    shape[axis] = -1
    replace_constant(graph, node, 1, weight * scale.reshape(shape))
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        replace_constant(graph, node, 2, np.asarray(array_of(node.inputs[2])) * scale)


def _scale_inputs(graph: ir.Graph, node: ir.Node, scale: Array) -> None:
    weight = np.asarray(array_of(node.inputs[1]))
    if node.op_type != "Conv":
        shape = [1, 1]
        shape[1 - output_axis(node)] = -1
        replace_constant(graph, node, 1, weight / scale.reshape(shape))
        return
    groups = _groups(node)
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    divisor = scale.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    replace_constant(graph, node, 1, (grouped / divisor).reshape(weight.shape))
