"""Rows and weights to ONNX, node by node: stable names, batch norm folded, no framework needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.types import Variant
from edgedeploy.zoo.rows import Activation

if TYPE_CHECKING:
    from edgedeploy.types import Array
    from edgedeploy.zoo.rows import Row
    from edgedeploy.zoo.weights import Weights

# The newest pair that TensorRT 8.2 (JetPack 4) reads; TensorRT 11 reads it too.
OPSET, IR_VERSION = 13, 7
INPUT, OUTPUT = "image", "logits"


def emit(weights: Weights, resolution: int) -> onnx.ModelProto:
    """Write a network as ONNX: ``image`` (N, 3, R, R) float32 → ``logits`` (N, classes) float32.

    Tensors are named after the rows: ``block_03/depthwise/conv``, ``block_03/depthwise/relu6``,
    ``block_03/depthwise/weight``; a skip connection's sum is ``block_03/add``. The classifier is
    a 1×1 convolution, which every backend fuses and quantises like the others.

    Args:
        weights: Checked weights.
        resolution: Input side in pixels, of any parity.

    Raises:
        UsageError: The resolution is out of range.
    """
    network = weights.network
    variant = Variant(network.family, network.alpha, resolution)
    graph = _Graph()
    outputs: dict[str, str] = {}
    value = INPUT
    for row, side in zip(network.rows, network.sides(resolution), strict=True):
        value = graph.convolve(value, row, side, *weights.folded(row.name))
        if row.adds is not None:
            block = row.name.rsplit("/", 1)[0]
            value = graph.node("Add", [value, outputs[row.adds]], f"{block}/add")
        outputs[row.name] = value
    value = graph.node("GlobalAveragePool", [value], "pool")
    kernel = weights.tensors["classifier/weight"].astype(np.float32)[:, :, None, None]
    bias = weights.tensors["classifier/bias"].astype(np.float32)
    names = [graph.constant("classifier/weight", kernel), graph.constant("classifier/bias", bias)]
    value = graph.node("Conv", [value, *names], "classifier/conv", kernel_shape=[1, 1])
    graph.node("Flatten", [value], OUTPUT, axis=1)
    image: list[str | int] = ["N", 3, resolution, resolution]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            variant.name,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", network.classes])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edgedeploy",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants in the order they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, array: Array) -> str:
        if all(tensor.name != name for tensor in self.constants):
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def convolve(self, value: str, row: Row, side: int, kernel: Array, bias: Array) -> str:
        before, after = row.pads(side)
        value = self.node(
            "Conv",
            [
                value,
                self.constant(f"{row.name}/weight", kernel),
                self.constant(f"{row.name}/bias", bias),
            ],
            f"{row.name}/conv",
            kernel_shape=[row.kernel, row.kernel],
            strides=[row.stride, row.stride],
            pads=[before, before, after, after],
            group=row.groups,
        )
        if row.activation is Activation.RELU6:
            bounds = [
                self.constant("relu6/min", np.array(0, np.float32)),
                self.constant("relu6/max", np.array(6, np.float32)),
            ]
            return self.node("Clip", [value, *bounds], f"{row.name}/relu6")
        if row.activation is Activation.RELU:
            return self.node("Relu", [value], f"{row.name}/relu")
        return value
