"""How a graph's operations hang together: what runs side by side, what is fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.graph import kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.graph.cost import Cost

_JOINS = frozenset({"Concat", "Sum"})
_MAP_SIDES = 4


class Branches:
    """The connections of a graph, by the numbers of its operations in the order of the file."""

    def __init__(self, costs: Sequence[Cost]) -> None:
        self._costs = costs
        makers: dict[str, int] = {}
        self._sources: list[tuple[int, ...]] = []
        self._readers: list[int] = [0] * len(costs)
        for number, cost in enumerate(costs):
            names = [tensor.name for tensor in cost.op.inputs]
            sources = tuple(makers[name] for name in names if name in makers)
            self._sources.append(sources)
            for source in sources:
                self._readers[source] += 1
            makers.update(dict.fromkeys((tensor.name for tensor in cost.op.outputs), number))
        self._before = _ancestors(self._sources)

    def is_fused(self, number: int) -> bool:
        """Return whether an element-wise operation of one map follows what it is fused into.

        That is a convolution or a matrix product whose result nothing else reads, with nothing
        but other such operations and borders of INT8 between; sums of two maps are not counted
        among them, since one of the two is read anew.
        """
        while True:
            cost, sources = self._costs[number], self._sources[number]
            if kinds.is_weighted(cost.op):
                return True
            plain = cost.is_free or cost.kind == kinds.ELEMENTWISE
            if not plain or len(sources) != 1 or len(cost.op.inputs) != 1:
                return False
            (number,) = sources
            if self._readers[number] != 1:
                return False

    def side_by_side(self, number: int) -> tuple[Cost, ...]:
        """Return the convolution that begins each branch joined here, none of which needs another.

        Empty where nothing is joined, or what is joined are no maps. A branch without a
        convolution does not count, nor does one that another branch is made of, as in DenseNet.
        """
        op = self._costs[number].op
        if op.type not in _JOINS or len(op.output or ()) != _MAP_SIDES:
            return ()
        ends = self._sources[number]
        needed = [sum(self._before[end] >> each & 1 for end in ends) for each in ends]
        free = [end for end, readers in zip(ends, needed, strict=True) if not readers]
        heads = (self._head(end, free) for end in free)
        return tuple(self._costs[head] for head in heads if head is not None)

    def _head(self, end: int, others: Sequence[int]) -> int | None:
        """Return the first convolution of a branch: what no other branch of these needs."""
        shared = 0
        for other in others:
            if other != end:
                shared |= self._before[other]
        own = self._before[end] & ~shared | 1 << end
        numbers = (each for each in range(end + 1) if own >> each & 1)
        return next((each for each in numbers if kinds.is_weighted(self._costs[each].op)), None)


def _ancestors(sources: Sequence[tuple[int, ...]]) -> list[int]:
    """Return, as bits of one number, what each operation is made of."""
    found: list[int] = []
    for own in sources:
        bits = 0
        for source in own:
            bits |= found[source] | 1 << source
        found.append(bits)
    return found
