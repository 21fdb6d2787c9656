"""A MobileNetV2 of one block, in the forms that ONNX files of it come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.calibration_values import TensorRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt
    import onnx

    from edgedeploy.types import Array

CLASSES = 5


class Sketch:
    """A network in the making; weights are random, the same every time."""

    def __init__(self, *, norm: bool = False, auto_pad: bool = False) -> None:
        self.norm, self.auto_pad = norm, auto_pad
        self.rng = np.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.constant("low", np.float32(0))
        self.constant("high", np.float32(6))

    def constant(self, name: str, array: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def convolve(
        self,
        value: str,
        name: str,
        shape: tuple[int, ...],
        *,
        act: str = "Clip",
        bias: bool = True,
        **attributes: Any,
    ) -> str:
        weight = self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        inputs = [value, self.constant(f"{name}/w", weight)]
        if bias and not self.norm:
            inputs.append(self.constant(f"{name}/b", self.rng.normal(size=shape[0]) * 0.3))
        if self.auto_pad:
            attributes["auto_pad"] = "SAME_UPPER"
        elif shape[2] == 3:
            attributes.setdefault("pads", [1] * 4)
        value = self.node("Conv", inputs, f"{name}/conv", **attributes)
        if self.norm:
            value = self.node(
                "BatchNormalization", [value, *self._norm(name, shape[0])], f"{name}/norm"
            )
        if act:
            bounds = ["low", "high"] if act == "Clip" else []
            value = self.node(act, [value, *bounds], f"{name}/act")
        return value

    def model(
        self,
        output: str,
        *,
        opset: int = 13,
        batch: int | str = "n",
        sides: tuple[int | str, int | str] = (16, 16),
        output_shape: Sequence[int | str] | None = None,
    ) -> ir.Model:
        """Return the network with the input ``image``, ``(batch, 3, *sides)``."""
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, *sides])
        proto = helper.make_model(
            helper.make_graph(
                self.nodes,
                "block",
                [image],
                [helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)],
                self.constants,
            ),
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=7 if opset == 13 else 9,
        )
        return ir.serde.deserialize_model(proto)

    def _norm(self, name: str, channels: int) -> list[str]:
        size, draw = channels, self.rng
        values = {
            "gamma": draw.uniform(0.5, 2.0, size),
            "beta": draw.normal(size=size),
            "mean": draw.normal(size=size),
            "variance": draw.uniform(0.5, 2.0, size),
        }
        return [self.constant(f"{name}/{part}", value) for part, value in values.items()]


def block(
    *,
    opset: int = 13,
    norm: bool = False,
    auto_pad: bool = False,
    sides: tuple[int | str, int | str] = (16, 16),
    gemm: str = "",
    softmax: bool = False,
    output_shape: bool = True,
) -> ir.Model:
    """Stem, inverted residual with a skip, head with ReLU, global pool, classifier.

    The classifier is a 1x1 convolution, or with ``gemm`` a "Gemm", "GemmNN" (not transposed) or
    "MatMul".
    """
    graph = Sketch(norm=norm, auto_pad=auto_pad)
    stem = graph.convolve("image", "stem", (8, 3, 3, 3), strides=[2, 2])
    value = graph.convolve(stem, "expand", (16, 8, 1, 1))
    value = graph.convolve(value, "depthwise", (16, 1, 3, 3), group=16)
    value = graph.convolve(value, "project", (8, 16, 1, 1), act="")
    value = graph.node("Add", [value, stem], "add")
    value = graph.convolve(value, "head", (12, 8, 1, 1), act="Relu")
    value = graph.node("GlobalAveragePool", [value], "pool")
    weight = graph.rng.normal(size=(CLASSES, 12))
    bias = graph.constant("classifier/b", graph.rng.normal(size=CLASSES))
    if gemm:
        value = graph.node("Flatten", [value], "features")
        names = [value, graph.constant("classifier/w", weight if gemm == "Gemm" else weight.T)]
        if gemm == "MatMul":
            value = graph.node("MatMul", names, "logits")
        else:
            value = graph.node("Gemm", [*names, bias], "logits", transB=int(gemm == "Gemm"))
    else:
        names = [value, graph.constant("classifier/w", weight[:, :, None, None]), bias]
        value = graph.node("Conv", names, "classifier/conv", kernel_shape=[1, 1])
        value = graph.node("Flatten", [value], "logits")
    if softmax:
        value = graph.node("Softmax", [value], "probabilities", axis=1)
    shape = ("n", CLASSES) if output_shape else None
    return graph.model(value, opset=opset, sides=sides, output_shape=shape)


def mixed(*, classifier: str = "Gemm", constants: bool = False) -> ir.Model:
    """What `block` has not: a Pad before a stride, no biases, dilation, groups, plain ReLU.

    The classifier is a "Gemm" or "MatMul" behind Flatten. With ``constants``, weights and bounds
    are Constant nodes instead of initialisers.
    """
    graph = Sketch()
    pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1]), "stem/pads")
    graph.constants.append(pads)
    value = graph.node("Pad", ["image", "stem/pads"], "stem/pad")
    value = graph.convolve(value, "stem", (8, 3, 3, 3), strides=[2, 2], pads=[0] * 4)
    value = graph.convolve(
        value, "depthwise", (8, 1, 3, 3), group=8, dilations=[2, 2], pads=[2] * 4, act="Relu"
    )
    skip = graph.convolve(value, "grouped", (12, 4, 3, 3), group=2, bias=False, act="Relu")
    value = graph.convolve(skip, "project", (12, 12, 1, 1), bias=False, act="")
    value = graph.node("Add", [value, skip], "add")
    value = graph.convolve(value, "head", (10, 12, 3, 3), act="Relu", pads=[0, 1, 1, 0])
    value = graph.node("GlobalAveragePool", [value], "pool")
    value = graph.node("Flatten", [value], "features")
    weight = graph.constant("classifier/w", graph.rng.normal(size=(10, CLASSES)))
    if classifier == "Gemm":
        bias = graph.constant("classifier/b", graph.rng.normal(size=CLASSES))
        value = graph.node("Gemm", [value, weight, bias], "logits")
    else:
        value = graph.node("MatMul", [value, weight], "logits")
    if constants:
        graph.nodes[:0] = [
            helper.make_node("Constant", [], [tensor.name], name=tensor.name, value=tensor)
            for tensor in graph.constants
        ]
        graph.constants.clear()
    return graph.model(value, output_shape=("n", CLASSES))


def pictures(count: int = 4, side: int = 16) -> npt.NDArray[np.float32]:
    """Inputs in [-1, 1], ``(count, 3, side, side)``."""
    draw = np.random.default_rng(3)
    return draw.uniform(-1, 1, size=(count, 3, side, side)).astype(np.float32)


def run(model: ir.Model, batch: Array, *, optimise: bool = True) -> Array:
    """The model's first output, by ONNX Runtime."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        ir.serde.serialize_model(model).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    result: Array = session.run(None, {"image": batch})[0]
    return result


def ranges(names: Iterable[str], low: float = -8.0, high: float = 8.0) -> dict[str, TensorRange]:
    """The same range for every name, ReLU6's for the outputs of ``act``."""
    return {
        name: TensorRange(min=low, max=high, low=0.0, high=6.0)
        if name.endswith("/act")
        else TensorRange(min=low, max=high, low=low, high=high)
        for name in names
    }


def producers(model: ir.Model) -> dict[str, ir.Node]:
    """Every node by the name of its first output."""
    return {node.outputs[0].name or "": node for node in model.graph}


def kinds(model: ir.Model) -> list[str]:
    """Operators in graph order."""
    return [node.op_type for node in model.graph]
