"""Operators that TensorRT's ONNX parser does not have, for boards whose parser is not here.

A generation that is not in the tables is judged by the next one that is: what a later parser lacks
an earlier one lacks too. So nothing is refused that the board might build.

Source:
    onnx/onnx-tensorrt, docs/operators.md of 8.5, 9.2 (for 8.6) and 10.15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx.defs

from edgedeploy.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedeploy.runtime.trt_dialects import Dialect

_IN_NONE = frozenset({
    "AffineGrid", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr",
    "BitwiseXor", "CenterCropPad", "Col2Im", "Compress", "ConcatFromSequence", "ConvInteger",
    "DFT", "Det", "DynamicQuantizeLinear", "ImageDecoder", "MatMulInteger", "MaxRoiPool",
    "MaxUnpool", "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss", "Optional",
    "OptionalGetElement", "OptionalHasElement", "QLinearConv", "QLinearMatMul",
    "RegexFullMatch", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
    "SequenceInsert", "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss",
})  # fmt: skip
_UP_TO_8_6 = _IN_NONE | {"BlackmanWindow", "HammingWindow", "HannWindow", "STFT"}
_UP_TO_8_5 = _UP_TO_8_6 | {"Hardmax", "IsInf", "LayerNormalization"}
_LACKING = {"8.2": _UP_TO_8_5, "8.4": _UP_TO_8_5, "8.5": _UP_TO_8_5, "8.6": _UP_TO_8_6}
_STANDARD = ("", "ai.onnx")
_SHOWN = 5


def refuse_unknown(source: Path, dialect: Dialect) -> None:
    """Refuse a source with operators that a generation of TensorRT does not read.

    Args:
        source: ONNX file.
        dialect: The generation.

    Raises:
        BuildError: It has some; the problem names their nodes.
    """
    lacking = _LACKING.get(dialect.name, _IN_NONE)
    found = [
        f"{node.op_type} {node.name or node.output[0]!r}"
        for node in _nodes(onnx.load(source).graph)
        if node.domain not in _STANDARD
        or node.op_type in lacking
        or not onnx.defs.has(node.op_type)
    ]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise BuildError(
            f"TensorRT {dialect.name} has no operator for {', '.join(found[:_SHOWN])}{more}",
            fix="replace these operators in the model, or use another backend: --backend ort",
        )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
