"""What kind of layer an operation is: by its word, its weights and what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.graph.operations import Op, Shape

STANDARD, GROUP, DEPTHWISE, POINTWISE = "standard", "group", "depthwise", "pointwise"
CONNECTED, POOLING, ELEMENTWISE, OTHER = "fully connected", "pooling", "elementwise", "other"
KINDS = (STANDARD, GROUP, DEPTHWISE, POINTWISE, CONNECTED, POOLING, ELEMENTWISE, OTHER)
"""In the order in which tables list them."""
CONVOLUTION = "convolution"
"""What a word alone says of any convolution."""

_ELEMENTWISE = frozenset(
    [
        "add",
        "batchnormalization",
        "batchnorminference",
        "biasgelu",
        "clamp",
        "clip",
        "div",
        "eltwise",
        "elu",
        "erf",
        "gelu",
        "hardsigmoid",
        "hardswish",
        "hsigmoid",
        "hswish",
        "leakyrelu",
        "max",
        "maximum",
        "min",
        "minimum",
        "mul",
        "multiply",
        "pow",
        "prelu",
        "pwn",
        "quickgelu",
        "relu",
        "relu6",
        "sigmoid",
        "softmax",
        "sqrt",
        "sub",
        "subtract",
        "sum",
        "swish",
        "tanh",
    ]
)
_PASSING = frozenset(
    [
        "cast",
        "convert",
        "dequantizelinear",
        "dropout",
        "fakequantize",
        "flatten",
        "identity",
        "quantizelinear",
        "reshape",
        "squeeze",
        "transpose",
        "unsqueeze",
    ]
)
_WEIGHTED = (CONVOLUTION, CONNECTED)


def of_word(word: str) -> str:
    """Say what an operator is by its name alone; of convolutions no more than that they are.

    Example:
        >>> of_word("QLinearConv"), of_word("Convert"), of_word("FusedGemm")
        ('convolution', 'other', 'fully connected')
    """
    lower = word.lower()
    if lower in _ELEMENTWISE or lower.removeprefix("qlinear") in _ELEMENTWISE:
        return ELEMENTWISE
    if lower.startswith(("reformat", "convert", "{")):
        return OTHER
    for part, kind in (
        ("conv", CONVOLUTION),
        ("gemm", CONNECTED),
        ("matmul", CONNECTED),
        ("fullyconnected", CONNECTED),
        ("pool", POOLING),
        ("reducemean", POOLING),
    ):
        if part in lower:
            return kind
    return OTHER


def of(op: Op, ops: Sequence[Op]) -> str:
    """Say what an operation is; a 1x1 convolution of a map pooled to one place is a classifier.

    Args:
        op: One of ``ops``.
        ops: The whole graph.
    """
    kind = OTHER if is_foreign(op) else of_word(op.type)
    if kind not in _WEIGHTED:
        return kind
    if not is_weighted(op):
        return OTHER  # of two activations: nothing was trained
    if kind == CONNECTED:
        return kind
    _, depth, *kernel = filters(op) or (None, None)
    if op.groups > 1:
        return DEPTHWISE if depth == 1 else GROUP
    if any(size != 1 for size in kernel):
        return STANDARD
    is_one = op.output is not None and all(size == 1 for size in op.output[2:])
    return CONNECTED if is_one and _reads_pooled(op, ops) else POINTWISE


def is_weighted(op: Op) -> bool:
    """Return whether it is a convolution or a matrix product with trained weights."""
    if is_foreign(op) or of_word(op.type) not in _WEIGHTED or not op.constants:
        return False
    shape = op.constants[0].shape
    return shape is None or len(shape) > 1  # one side: only its bias is a constant


def is_foreign(op: Op) -> bool:
    """Return whether it is somebody's own operator, of which its word says nothing."""
    return "." in op.type


def is_transposed(op: Op) -> bool:
    """Return whether it is a transposed convolution, whose weights are those of its inputs."""
    return op.type.endswith(("ConvTranspose", "ConvolutionBackpropData"))


def filters(op: Op) -> Shape | None:
    """Return the shape of a convolution's weights without an axis of groups, which IR has.

    ``(out, in of a group, *kernel)``; with such an axis ``out`` is that of a group, and for a
    transposed convolution in and out change places.
    """
    shape = op.constants[0].shape
    return shape[1:] if shape and op.type.startswith("GroupConvolution") else shape


def is_pooling(op: Op) -> bool:
    """Return whether it makes fewer numbers of many, by a maximum or a mean."""
    return of_word(op.type) == POOLING


def _reads_pooled(op: Op, ops: Sequence[Op]) -> bool:
    while op.source is not None:
        op = ops[op.source]
        if is_pooling(op):
            return True
        # by scalars: dequantised
        scaled = bool(op.constants) and not any(each.shape for each in op.constants)
        if not scaled and op.type.lower() not in _PASSING:
            return False
    return False
