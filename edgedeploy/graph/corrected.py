"""The pass that gives a float graph what a calibration changes of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.errors import UnsupportedError
from edgedeploy.graph.constants import add_constant, array_of
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.placement import is_weighted

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgedeploy.types import Calibration, Correction, QdqStyle


def to_corrected_float(model: ir.Model, calibration: Calibration, style: QdqStyle) -> None:
    """Fold batch norm and correct the biases of convolutions, as ``style`` needs them.

    Args:
        model: float32, of a fixed size; changed in place.
        calibration: Of this very model.
        style: Whose corrections to use.

    Raises:
        UnsupportedError: The calibration also equalises or rounds weights, or corrects a layer
            that is no convolution.
    """
    corrections = calibration.corrections.get(style.value, {})
    if calibration.equalisation or any(c.rounding is not None for c in corrections.values()):
        raise UnsupportedError(
            "the calibration equalises or rounds weights, a float network gets its biases only",
            fix="calibrate without these steps",
        )
    fold_batch_norm(model)
    for node in model.graph:
        name = node.outputs[0].name or ""
        if is_weighted(node) and name in corrections:
            _correct(model.graph, node, corrections[name])


def _correct(graph: ir.Graph, node: ir.Node, correction: Correction) -> None:
    if node.op_type != "Conv":
        raise UnsupportedError(
            f"{node.outputs[0].name!r} is a {node.op_type}, biases of convolutions are corrected",
            fix="calibrate without bias correction",
        )
    bias = array_of(node.inputs[2]) if len(node.inputs) > 2 else None
    shifted = correction.bias + (np.float32(0) if bias is None else bias)
    node.resize_inputs(3)
    name = f"{node.outputs[0].name}/corrected_bias"
    node.replace_input_with(2, add_constant(graph, name, np.asarray(shifted, np.float32)))
