"""The pass that gives a float graph the weights and biases that a calibration makes of its own.

It is what TensorRT's implicit INT8 needs beside a calibration cache: TensorRT 8 to 10 quantise the
weights themselves, symmetrically and per output channel, and find these very integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.graph.bias import correct_bias
from edgedeploy.graph.constants import array_of, replace_constant
from edgedeploy.graph.encoding import SMALLEST_SCALE, encode_weight, weight_scale
from edgedeploy.graph.equalise import equalise
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.placement import is_weighted, output_axis
from edgedeploy.graph.qdq import check_corrections
from edgedeploy.graph.widen import widen

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.types import Array


def to_corrected_float(model: ir.Model, calibration: Calibration) -> None:
    """Fold batch norm, equalise, and put corrected weights and biases of the style s8 in place.

    Quantising the result, with the same ranges and without corrections, gives the same Q/DQ graph
    as the calibration itself.

    Args:
        model: float32, of a fixed size; changed in place.
        calibration: Of this very model.

    Raises:
        BuildError: The calibration does not fit the model.
    """
    widen(model)
    fold_batch_norm(model)
    equalise(model, calibration.equalisation)
    corrections = calibration.corrections.get(QdqStyle.S8.value, {})
    check_corrections(model.graph, corrections)
    for node in [node for node in model.graph if is_weighted(node)]:
        correction = corrections.get(node.outputs[0].name or "")
        if correction is None:
            continue
        if correction.rounding is not None:
            weight = _rounded(node, correction.rounding)
            replace_constant(model.graph, node, 1, weight)
        correct_bias(model.graph, node, correction.bias)


def _rounded(node: ir.Node, rounding: Array) -> Array:
    """Return weights whose nearest integers are the rounded ones, with the same scales.

    Only what is not rounded to the nearest changes: so the largest weight of each channel, which
    gives the scale, stays as it is to the last bit.
    """
    weight, axis = np.asarray(array_of(node.inputs[1])), output_axis(node)
    scale = weight_scale(weight, axis, bias=None, encoding=None, any_x86=False)
    whole, _ = encode_weight(weight, axis, scale, rounding)
    others = tuple(i for i in range(weight.ndim) if i != axis)
    # in double precision 127 steps are the largest weight again, and not one bit more
    largest = np.abs(weight.astype(np.float64)).max(axis=others, keepdims=True)
    step = np.maximum(largest / 127, SMALLEST_SCALE)
    weights: Array = np.where(rounding == 0, weight, whole * step).astype(np.float32)
    return weights
