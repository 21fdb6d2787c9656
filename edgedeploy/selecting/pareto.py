"""The variants that no other one beats in everything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgedeploy.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.selecting.candidates import Candidate


def front(candidates: Sequence[Candidate], axes: Sequence[str]) -> tuple[Candidate, ...]:
    """Return the variants that none dominates, in the order given.

    One dominates another if it is nowhere worse and somewhere better. What was not measured counts
    as worse than anything that was.

    Args:
        candidates: To choose from.
        axes: Names of the metrics.
    """
    points = [[cost(one, axis) for axis in axes] for one in candidates]
    return tuple(
        candidate
        for candidate, point in zip(candidates, points, strict=True)
        if not any(_dominates(other, point) for other in points)
    )


def cost(candidate: Candidate, name: str) -> float:
    """Return a metric so that less is better; infinite where it is not known."""
    value = candidate.readings[name].value
    if value is None:
        return math.inf
    return -value if METRICS[name].more_is_better else value


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
