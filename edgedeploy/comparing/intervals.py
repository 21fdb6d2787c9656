"""How far a figure could have come out otherwise: the same series, drawn anew by moving blocks.

Neighbouring calls resemble each other (clocks drift, caches stay warm), so whole blocks are drawn;
single samples would promise too much. H. R. Künsch, The jackknife and the bootstrap for general
stationary observations, 1989.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.types import Array

SHARES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99}
"""The percentiles that are compared, by their metric's name."""

_REPLICATES, _FEWEST_REPLICATES = 1000, 200
_MOST_DRAWS = 20_000_000
_AT_ONCE = 500_000  # draws held in memory
_TAIL = 0.025  # on either side of a 95 % interval


@dataclass(frozen=True, slots=True)
class Interval:
    """Where 95 % of what could have been lie.

    Attributes:
        low: Lower end.
        high: Upper end, not below `low`.
    """

    low: float
    high: float


def needed(name: str) -> int:
    """Return how many samples a figure needs: for a tail those of `stats.required_samples`."""
    share = SHARES.get(name, 0.50)
    return stats.required_samples(share) if share > 0.50 else 2


def figures(samples: Array) -> dict[str, float]:
    """Return the mean and each percentile with enough samples behind it.

    Args:
        samples: ``(n,)``, n ≥ 1, in any unit.
    """
    found = {
        name: stats.percentile(samples, share)
        for name, share in SHARES.items()
        if len(samples) >= needed(name)
    }
    return {**found, "mean": float(np.mean(samples))}


def redrawn(samples: Array, *, seed: int = 0) -> dict[str, Array]:
    """Return each of `figures` for many series drawn from the blocks of this one.

    The draw depends on ``seed`` and on the samples alone, not on what they are compared with: so
    with A and B swapped the ratio and its interval come out as the exact inverse.

    Args:
        samples: ``(n,)`` in the order they were taken, n ≥ 1.
        seed: Of the draw.

    Returns:
        For each figure ``(replicates,)``: 1000, fewer (at least 200) for very long series.
    """
    count = len(samples)
    shares = {name: share for name, share in SHARES.items() if count >= needed(name)}
    ranks = {name: math.ceil(count * share - 1e-9) - 1 for name, share in shares.items()}
    replicates = max(min(_REPLICATES, _MOST_DRAWS // count), _FEWEST_REPLICATES)
    found = {name: np.empty(replicates) for name in (*ranks, "mean")}
    block = math.isqrt(count - 1) + 1
    offsets = np.arange(block)
    random = np.random.default_rng([seed, zlib.crc32(np.ascontiguousarray(samples).tobytes())])
    at_once = max(_AT_ONCE // count, 1)
    for begin in range(0, replicates, at_once):
        rows = slice(begin, min(begin + at_once, replicates))
        shape = (rows.stop - begin, -(-count // block), 1)
        starts = random.integers(0, count - block + 1, size=shape)
        drawn = samples[(starts + offsets).reshape(shape[0], -1)[:, :count]]
        found["mean"][rows] = drawn.mean(axis=1)
        if ranks:
            drawn.partition(sorted(ranks.values()), axis=1)
        for name, rank in ranks.items():
            found[name][rows] = drawn[:, rank]
    return found


def ratio(first: Array, second: Array) -> Interval:
    """Return the interval of second over first, from what was drawn of each; all positive."""
    count = min(len(first), len(second))
    return between(second[:count] / first[:count])


def difference(first: Array, second: Array) -> Interval:
    """Return the interval of second less first."""
    count = min(len(first), len(second))
    return between(second[:count] - first[:count])


def between(values: Array) -> Interval:
    """Return the interval that leaves out as many values below as above, 2.5 % of them each."""
    ranked = np.sort(values)
    cut = int(_TAIL * len(ranked))
    return Interval(float(ranked[cut]), float(ranked[len(ranked) - 1 - cut]))


def widened(interval: Interval, shares: Mapping[str, float]) -> Interval:
    """Return a ratio's interval made wider by what each side's sensor may be off.

    Args:
        interval: Of the ratio.
        shares: ``first`` and ``second``, from 0 to below 1: 0.01 is ± 1 %.
    """
    one, two = shares["first"], shares["second"]
    return Interval(interval.low * (1 - two) / (1 + one), interval.high * (1 + two) / (1 - one))
