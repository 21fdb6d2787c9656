"""What kind of layer it is, by the graph behind the engine; by the vendor's words without one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgedeploy.graph import cost, kinds
from edgedeploy.graph.kinds import CONNECTED, DEPTHWISE, ELEMENTWISE, OTHER, POINTWISE, POOLING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.graph.operations import Op

CONVOLUTION = "other convolution"
KINDS = (DEPTHWISE, POINTWISE, CONVOLUTION, CONNECTED, POOLING, ELEMENTWISE, OTHER)
"""In the order in which tables list them."""

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
        """Say what an operation is; a 1x1 convolution behind global pooling is a classifier."""
        return _coarse(kinds.of(op, self.ops))

    def work(self) -> dict[str, dict[str, int | None]]:
        """Count multiply-adds and parameters of one image by kind, kernels and biases only.

        Multiply-adds are None where the size of a map is not known.
        """
        found: dict[str, list[cost.Cost]] = {}
        for each in cost.of(self.ops):
            if kinds.is_weighted(each.op):
                found.setdefault(_coarse(each.kind), []).append(each)
        return {
            kind: {
                "multiply_adds": cost.total(each.multiply_adds for each in costs),
                "parameters": cost.total(each.parameters for each in costs),
            }
            for kind, costs in found.items()
        }

    def _find(self, name: str) -> Op | None:
        """Return the operation whose name a vendor's begins with, the longest of them."""
        ends = [match.start() for match in re.finditer(r"[/_.: ]", name)]
        for end in (len(name), *reversed(ends)):
            if name[:end] in self._by_name:
                return self._by_name[name[:end]]
        return None

    def _weighted_behind(self, op: Op | None) -> Op | None:
        """Return the last weighted operation up to this one: a fusion may have the last's name."""
        while op is not None and not kinds.is_weighted(op):
            if kinds.is_pooling(op):
                return None
            op = None if op.source is None else self.ops[op.source]
        return op

    def _kind_of_fused(self, name: str) -> str:
        """Say what a layer is whose name joins those of all that it does."""
        parts = [re.sub(r"^PWN\((.*)\)$", r"\1", part.strip()) for part in name.split(" + ")]
        found = [self._by_name[part] for part in parts if part in self._by_name]
        weighted = [op for op in found if kinds.is_weighted(op)]
        if weighted or found:
            return self.kind_of((weighted or found)[0])
        return guess(name, kind_of_word(name.split("(", maxsplit=1)[0]))


def kind_of_word(word: str) -> str:
    """Say what an operator is by its name alone; of convolutions no more than that they are.

    Example:
        >>> kind_of_word("QLinearConv"), kind_of_word("Convert"), kind_of_word("FusedGemm")
        ('other convolution', 'other', 'fully connected')
    """
    return _coarse(kinds.of_word(word))


def guess(name: str, kind: str) -> str:
    """Tell convolutions apart by a layer's name, where no graph tells.

    Example:
        >>> guess("block_01/depthwise/conv", "other convolution")
        'depthwise'
    """
    if kind == CONVOLUTION:
        return next((word for word in (DEPTHWISE, POINTWISE) if word in name.lower()), kind)
    return kind


def _coarse(kind: str) -> str:
    """Return the kind as a vendor's layers are told apart: neither depthwise nor pointwise."""
    return CONVOLUTION if kind in (kinds.STANDARD, kinds.GROUP, kinds.CONVOLUTION) else kind
