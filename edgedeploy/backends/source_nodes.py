"""The nodes of a source that TensorRT misreads, or knows by number only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from edgedeploy.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

_QDQ = ("QuantizeLinear", "DequantizeLinear")
_NUMBER = re.compile(r"node number (\d+)")


def refuse_uint8(source: Path) -> None:
    """Refuse uint8 Q/DQ: TensorRT-RTX would read zero point 0 as int8, with a warning only.

    Raises:
        BuildError: A Q/DQ node has a uint8 zero point, or a QuantizeLinear has none at all, which
            means uint8 in ONNX.
    """
    graph = onnx.load(source).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            types[node.output[0]] = node.attribute[0].t.data_type
        if node.op_type in _QDQ and _quantised_type(node, types) == TensorProto.UINT8:
            raise BuildError(
                f"node {node.name!r} ({node.op_type}) is uint8, TensorRT takes int8 only",
                fix="build from the float model: edgedeploy build MODEL --backend trt --int8",
            )


def name_numbers(problem: str, source: Path) -> str:
    """Return what TensorRT before 10 says of nodes, with their names beside their numbers."""
    nodes = onnx.load(source).graph.node

    def named(match: re.Match[str]) -> str:
        number = int(match[1])
        if number >= len(nodes):
            return match[0]
        return f"{match[0]}, {nodes[number].name!r} ({nodes[number].op_type})"

    return _NUMBER.sub(named, problem)


def _quantised_type(node: onnx.NodeProto, types: dict[str, int]) -> int | None:
    if len(node.input) > 2 and node.input[2]:
        return types.get(node.input[2])
    if node.op_type == "DequantizeLinear":
        return types.get(node.input[0])
    asked = [attribute.i for attribute in node.attribute if attribute.name == "output_dtype"]
    return asked[0] if asked and asked[0] else int(TensorProto.UINT8)
