"""Sources as a build hands them to a backend: small MobileNets in each precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgedeploy.calibration.observing import observe_extremes
from edgedeploy.calibration.ranges import whole_range
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.exporting.network import emit
from edgedeploy.graph.float16 import to_float16
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.tensors import activations
from edgedeploy.types import Family, Precision
from edgedeploy.zoo import networks, random_weights
from edgedeploy.zoo.rows import Activation, Padding, Style

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx

    from edgedeploy.calibration_values import TensorRange
    from edgedeploy.types import Array

STYLE = Style(activation=Activation.RELU6, padding=Padding.SYMMETRIC, eps=1e-5)
CLASSES = 10


def images(count: int, side: int, seed: int = 0) -> Array:
    """Return ``(count, 3, side, side)`` float32 between -1 and 1."""
    draw = np.random.default_rng(seed)
    return draw.uniform(-1, 1, (count, 3, side, side)).astype(np.float32)


def mobilenet(family: Family, alpha: float = 0.25, side: int = 32) -> onnx.ModelProto:
    """Return a float32 MobileNet of random weights."""
    network = networks.network(family, alpha=alpha, classes=CLASSES, style=STYLE)
    return emit(random_weights.random(network, seed=1), side)


def ranges(model: onnx.ModelProto) -> dict[str, TensorRange]:
    """Measure a model's activations on a few images."""
    graph = ir.serde.deserialize_model(model)
    side = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    seen = observe_extremes(graph, activations(graph), [images(8, side)], threads=1)
    return {name: whole_range(low, high) for name, (low, high) in seen.items()}


def prepared(
    model: onnx.ModelProto,
    precision: Precision,
    *,
    style: QdqStyle = QdqStyle.S8,
    float16: bool = True,  # as the backend's source_form says
    floats: Collection[str] = (),
) -> onnx.ModelProto:
    """Prepare a float32 model as a build does: Q/DQ for INT8, float16 inside for FP16."""
    graph = ir.serde.deserialize_model(model)
    if precision is Precision.INT8:
        quantise(graph, ranges(model), style, floats=floats)
    if precision is Precision.FP16 and float16:
        to_float16(graph)
    return ir.serde.serialize_model(graph)
