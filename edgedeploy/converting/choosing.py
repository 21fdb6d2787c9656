"""Which layers are decomposed, and at which ranks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgedeploy.converting import budget
from edgedeploy.converting.request import AUTO
from edgedeploy.converting.trials import outstanding
from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgedeploy.converting.budget import Ranks
    from edgedeploy.converting.layers import Layer, Network
    from edgedeploy.converting.request import DacRequest
    from edgedeploy.converting.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen.

    Attributes:
        ranks: By layer that is decomposed, in graph order.
        spared: The first layers, where they stay as they are.
        gains: Error of the output per error of the layer's weights, by layer, where measured.
    """

    ranks: Mapping[str, int]
    spared: tuple[str, ...] = ()
    gains: Mapping[str, float] = field(default_factory=dict)


def choose(
    network: Network,
    request: DacRequest,
    trial: Trial | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Choice:
    """Choose the ranks that a request asks for.

    Args:
        network: Its layers.
        request: Ranks or a budget.
        trial: What measures; None where the size is not known.
        progress: Called with (layers measured, layers in all).

    Raises:
        UsageError: A rank is out of range, a budget cannot be kept, or something has to be
            measured and ``trial`` is None.
    """
    layers = network.layers
    gains: dict[str, float] = {}
    if request.rank is None or request.sparing == AUTO:
        gains = _needed(trial).gains(layers, progress)
    spared = _spared(layers, request, gains)
    if request.rank is not None:
        ranks = request.rank.ranks(layers, spared)
        return Choice(ranks=ranks, spared=_still(spared, ranks), gains=gains)
    total = _work(network)
    free = [layer for layer in layers if layer.name not in spared and layer.saving_rank > 0]
    if not free:
        raise UsageError(
            f"no budget can be kept: of {len(layers)} layers {len(spared)} are spared, and in the "
            "others no rank saves anything",
            fix="spare fewer: --spare-first 0" if spared else "leave the model as it is",
        )
    if request.target_flops is not None:
        ranks = budget.within(
            free, gains, total=total, target=request.target_flops, spared=len(spared)
        )
    else:
        choices = budget.descent(free, gains)
        ranks = _within_error(_needed(trial), choices, request.max_error or 0.0)
    return Choice(ranks=ranks, spared=spared, gains=gains)


def _needed(trial: Trial | None) -> Trial:
    if trial is None:
        raise UsageError(
            "the model takes images of any size, and measuring needs one",
            fix="pass --resolution R or --input-shape CxHxW",
        )
    return trial


def _work(network: Network) -> int:
    """Return a network's multiply-adds; refuse one whose work is not known."""
    unknown = [layer.name for layer in network.layers if layer.positions is None]
    if network.multiply_adds is None or unknown:
        raise UsageError(
            "a budget needs the multiply-adds of all layers, and those of "
            f"{', '.join(unknown) or 'some operations'} are not known",
            fix="give ranks instead: --rank R; edgedeploy analyze --layers says what is known",
        )
    return network.multiply_adds


def _spared(
    layers: Sequence[Layer], request: DacRequest, gains: Mapping[str, float]
) -> tuple[str, ...]:
    if isinstance(request.sparing, int):
        return tuple(layer.name for layer in layers[: request.sparing])
    return outstanding(layers, gains)


def _still(spared: Sequence[str], ranks: Mapping[str, int]) -> tuple[str, ...]:
    """Leave out what a rank of its own converts nevertheless."""
    return tuple(name for name in spared if name not in ranks)


def _within_error(trial: Trial, choices: Sequence[Ranks], most: float) -> Ranks:
    """Return the cheapest choice whose measured error is within bounds, found by halving."""
    low, high, least = 0, len(choices) - 1, 0.0
    while low < high:
        middle = (low + high + 1) // 2
        error = trial.output_error(trial.with_ranks(choices[middle]))
        if error <= most:
            low = middle
        else:
            high, least = middle - 1, error
    if low == 0:
        first = ", ".join(f"{name} at rank {rank}" for name, rank in choices[1].items())
        offered = f"{least * 1.005:.3g}"
        instead = f"pass --max-error {offered} or more"
        if float(offered) >= 1:
            instead = "leave the model as it is: no budget below 1 can be kept"
        raise UsageError(
            f"--max-error is {most:g}, and the output errs by {least:.4g} with {first} alone, "
            "the step that costs least for what it saves",
            fix=f"{instead}, or choose ranks: --rank LAYER=R",
        )
    return choices[low]
