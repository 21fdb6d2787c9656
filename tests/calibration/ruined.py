"""A small network of many answers, with one layer that 8 bits ruin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.graph.constants import array_of, replace_constant
from tests.calibration.networks import prepared
from tests.graph.networks import producers, run

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgedeploy.types import Array

RUINED = "head/norm"


def colours(count: int) -> Array:
    """Pictures that differ in colour, ``(count, 16, 16, 3)`` uint8."""
    draw = np.random.default_rng(0)
    plain = draw.integers(0, 206, size=(count, 1, 1, 3))
    return (plain + draw.integers(0, 50, size=(count, 16, 16, 3))).astype(np.uint8)


def ruined(batch: Array) -> ir.Model:
    """Return the network; one input of `RUINED` is always 0 and has huge weights.

    Args:
        batch: What its logits are centred on, so that it has more than one answer.
    """
    model = prepared("residual")
    nodes = producers(model)
    for name, fill in (("stem/norm", -1000.0), ("project/norm", 0.0)):  # what the Add adds up
        weight, bias = (np.array(array_of(value)) for value in nodes[name].inputs[1:])
        weight[0], bias[0] = 0.0, fill
        replace_constant(model.graph, nodes[name], 1, weight)
        replace_constant(model.graph, nodes[name], 2, bias)
    weight = np.array(array_of(nodes[RUINED].inputs[1]))
    weight[:, 0] = 1000.0
    replace_constant(model.graph, nodes[RUINED], 1, weight)
    logits = run(model, batch)
    last, spread = nodes["classifier/conv"], logits.std(axis=0)
    weight, bias = (np.array(array_of(value)) for value in last.inputs[1:])
    replace_constant(model.graph, last, 1, weight / spread[:, None, None, None])
    replace_constant(model.graph, last, 2, (bias - logits.mean(axis=0)) / spread)
    return model
