"""Table 3 of the MobileNet paper: one layer made smaller step by step, counted in ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.graph import cost, operations
from edgedeploy.training.spec import STYLE
from edgedeploy.types import Family
from edgedeploy.zoo import networks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.zoo.rows import Row

_BLOCK = "block_08/"  # 14x14x512 in, the same out


class Step(NamedTuple):
    """One row of the table.

    Attributes:
        what: What the layer has become.
        multiply_adds: As `graph.cost` counts them.
        parameters: Of its kernels; the paper counts neither biases nor batch norm.
        paper: Millions of both, as they are printed.
    """

    what: str
    multiply_adds: int
    parameters: int
    paper: tuple[float, float]


def steps() -> tuple[Step, ...]:
    """Return the four rows."""
    kinds = (
        ("full 3×3 convolution", Family.MOBILENET_V1_FULL, 1.0, 224, (462, 2.36)),
        ("depthwise separable", Family.MOBILENET_V1, 1.0, 224, (52.3, 0.27)),
        ("and α = 0.75", Family.MOBILENET_V1, 0.75, 224, (29.6, 0.15)),
        ("and ρ = 0.714", Family.MOBILENET_V1, 0.75, 160, (15.1, 0.15)),
    )
    found = []
    for what, family, alpha, resolution, paper in kinds:
        network = networks.network(family, alpha=alpha, classes=1000, style=STYLE)
        sides = dict(zip(network.rows, network.sides(resolution), strict=True))
        rows = [row for row in network.rows if row.name.startswith(_BLOCK)]
        found.append(Step(what, *_counted(rows, sides[rows[0]]), paper))
    return tuple(found)


def _counted(rows: Sequence[Row], side: int) -> tuple[int, int]:
    shape = (1, rows[0].in_channels, side, side)
    costs = cost.of(operations.from_onnx(_model(rows, shape), shape))
    adds = cost.total(each.multiply_adds for each in costs)
    parameters = cost.total(each.parameters for each in costs)
    if adds is None or parameters is None:
        raise AssertionError(f"{rows[0].name} of known size was not counted")
    return adds, parameters


def _model(rows: Sequence[Row], shape: tuple[int, ...]) -> onnx.ModelProto:
    """Write the convolutions of a block, and nothing else, with weights of zero."""
    value, nodes, weights = "maps", [], []
    for row in rows:
        name = f"{row.name}/weight"
        weights.append(numpy_helper.from_array(np.zeros(row.weight_shape, np.float32), name))
        pads = [row.kernel // 2] * 4
        nodes.append(
            helper.make_node("Conv", [value, name], [row.name], pads=pads, group=row.groups)
        )
        value = row.name
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, None)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
