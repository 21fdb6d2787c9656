"""What kind of layer it is, by the graph behind the engine; by the vendor's words without one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgedeploy.profiling.layer_graphs import Op, count

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPTHWISE, POINTWISE, CONVOLUTION = "depthwise", "pointwise", "other convolution"
CONNECTED, POOLING, ELEMENTWISE, OTHER = "fully connected", "pooling", "elementwise", "other"
KINDS = (DEPTHWISE, POINTWISE, CONVOLUTION, CONNECTED, POOLING, ELEMENTWISE, OTHER)
"""In the order in which tables list them."""

_ELEMENTWISE = frozenset(
    [
        "add",
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
        "sqrt",
        "sub",
        "subtract",
        "sum",
        "swish",
        "tanh",
        "softmax",
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


class Graph:
    """Operations, to be found by the names that vendors give to what they make of them."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = ops
        self._by_name = {name: op for op in ops for name in op.names if name}

    def kind(self, name: str, word: str | None) -> str:
        """Say what a layer of an engine is.

        Args:
            name: The vendor's: ``"stem/relu6_nchwc"``, ``"stem/conv + PWN(stem/relu6)"``.
            word: The vendor's for what it does; None where it has none.
        """
        if word is None:
            return self._kind_of_fused(name)
        kind = kind_of_word(word)
        if kind not in _WEIGHTED:
            return kind
        op = self._weighted_behind(self._find(name))
        return guess(name, kind) if op is None else self.kind_of(op)

    def kind_of(self, op: Op) -> str:
        """Say what an operation is; a 1x1 convolution of pooled features is a classifier."""
        kind = kind_of_word(op.type)
        if kind not in _WEIGHTED:
            return kind
        if not op.constants:
            return OTHER  # of two activations: nothing was trained
        if kind == CONNECTED:
            return kind
        weight = op.constants[0]
        grouped = weight[1:] if op.type == "GroupConvolution" else weight
        if op.groups > 1 and grouped[1] == 1:
            return DEPTHWISE
        if op.groups > 1 or any(size != 1 for size in grouped[2:]):
            return CONVOLUTION
        return CONNECTED if self._reads_pooled(op) else POINTWISE

    def work(self) -> dict[str, dict[str, int | None]]:
        """Count multiply-adds and parameters of one image by kind, kernels and biases only.

        Multiply-adds are None where the size of a map is not known.
        """
        sums: dict[str, dict[str, int | None]] = {}
        for op in self.ops:
            if not self._is_weighted(op):
                continue
            own = sums.setdefault(self.kind_of(op), {"multiply_adds": 0, "parameters": 0})
            weights = count(op.constants[0])
            maps = count(op.output[2:] if kind_of_word(op.type) == CONVOLUTION else op.output[1:-1])
            added = None if weights is None or maps is None else weights * maps
            biases = [*op.constants[1:2], *self._added_to(op)]
            own["multiply_adds"] = _sum(own["multiply_adds"], added)
            for number in (weights, *map(count, biases)):
                own["parameters"] = _sum(own["parameters"], number)
        return sums

    def _added_to(self, op: Op) -> list[tuple[int | None, ...]]:
        """Return the shape of a bias that an Add of its own brings, as in OpenVINO's graphs."""
        number = self.ops.index(op)
        return [
            each.constants[0]
            for each in self.ops
            if each.type == "Add" and each.source == number and each.constants
        ]

    def _is_weighted(self, op: Op) -> bool:
        return kind_of_word(op.type) in _WEIGHTED and bool(op.constants)

    def _find(self, name: str) -> Op | None:
        """Return the operation whose name a vendor's begins with, the longest of them."""
        ends = [match.start() for match in re.finditer(r"[/_.: ]", name)]
        for end in (len(name), *reversed(ends)):
            if name[:end] in self._by_name:
                return self._by_name[name[:end]]
        return None

    def _weighted_behind(self, op: Op | None) -> Op | None:
        """Return the last weighted operation up to this one: a fusion may have the last's name."""
        while op is not None and not self._is_weighted(op):
            if kind_of_word(op.type) == POOLING:
                return None
            op = None if op.source is None else self.ops[op.source]
        return op

    def _reads_pooled(self, op: Op) -> bool:
        while op.source is not None:
            op = self.ops[op.source]
            if kind_of_word(op.type) == POOLING:
                return True
            scaled = bool(op.constants) and not any(op.constants)  # by scalars: dequantised
            if not scaled and op.type.lower() not in _PASSING:
                return False
        return False

    def _kind_of_fused(self, name: str) -> str:
        """Say what a layer is whose name joins those of all that it does."""
        parts = [re.sub(r"^PWN\((.*)\)$", r"\1", part.strip()) for part in name.split(" + ")]
        found = [self._by_name[part] for part in parts if part in self._by_name]
        weighted = [op for op in found if self._is_weighted(op)]
        if weighted or found:
            return self.kind_of((weighted or found)[0])
        return guess(name, kind_of_word(name.split("(", maxsplit=1)[0]))


def kind_of_word(word: str) -> str:
    """Say what an operator is by its name alone; of convolutions no more than that they are.

    Example:
        >>> kind_of_word("QLinearConv"), kind_of_word("Convert"), kind_of_word("FusedGemm")
        ('other convolution', 'other', 'fully connected')
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


def guess(name: str, kind: str) -> str:
    """Tell convolutions apart by a layer's name, where no graph tells.

    Example:
        >>> guess("block_01/depthwise/conv", "other convolution")
        'depthwise'
    """
    if kind == CONVOLUTION:
        return next((word for word in (DEPTHWISE, POINTWISE) if word in name.lower()), kind)
    return kind


def _sum(total: int | None, number: int | None) -> int | None:
    return None if total is None or number is None else total + number
