"""Where a model breaks the guidelines of ShuffleNet V2, and what that costs.

One finding a guideline. Nothing is said of what costs less than 2 % of the model's memory access,
nor of what engines fuse.

Source:
    N. Ma, X. Zhang, H.-T. Zheng and J. Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN
    Architecture Design", ECCV 2018, section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.analyzing import prices as pricing
from edgedeploy.analyzing.branches import Branches
from edgedeploy.analyzing.counting import precision_of
from edgedeploy.analyzing.showing import amount, name_of
from edgedeploy.graph import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.analyzing.counting import Analysis
    from edgedeploy.analyzing.prices import Price, Prices
    from edgedeploy.graph.cost import Cost

LEAST_SHARE = 0.02
"""Of the model's memory access: what costs less in all layers is not mentioned."""

_WIDEST_RATIO = 2.0  # as between the stages of a MobileNetV1; the paper sees little up to there
_FEWEST_BRANCHES = 3  # one beside a shortcut or a downsampled one is no fragmentation
_ELEMENTWISE_SHARE = 0.10
_UNITS = {32: 8, 8: 16}  # numbers that are multiplied at once, by their bits; docs/analyze.md
_SUMS = frozenset({"Add", "Sum"})
_IMAGE_CHANNELS = 4  # what reads the picture has no choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One guideline, and all places that break it.

    Attributes:
        rule: Of `prices`.
        layers: The names of all layers that break it, the dearest first.
        what: What the dearest has and what it would better have, in words.
        dearest_bytes: Memory access that this costs there, counted.
        extra_bytes: The same of all layers.
        share: That as a share of the model's memory access.
        prices: What breaking it as the dearest does was measured to cost on this device, one for
            each backend; empty if it was not.
    """

    rule: str
    layers: tuple[str, ...]
    what: str
    dearest_bytes: int
    extra_bytes: int
    share: float
    prices: tuple[Price, ...]


def find(analysis: Analysis, prices: Prices | None = None) -> tuple[Finding, ...]:
    """Return what is worth saying, the dearest first.

    Args:
        analysis: Of a model; where a layer's memory access is not known, nothing is found.
        prices: What was measured on this device; None: nothing.
    """
    whole = analysis.totals()["memory_access_bytes"]
    if not whole:
        return ()
    branches = Branches(analysis.costs)
    broken: dict[str, list[_Broken]] = {}
    for each in (
        *(each for cost in analysis.layers for each in _of_layer(cost)),
        *_fragments(analysis, branches),
        *_elementwise(analysis, branches, whole),
    ):
        broken.setdefault(each.rule, []).append(each)
    found = (_finding(places, whole, prices) for places in broken.values())
    worth = (each for each in found if each.share >= LEAST_SHARE)
    return tuple(sorted(worth, key=lambda each: -each.extra_bytes))


def _finding(places: list[_Broken], whole: int, prices: Prices | None) -> Finding:
    ordered = sorted(places, key=lambda each: -each.extra)
    first, total = ordered[0], sum(each.extra for each in places)
    near = prices.nearest(first.rule, first.number, first.precision) if prices else ()
    return Finding(
        rule=first.rule,
        layers=tuple(name_of(each.cost) for each in ordered),
        what=first.what,
        dearest_bytes=round(first.extra),
        extra_bytes=round(total),
        share=total / whole,
        prices=near,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broken:
    """A guideline broken by ``number`` in a layer, which costs ``extra`` bytes."""

    rule: str
    cost: Cost
    number: float
    what: str
    extra: float

    @property
    def precision(self) -> str | None:
        return precision_of(self.cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maps:
    """A convolution's channels, and the bytes of its maps and weights."""

    into: int
    out: int
    read: int
    written: int
    weights: int


def _of_layer(cost: Cost) -> Iterator[_Broken]:
    maps = _maps(cost)
    if maps is None:
        return
    if cost.kind == kinds.POINTWISE:
        yield from _widths(cost, maps)
    if cost.kind == kinds.GROUP:
        yield _groups(cost, maps)
    yield from _channels(cost, maps)


def _maps(cost: Cost) -> _Maps | None:
    op = cost.op
    if kinds.of_word(op.type) != kinds.CONVOLUTION or not kinds.is_weighted(op):
        return None
    into, out = (_second(each[0].shape if each else None) for each in (op.inputs, op.outputs))
    sizes = [each.size_bytes for each in (op.inputs[0], op.outputs[0], op.constants[0])]
    if into is None or out is None or None in sizes:
        return None
    read, written, weights = (size or 0 for size in sizes)
    return _Maps(into=into, out=out, read=read, written=written, weights=weights)


