"""Long series made short for drawing: neighbours share a bucket that keeps its extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedeploy.reporting import palette
from edgedeploy.reporting.figures import DataTable, number
from edgedeploy.reporting.vega import axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.reporting.vega import Spec
    from edgedeploy.types import Array


class Bucket(NamedTuple):
    """What stands for neighbours: where they begin and end, how many, and three of their values."""

    start: float
    end: float
    size: int
    low: float
    median: float
    high: float


def buckets(at: Array, values: Array, most: int) -> list[Bucket]:
    """Return at most so many buckets; no minimum or maximum is lost.

    Args:
        at: ``(n,)`` where each value lies, rising, n ≥ 1.
        values: ``(n,)``.
        most: Buckets, at least 1.
    """
    found = []
    for part in np.array_split(np.arange(len(values)), min(most, len(values))):
        held = values[part]
        middle = float(np.sort(held)[(len(held) - 1) // 2])
        low, high = float(held.min()), float(held.max())
        found.append(Bucket(float(at[part[0]]), float(at[part[-1]]), len(held), low, middle, high))
    return found


def layers(found: Sequence[Bucket], colour: str, y: Spec) -> list[Spec]:
    """Return a line through the medians, and a band around it where neighbours share a bucket."""
    values = [{key: round(value, 6) for key, value in bucket._asdict().items()} for bucket in found]
    x = {
        "field": "start",
        "type": "quantitative",
        "scale": {"nice": False},
        "axis": axis("s", grid=False),
    }
    paint = palette.variable(colour)
    line: Spec = {
        "data": {"values": values},
        "mark": {"type": "line", "color": paint, "strokeWidth": 1.5, "point": len(found) == 1},
        "encoding": {"x": x, "y": y},
    }
    if all(bucket.size == 1 for bucket in found):
        return [line]
    band = {
        "data": {"values": values},
        "mark": {"type": "area", "color": paint, "opacity": 0.25},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    return [band, line]


def table(caption: str, unit: str, found: Sequence[Bucket]) -> DataTable:
    """Return the buckets as a table."""
    return DataTable(
        caption=f"{caption}; values in {unit}",
        head=("from s", "to s", "values", "smallest", "median", "largest"),
        rows=tuple(
            (
                number(b.start),
                number(b.end),
                b.size,
                number(b.low),
                number(b.median),
                number(b.high),
            )
            for b in found
        ),
    )
