"""Ranks for a budget of multiply-adds: the least error first, layer against layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgedeploy.converting.layers import Layer

Ranks = dict[str, int]


@dataclass(frozen=True, slots=True)
class _Step:
    """One layer's way from a rank to a lower one; ``price`` is loss added per work saved."""

    price: float
    layer: Layer
    rank: int


def descent(layers: Sequence[Layer], gains: Mapping[str, float]) -> list[Ranks]:
    """Return ever cheaper choices of ranks, the untouched network first.

    Every choice makes one layer cheaper than the last, the one with the smallest growth of the
    expected loss, see `_loss`, per multiply-add saved.

    Args:
        layers: Those that may be decomposed.
        gains: By layer, the error of the network's output per error of the layer's weights.
    """
    steps = [step for layer in layers for step in _steps(layer, gains[layer.name])]
    found: list[Ranks] = [{}]
    # sorted() is stable, and along one layer prices only rise
    for step in sorted(steps, key=lambda step: step.price):
        found.append({**found[-1], step.layer.name: step.rank})
    return [_in_order(ranks, layers) for ranks in found]


def within(
    layers: Sequence[Layer],
    gains: Mapping[str, float],
    *,
    total: int,
    target: float,
    spared: int = 0,
) -> Ranks:
    """Return ranks that leave at most a share of a network's multiply-adds.

    Args:
        layers: Those that may be decomposed, of known size.
        gains: As for `descent`.
        total: Multiply-adds of the whole network as it is.
        target: Share of ``total`` that may remain.
        spared: How many first layers are spared, which the user may take back.

    Raises:
        UsageError: Even rank 1 everywhere leaves more.
    """
    choices = descent(layers, gains)
    for ranks in choices:
        if remaining(layers, ranks, total) <= target * total:
            return _spent(layers, gains, ranks, total=total, target=target)
    raise _out_of_reach(layers, remaining(layers, choices[-1], total) / total, target, spared)


def remaining(layers: Sequence[Layer], ranks: Mapping[str, int], total: int) -> int:
    """Return a network's multiply-adds with these ranks; layers must be of known size."""
    return total + sum(
        (layer.multiply_adds(ranks[layer.name]) or 0) - (layer.multiply_adds(None) or 0)
        for layer in layers
        if layer.name in ranks
    )


def _out_of_reach(layers: Sequence[Layer], least: float, target: float, spared: int) -> UsageError:
    which = "the one layer" if len(layers) == 1 else f"all {len(layers)} layers"
    offered = f"{least + 0.0005:.3f}"
    if float(offered) < 1:
        remain, fix = f"{least:.3f}", f"pass --target-flops {offered} or more"
    else:
        remain, fix = "more than 0.999", "leave the model as it is: no budget can be kept"
    fewer = ", or spare fewer layers: --spare-first 0" if spared else ""
    return UsageError(
        f"--target-flops is {target:g}, and with rank 1 in {which} that may be converted "
        f"{remain} of the multiply-adds remain",
        fix=f"{fix}{fewer}",
    )


def _steps(layer: Layer, gain: float) -> Iterator[_Step]:
    """Yield one layer's steps down, one rank at a time.

    Prices are those of the lower convex hull of loss over work, so that they only rise; a rank
    above the hull, on the way from one of its corners to the next, has the price of that way.
    """
    rank: int | None = None
    lower = range(layer.saving_rank, 0, -1)
    while lower:
        prices = [(_price(layer, gain, rank, each), each) for each in lower]
        price, chosen = min(prices)  # of equal prices the lowest rank
        for each in range(lower[0], chosen - 1, -1):
            yield _Step(price, layer, each)
        rank, lower = chosen, range(chosen - 1, 0, -1)


def _price(layer: Layer, gain: float, rank: int | None, lower: int) -> float:
    added = _loss(layer, gain, lower) - _loss(layer, gain, rank)
    return added / _saved(layer, rank, lower)


def _loss(layer: Layer, gain: float, rank: int | None) -> float:
    """Return how much worse the network is expected to be for one layer at a rank.

    For small errors that is gain · error². It grows without bounds as a layer loses all it says:
    ranks then stay balanced, where a plain sum of squares gives some layers up for others. The
    gain of a layer is measured with all others whole, and tells less of it the more of them are
    decomposed as well: squared, as that of the layer alone would be, it gave layers with a small
    one up (docs/dac.md has the figures).

    Source:
        Zhang, Zou, He and Sun 2015, "Accelerating Very Deep Convolutional Networks for
        Classification and Detection", section 2.4: the product of the energies that are kept.
    """
    if layer.loses_nothing(rank):
        return 0.0
    return float(-gain * math.log1p(-(layer.weight_error(rank) ** 2)))


def _saved(layer: Layer, rank: int | None, lower: int) -> int:
    return (layer.multiply_adds(rank) or 0) - (layer.multiply_adds(lower) or 0)


def _spent(
    layers: Sequence[Layer],
    gains: Mapping[str, float],
    ranks: Ranks,
    *,
    total: int,
    target: float,
) -> Ranks:
    """Raise ranks as long as the budget allows: the last step down often saves too much.

    Nothing is raised that loses nothing as it is.
    """
    ranks = dict(ranks)
    while True:
        room = target * total - remaining(layers, ranks, total)
        raised = [
            (-_price(layer, gains[layer.name], higher, ranks[layer.name]), number, higher)
            for number, layer in enumerate(layers)
            if layer.name in ranks and _loss(layer, gains[layer.name], ranks[layer.name]) > 0
            for higher in _higher(layer, ranks[layer.name])
            if _saved(layer, higher, ranks[layer.name]) <= room
        ]
        if not raised:
            return ranks
        _, number, higher = min(raised)
        if higher is None:
            del ranks[layers[number].name]
        else:
            ranks[layers[number].name] = higher


def _higher(layer: Layer, rank: int) -> tuple[int | None]:
    return (rank + 1,) if rank < layer.saving_rank else (None,)


def _in_order(ranks: Ranks, layers: Sequence[Layer]) -> Ranks:
    return {layer.name: ranks[layer.name] for layer in layers if layer.name in ranks}
