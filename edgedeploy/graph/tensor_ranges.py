"""A range for every float tensor of a graph, from those of the tensors that a calibration has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx_ir as ir

from edgedeploy.calibration_values import TensorRange
from edgedeploy.graph.constants import array_of, scalar_of
from edgedeploy.graph.placement import MOVES, POOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_UNIT = {
    "HardSigmoid": (0.0, 1.0),
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
}
# What a convolution and these compute is one kernel, and what lies between is nobody's.
_FUSED_BEHIND = frozenset({"BatchNormalization", "Clip", "Relu"})
# Every value that these read is among those that they compute; of the others the reverse holds.
_PASSING = MOVES | {"Concat", "Dropout", "Pad"}
_KEEPING = MOVES | POOLS | {"Dropout"}


def every_range(
    model: ir.Model, ranges: Mapping[str, TensorRange]
) -> tuple[dict[str, TensorRange], tuple[str, ...]]:
    """Return ranges by name, in graph order, and the tensors that none can be told of.

    A tensor that only an activation or a batch norm reads takes the range behind it: they are one
    kernel, and values outside are cut in it anyway. One that moves or pools another's values takes
    the other's; a sum, and what is only added, takes what the rest allows. A calibration's own
    range always comes first.

    Args:
        model: With the types of its tensors inferred.
        ranges: Of a calibration, by tensor name.
    """
    values = list(float_tensors(model.graph))
    found = {value: ranges[value.name or ""] for value in values if value.name in ranges}
    before = -1
    while before < len(found):
        before = len(found)
        for value in (*values, *reversed(values)):
            if value not in found:
                told = _told_by_producer(value, found) or _told_by_reader(value, found)
                if told is not None:
                    found[value] = told
    known = {value.name or "": found[value] for value in values if value in found}
    return known, tuple(value.name or "" for value in values if value not in found)


def float_tensors(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield every float tensor that depends on the input, in graph order."""
    values = [value for value in graph.inputs if not value.is_initializer()]
    values += [value for node in graph for value in node.outputs]
    for value in values:
        if value.dtype == ir.DataType.FLOAT and value.name and array_of(value) is None:
            yield value


def _told_by_reader(value: ir.Value, found: Mapping[ir.Value, TensorRange]) -> TensorRange | None:
    """Return what the nodes that read a tensor say of it."""
    alone = len(value.uses()) == 1 and not value.is_graph_output()
    for reader in value.consumers():
        behind = found.get(reader.outputs[0])
        if behind is None:
            continue
        if reader.op_type in _PASSING or (alone and reader.op_type in _FUSED_BEHIND):
            return behind
        others = [other for other in reader.inputs if other is not value]
        other = _range_of(others[0], found) if reader.op_type == "Add" and others else None
        if other is not None:
            return _between(behind.low - other.high, behind.high - other.low)
    return None


def _told_by_producer(value: ir.Value, found: Mapping[ir.Value, TensorRange]) -> TensorRange | None:
    """Return what the node that computes a tensor says of it."""
    node = value.producer()
    if node is None:
        return None
    if node.op_type in _UNIT:
        return _between(*_UNIT[node.op_type])
    source, *others = [_range_of(each, found) for each in node.inputs] or [None]
    if source is None:
        return None
    if node.op_type in _KEEPING or _pads_zeros(node):
        return source
    if node.op_type == "Add" and others[0] is not None:
        return _between(source.low + others[0].low, source.high + others[0].high)
    if node.op_type in ("Clip", "Relu"):
        low, high = _bounds(node)
        return _between(*(min(max(end, low), high) for end in (source.low, source.high)))
    return None


def _range_of(value: ir.Value | None, found: Mapping[ir.Value, TensorRange]) -> TensorRange | None:
    """Return what is known of a tensor, which may be a constant."""
    if value is None or value in found:
        return None if value is None else found[value]
    array = array_of(value)
    if array is None or not array.size or array.dtype.kind != "f":
        return None
    return _between(float(array.min()), float(array.max()))


def _pads_zeros(node: ir.Node) -> bool:
    filler = node.inputs[2] if len(node.inputs) > 2 else None
    return node.op_type == "Pad" and scalar_of(filler, 0.0) == 0.0


def _bounds(node: ir.Node) -> tuple[float, float]:
    """Return what a Clip or Relu surely keeps to."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    low, high = [*node.inputs[1:], None, None][:2]
    least, most = scalar_of(low, -math.inf), scalar_of(high, math.inf)
    return (-math.inf if least is None else least), (math.inf if most is None else most)


def _between(low: float, high: float) -> TensorRange:
    return TensorRange(min=low, max=high, low=low, high=high)
