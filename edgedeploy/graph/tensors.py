"""Questions about a graph's tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.graph.constants import scalar_of
from edgedeploy.graph.placement import place

if TYPE_CHECKING:
    import onnx_ir as ir

_POSITIVE = frozenset({"Relu", "Sigmoid", "Softmax"})
_KEEPING_SIGN = frozenset(
    {
        "AveragePool",
        "Flatten",
        "GlobalAveragePool",
        "Identity",
        "MaxPool",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)


def activations(model: ir.Model) -> tuple[str, ...]:
    """Return the names of the activations whose range a calibration must hold, in graph order.

    They serve both Q/DQ styles: what s8 quantises, u8 quantises too.
    """
    names: dict[str, None] = {}
    for style in QdqStyle:
        for _, source in place(model.graph, style).points:
            names[source.name or ""] = None
    return tuple(names)


def is_never_negative(value: ir.Value) -> bool:
    """Return whether the graph rules out values below 0: behind a ReLU, also pooled or moved."""
    while (producer := value.producer()) is not None:
        if producer.op_type in _POSITIVE:
            return True
        if producer.op_type == "Clip":
            low = scalar_of(producer.inputs[1], -math.inf) if len(producer.inputs) > 1 else None
            return low is not None and low >= 0
        source = producer.inputs[0] if producer.op_type in _KEEPING_SIGN else None
        if source is None:
            return False
        value = source
    return False
