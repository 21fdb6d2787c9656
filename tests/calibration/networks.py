"""Small networks as the recipe meets them, and their quantised forms as ONNX Runtime runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx import helper

from edgedeploy.calibration.correcting import Means
from edgedeploy.calibration_values import TensorRange
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.placement import behind_activation, is_weighted
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from tests.graph.networks import block, mixed, pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedeploy.types import Array

FORMS: dict[str, Callable[[], ir.Model]] = {
    "residual": lambda: block(norm=True),
    "auto_pad": lambda: block(auto_pad=True, gemm="GemmNN", opset=17),
    "mixed": mixed,
    "constants": lambda: mixed(constants=True),
    "MatMul": lambda: mixed(classifier="MatMul"),
}


def prepared(form: str) -> ir.Model:
    """A float network of `FORMS`, of fixed size, batch norm folded."""
    model = FORMS[form]()
    fix_size(model, (16, 16))
    fold_batch_norm(model)
    return model


def layers(model: ir.Model) -> list[str]:
    """The outputs of its convolutions and matrix products."""
    return [node.outputs[0].name or "" for node in model.graph if is_weighted(node)]


def tensors(model: ir.Model, names: Sequence[str], batch: Array) -> dict[str, Array]:
    """Any tensors of a model, by ONNX Runtime without optimisations."""
    proto = ir.serde.serialize_model(model)
    present = {value.name for value in proto.graph.output}
    found = [name for name in names if name != "image"]
    types = {value.name: value for value in proto.graph.value_info}
    proto.graph.output.extend(
        types.get(name, helper.make_tensor_value_info(name, 1, None))
        for name in found
        if name not in present
    )
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    arrays = dict(zip(found, session.run(found, {"image": batch}), strict=True))
    return arrays | {"image": batch}


def seen_ranges(model: ir.Model, batch: Array) -> dict[str, TensorRange]:
    """Min-max ranges of what quantising needs."""
    found = {}
    for name, values in tensors(model, activations(model), batch).items():
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        if name in activations(model):
            found[name] = TensorRange(min=low, max=high, low=low, high=high)
    return found


def means_of(model: ir.Model, batch: Array) -> dict[str, Array]:
    """The mean of every layer's output channels, ``(channels,)``."""
    names = layers(model)
    found = tensors(model, names, batch)
    return {
        name: found[name].astype(np.float64).mean(axis=(0, *range(2, found[name].ndim)))
        for name in names
    }


def float_means(model: ir.Model, batch: Array, *, with_behind: bool = False) -> Means:
    """The means that `correct` needs; also those behind activations if asked."""
    nodes = [node.outputs[0] for node in model.graph if is_weighted(node)]
    behind = [behind_activation(value).name or "" for value in nodes]
    names = [name for name in behind if name not in layers(model)]
    seen = tensors(model, names, batch) if with_behind else {}
    means = {name: values.astype(np.float64).mean(axis=(0, 2, 3)) for name, values in seen.items()}
    return Means(layers=means_of(model, batch), behind=means)


def batches(count: int = 12) -> Array:
    """Pictures that differ in brightness, ``(count, 3, 16, 16)``: channels go together."""
    light = np.linspace(0.2, 1.0, count, dtype=np.float32)
    shift = np.linspace(-0.5, 0.3, count, dtype=np.float32)
    values: Array = pictures(count) * light[:, None, None, None] + shift[:, None, None, None]
    return values
