"""Published networks as rows, and their ONNX without a weight in it: all are ConstantOfShape.

The rows are those of torchvision's code, whose counts are published with its weights. A row is a
letter and numbers:

    c OUT KERNEL STRIDE PAD    convolution with a bias, and ReLU
    b OUT KERNEL STRIDE PAD    convolution without, batch norm, and ReLU
    m KERNEL STRIDE [PAD]      max pooling, rounded up where the row is `M`
    g                          global average pooling and Flatten
    a SIDE                     average pooling to that side, and Flatten
    f OUT                      fully connected; `r` before it: ReLU behind it
    fire SQUEEZE ONE THREE     SqueezeNet's module
    inc A B1 B2 C1 C2 D        GoogLeNet's module: 1x1; 1x1, 3x3; 1x1, 3x3; pool, 1x1
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    import onnx

_VGG16 = (2 * ["64"], 2 * ["128"], 3 * ["256"], 3 * ["512"], 3 * ["512"])
VGG16 = [
    *itertools.chain(*([*(f"c {out} 3 1 1" for out in stage), "m 2 2"] for stage in _VGG16)),
    "a 7",
    *("rf 4096", "rf 4096", "f 1000"),
]
ALEXNET = [
    *("c 64 11 4 2", "m 3 2", "c 192 5 1 2", "m 3 2"),
    *("c 384 3 1 1", "c 256 3 1 1", "c 256 3 1 1", "m 3 2", "a 6"),
    *("rf 4096", "rf 4096", "f 1000"),
]
SQUEEZENET = [
    *("c 96 7 2 0", "M 3 2", "fire 16 64 64", "fire 16 64 64", "fire 32 128 128", "M 3 2"),
    *("fire 32 128 128", "fire 48 192 192", "fire 48 192 192", "fire 64 256 256", "M 3 2"),
    *("fire 64 256 256", "c 1000 1 1 0", "g"),
]
GOOGLENET = [
    *("b 64 7 2 3", "M 3 2", "b 64 1 1 0", "b 192 3 1 1", "M 3 2"),
    *("inc 64 96 128 16 32 32", "inc 128 128 192 32 96 64", "M 3 2"),
    *("inc 192 96 208 16 48 64", "inc 160 112 224 24 64 64", "inc 128 128 256 24 64 64"),
    *("inc 112 144 288 32 64 64", "inc 256 160 320 32 128 128", "M 2 2"),
    *("inc 256 160 320 32 128 128", "inc 384 192 384 48 128 128", "g", "f 1000"),
]


class Emitter:
    """A network in the making: knows the channels, and after Flatten the features."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.shapes: list[TensorProto] = []
        self.value, self.channels = "image", 3

    def node(self, kind: str, *more: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        inputs = [self.value, *more]
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.value = name
        return name

    def weight(self, *shape: int) -> str:
        name = f"weight_{len(self.shapes)}"
        self.shapes.append(numpy_helper.from_array(np.array(shape, np.int64), f"{name}/shape"))
        self.nodes.append(helper.make_node("ConstantOfShape", [f"{name}/shape"], [name]))
        return name

    def convolve(self, out: int, kernel: int, stride: int = 1, pad: int = 0, *, norm: bool) -> str:
        names = [self.weight(out, self.channels, kernel, kernel)]
        if not norm:
            names.append(self.weight(out))
        self.node("Conv", *names, strides=[stride] * 2, pads=[pad] * 4)
        if norm:
            self.node("BatchNormalization", *(self.weight(out) for _ in range(4)))
        self.channels = out
        return self.node("Relu")

    def pool(self, kernel: int, stride: int, pad: int = 0, *, up: bool) -> None:
        sides = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        self.node("MaxPool", ceil_mode=int(up), **sides)

    def join(self, *paths: list[str]) -> None:
        """Run rows side by side and put their channels behind each other."""
        value, channels = self.value, self.channels
        ends, total = [], 0
        for path in paths:
            self.value, self.channels = value, channels
            for row in path:
                self.add(row)
            ends.append(self.value)
            total += self.channels
        self.value, self.channels = ends[0], total
        self.node("Concat", *ends[1:], axis=1)

    def add(self, row: str) -> None:
        kind, *texts = row.split()
        n = [int(text) for text in texts]
        if kind in ("c", "b"):
            self.convolve(n[0], n[1], n[2], n[3], norm=kind == "b")
        elif kind in ("m", "M"):
            self.pool(n[0], n[1], *n[2:], up=kind == "M")
        elif kind == "g":
            self.node("GlobalAveragePool")
            self.node("Flatten")
        elif kind == "a":  # where the map has that side already it changes nothing
            self.node("AveragePool", kernel_shape=[1, 1])
            self.node("Flatten")
            self.channels *= n[0] ** 2
        elif kind in ("f", "rf"):
            weight, bias = self.weight(n[0], self.channels), self.weight(n[0])
            self.node("Gemm", weight, bias, transB=1)
            self.channels = n[0]
            if kind == "rf":
                self.node("Relu")
        elif kind == "fire":
            self.add(f"c {n[0]} 1 1 0")
            self.join([f"c {n[1]} 1 1 0"], [f"c {n[2]} 3 1 1"])
        else:
            self.join(
                [f"b {n[0]} 1 1 0"],
                [f"b {n[1]} 1 1 0", f"b {n[2]} 3 1 1"],
                [f"b {n[3]} 1 1 0", f"b {n[4]} 3 1 1"],
                ["M 3 1 1", f"b {n[5]} 1 1 0"],
            )


def emit(rows: list[str], side: int = 224) -> onnx.ModelProto:
    """Return the network of ``rows``; shapes between the layers are left out."""
    made = Emitter()
    for row in rows:
        made.add(row)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, side, side])
    output = helper.make_tensor_value_info(made.value, TensorProto.FLOAT, None)
    graph = helper.make_graph(made.nodes, "published", [image], [output], made.shapes)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