def _second(shape: tuple[int | None, ...] | None) -> int | None:
    return shape[1] if shape and len(shape) > 1 else None


def _widths(cost: Cost, maps: _Maps) -> Iterator[_Broken]:
    """G1: with c1·c2 multiply-adds a place, c1 + c2 is least where both are their mean."""
    ratio = max(maps.into, maps.out) / min(maps.into, maps.out)
    if ratio <= _WIDEST_RATIO or maps.into <= _IMAGE_CHANNELS:
        return
    even = math.sqrt(maps.into * maps.out)
    yield _Broken(
        rule=pricing.WIDTHS,
        cost=cost,
        number=ratio,
        what=f"{maps.into} to {maps.out} channels, 1:{ratio:.3g}; as many multiply-adds at "
        f"{even:.0f} to {even:.0f}",
        extra=maps.read * (1 - even / maps.into) + maps.written * (1 - even / maps.out),
    )


def _groups(cost: Cost, maps: _Maps) -> _Broken:
    """G2: without groups as many multiply-adds need channels fewer by the root of the groups."""
    groups = cost.op.groups
    saved = 1 - 1 / math.sqrt(groups)
    return _Broken(
        rule=pricing.GROUPS,
        cost=cost,
        number=groups,
        what=f"{groups} groups of {maps.into // groups} channels; as many multiply-adds without "
        f"groups at {maps.into / math.sqrt(groups):.0f}",
        extra=(maps.read + maps.written) * saved,
    )


def _channels(cost: Cost, maps: _Maps) -> Iterator[_Broken]:
    """Units multiply whole blocks of channels; what is missing of the last one is padded."""
    unit = _UNITS.get(cost.op.inputs[0].bits or 0)
    if unit is None or cost.kind in {kinds.CONNECTED, kinds.GROUP}:
        return
    into = maps.into if maps.into <= _IMAGE_CHANNELS else _padded(maps.into, unit)
    out = _padded(maps.out, unit)
    if (into, out) == (maps.into, maps.out):
        return
    more_in, more_out = into / maps.into, out / maps.out
    weights = more_out if cost.kind == kinds.DEPTHWISE else more_in * more_out
    worst = maps.out if more_out >= more_in else maps.into
    yield _Broken(
        rule=pricing.CHANNELS,
        cost=cost,
        number=worst,
        what=f"{maps.into} to {maps.out} channels; in blocks of {unit} the work of {into} to {out}",
        extra=maps.read * (more_in - 1)
        + maps.written * (more_out - 1)
        + maps.weights * (weights - 1),
    )


def _padded(channels: int, unit: int) -> int:
    return -(-channels // unit) * unit


def _fragments(analysis: Analysis, branches: Branches) -> Iterator[_Broken]:
    """G3: several convolutions side by side read the same map anew, and each has to be begun."""
    for number, cost in enumerate(analysis.costs):
        heads = branches.side_by_side(number)
        if len(heads) < _FEWEST_BRANCHES:
            continue
        # each of them reads a map; of those that read the same one, all but the first read again
        maps = {each.op.inputs[0].name: each.op.inputs[0].size_bytes or 0 for each in heads}
        read = sum(each.op.inputs[0].size_bytes or 0 for each in heads)
        smallest = min(each.multiply_adds or 0 for each in heads)
        yield _Broken(
            rule=pricing.FRAGMENTS,
            cost=cost,
            number=len(heads),
            what=f"{len(heads)} branches side by side, the least of {amount(smallest)} "
            "multiply-adds; 1 reads once",
            extra=read - sum(maps.values()),
        )


def _elementwise(analysis: Analysis, branches: Branches, whole: int) -> Iterator[_Broken]:
    """G4: what no engine puts into the convolution before it reads and writes whole maps."""
    alone = [
        cost
        for number, cost in enumerate(analysis.costs)
        if cost.kind == kinds.ELEMENTWISE and not branches.is_fused(number)
    ]
    if sum(cost.memory_access_bytes or 0 for cost in alone) < _ELEMENTWISE_SHARE * whole:
        return
    sums_only = all(cost.op.type in _SUMS for cost in alone)
    number = pricing.SUMS if sums_only else pricing.SUMS_AND_ACTIVATIONS
    for cost in alone:
        moved = cost.memory_access_bytes or 0
        yield _Broken(
            rule=pricing.ELEMENTWISE,
            cost=cost,
            number=number,
            what=f"{cost.op.type} reads whole maps; in a convolution it would not",
            extra=moved,
        )
