"""Small ONNX files for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Dim = int | str


def stem(
    shape: Sequence[Dim] = ("N", 3, 8, 8),
    *,
    classes: int = 4,
    softmax: bool = False,
    opset: int = 13,
    seed: int = 0,
) -> onnx.ModelProto:
    """Conv 3x3 stride 2, ReLU6, global pool, flatten: a MobileNet's ends without its middle."""
    weight = np.random.default_rng(seed).normal(size=(classes, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node(
            "Conv", ["image", "w"], ["c"], strides=[2, 2], pads=[1] * 4, kernel_shape=[3, 3]
        ),
        helper.make_node("Clip", ["c", "low", "high"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f" if softmax else "logits"], axis=1),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["f"], ["logits"], axis=1))
    graph = helper.make_graph(
        nodes,
        "stem",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape[0], classes])],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.array(0, np.float32), "low"),
            numpy_helper.from_array(np.array(6, np.float32), "high"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write ``model`` to ``path`` and return it."""
    path.write_bytes(model.SerializeToString())
    return path
