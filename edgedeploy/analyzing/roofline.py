"""Where each layer of a model lies under the roofs of this device.

Source:
    S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model
    for multicore architectures", Communications of the ACM 52(4), 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.analyzing.counting import precision_of

if TYPE_CHECKING:
    from edgedeploy.analyzing.counting import Analysis
    from edgedeploy.analyzing.peaks import Peaks
    from edgedeploy.graph.cost import Cost

MEMORY, ARITHMETIC = "memory", "arithmetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A layer under the roofs.

    Attributes:
        cost: What it costs.
        precision: Of the rate that bounds it; None where it multiplies nothing, or in a type that
            no rate is measured in.
        attainable: Multiply-adds per second, at most; 0 where it has none, None if not known.
        bound_by: `MEMORY` or `ARITHMETIC`; None if not known.
        least_s: The least time that it takes where all its bytes come from memory; None if not
            known.
    """

    cost: Cost
    precision: str | None
    attainable: float | None
    bound_by: str | None
    least_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """A model under the roofs of a device.

    Attributes:
        peaks: What was measured.
        positions: Of the layers that cost something, in the order of the file.
    """

    peaks: Peaks
    positions: tuple[Position, ...]

    def least_s(self, kind: str | None = None) -> float | None:
        """Return the sum over all layers or one kind; None where that of one is not known."""
        return _sum([each for each in self.positions if kind in (None, each.cost.kind)])

    def memory_share(self, kind: str | None = None) -> float | None:
        """Return the share of the least time in layers that memory bounds; None if not known."""
        chosen = [each for each in self.positions if kind in (None, each.cost.kind)]
        whole = _sum(chosen)
        bound = _sum([each for each in chosen if each.bound_by == MEMORY])
        return bound / whole if whole and bound is not None else None

    def unknown(self) -> dict[str, str]:
        """Return why the least time of a layer is not known, by its operator."""
        return {each.cost.op.type: _why(each) for each in self.positions if each.least_s is None}


def of(analysis: Analysis, peaks: Peaks) -> Roofline:
    """Place each layer under the roofs."""
    return Roofline(
        peaks=peaks, positions=tuple(_position(each, peaks) for each in analysis.layers)
    )


def _position(cost: Cost, peaks: Peaks) -> Position:
    added, moved = cost.multiply_adds, cost.memory_access_bytes
    precision = precision_of(cost) if added else None
    rate = peaks.rate(precision)
    if added is None or moved is None or (added and rate is None):
        return Position(
            cost=cost, precision=precision, attainable=None, bound_by=None, least_s=None
        )
    moving_s = moved / peaks.bandwidth
    adding_s = added / rate if rate else 0.0
    least_s = max(moving_s, adding_s)
    return Position(
        cost=cost,
        precision=precision,
        attainable=added / least_s if least_s else 0.0,
        bound_by=MEMORY if moving_s >= adding_s else ARITHMETIC,
        least_s=least_s,
    )


def _sum(positions: list[Position]) -> float | None:
    known = [each.least_s for each in positions if each.least_s is not None]
    return sum(known) if len(known) == len(positions) else None


def _why(position: Position) -> str:
    cost = position.cost
    if cost.multiply_adds is None or cost.memory_access_bytes is None:
        return "a count is not known"
    bits = cost.op.inputs[0].bits
    return f"no rate is measured for {'an unknown type' if bits is None else f'{bits} bits'}"
