"""Two engines in turns, so that what disturbs the machine disturbs both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy import stats

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """Ours against theirs.

    Attributes:
        ours_ms: Median of our rounds' medians.
        theirs_ms: Median of theirs.
        ratio: Median over the rounds of ours / theirs; below 1, ours is faster.
        ratio_ci95: Its interval, see `stats.median_interval`.
        ratio_spread: Width of the middle half of the ratios, over their median.
        rounds: How many.
    """

    ours_ms: float
    theirs_ms: float
    ratio: float
    ratio_ci95: tuple[float, float]
    ratio_spread: float
    rounds: int


def fight(
    ours: Callable[[], None],
    theirs: Callable[[], None],
    *,
    rounds: int,
    round_s: float,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> Duel:
    """Time both in turns; who begins alternates, and one round warms up.

    Args:
        ours: One inference; blocks until it is done.
        theirs: The same.
        rounds: Rounds that count, at least 1.
        round_s: Seconds that each has in a round; one call at least.
        clock_ns: Monotonic clock in nanoseconds.
    """
    medians = np.empty((rounds + 1, 2))
    for number, row in enumerate(medians):
        for side in (0, 1) if number % 2 else (1, 0):
            row[side] = _median_ns((ours, theirs)[side], round_s, clock_ns)
    counted = medians[1:]
    ratios = counted[:, 0] / counted[:, 1]
    return Duel(
        ours_ms=stats.percentile(counted[:, 0], 0.5) / 1e6,
        theirs_ms=stats.percentile(counted[:, 1], 0.5) / 1e6,
        ratio=stats.percentile(ratios, 0.5),
        ratio_ci95=stats.median_interval(ratios),
        ratio_spread=stats.spread(ratios),
        rounds=rounds,
    )


def _median_ns(call: Callable[[], None], seconds: float, clock_ns: Callable[[], int]) -> float:
    samples: list[int] = []
    end_ns = clock_ns() + int(seconds * 1e9)
    before_ns = clock_ns()
    while not samples or before_ns < end_ns:
        call()
        after_ns = clock_ns()
        samples.append(after_ns - before_ns)
        before_ns = after_ns
    return stats.percentile(np.array(samples), 0.5)
