"""How far a figure could have come out otherwise: the same series, drawn anew by moving blocks.

Neighbouring calls resemble each other (clocks drift, caches stay warm), so whole blocks are drawn;
single samples would promise too much. H. R. Künsch, The jackknife and the bootstrap for general
stationary observations, 1989.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedeploy.types import Array

SHARES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99}
"""The percentiles that are compared, by their metric's name."""

_REPLICATES, _FEWEST_REPLICATES = 1000, 200
_MOST_DRAWS = 20_000_000
_AT_ONCE = 500_000  # draws held in memory
_TAIL = 0.025  # on either side of a 95 % interval
_ROUND_REPLICATES = 4000
FEWEST_ROUNDS = 6
"""For an interval between rounds. Of 5 there are 126 draws only, and their tails decide."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where 95 % of what could have been lie.

    Attributes:
        low: Lower end.
        high: Upper end, not below `low`.
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How a figure changed, as far as that can be said.

    Attributes:
        ratio: Second over first; None where there is none.
        interval: 95 % of it; None where the spread is not known.
        difference: 95 % of second less first; None as `interval`.
        missing: Why there is no interval; None where there is one.
        doubt: Why nothing may be concluded from it; None: something may.
        of_rounds: Whether `ratio` is the mean of the ratios of pairs, and not that of two figures.
    """

    ratio: float | None = None
    interval: Interval | None = None
    difference: Interval | None = None
    missing: str | None = None
    doubt: str | None = None
    of_rounds: bool = False


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


def between(values: Array, *, tail: float = _TAIL) -> Interval:
    """Return the interval that leaves out as many values below as above, 2.5 % of them each."""
    ranked = np.sort(values)
    cut = int(tail * len(ranked))
    return Interval(float(ranked[cut]), float(ranked[len(ranked) - 1 - cut]))


def widened(interval: Interval, shares: Mapping[str, float]) -> Interval:
    """Return a ratio's interval made wider by what each side's sensor may be off.

    Args:
        interval: Of the ratio.
        shares: ``first`` and ``second``, from 0 to below 1: 0.01 is ± 1 %.
    """
    one, two = shares["first"], shares["second"]
    return Interval(interval.low * (1 - two) / (1 + one), interval.high * (1 + two) / (1 - one))


def paired(first: Array, second: Array) -> Estimate:
    """Return the change between figures that were measured in pairs, with what pairs vary by.

    The ratio is the geometric mean of the pairs' ratios, the difference the mean of theirs. For
    their intervals pairs are drawn anew, and the ends are those of `rounds_tail`.

    Args:
        first: ``(n,)`` positive, n ≥ 1.
        second: As many.
    """
    drawn = _rounds_drawn(len(first))
    if drawn is None:
        few = _too_few(len(first))
        return Estimate(ratio=_geometric(first, second), missing=few, of_rounds=True)
    logs, tail = np.log(second / first), rounds_tail(len(first))
    ratios = np.exp(drawn @ logs / len(first))
    differences = drawn @ (second - first) / len(first)
    return Estimate(
        ratio=_geometric(first, second),
        interval=between(ratios, tail=tail),
        difference=between(differences, tail=tail),
        of_rounds=True,
    )


def tails(first: Sequence[Array], second: Sequence[Array], share: float) -> Estimate:
    """Return the change of a percentile that only all rounds together have the samples for.

    Rounds are drawn anew, the same of both sides, and the percentile is that of all their samples.

    Args:
        first: Samples of each round, each ``(n,)`` with n ≥ 1, all positive.
        second: As many rounds.
        share: Of the percentile, e.g. 0.99.
    """
    drawn = _rounds_drawn(len(first))
    ratio = stats.percentile(np.concatenate(second), share)
    ratio /= stats.percentile(np.concatenate(first), share)
    if drawn is None:
        return Estimate(ratio=ratio, missing=_too_few(len(first)))
    one, two = _percentiles(first, share, drawn), _percentiles(second, share, drawn)
    tail = rounds_tail(len(first))
    return Estimate(
        ratio=ratio,
        interval=between(two / one, tail=tail),
        difference=between(two - one, tail=tail),
    )


def rounds_tail(count: int) -> float:
    """Return which share of the drawn values lies beyond either end of a 95 % interval of rounds.

    With few units a bootstrap is too narrow: drawn values spread by n instead of n − 1, and their
    tails are those of a normal distribution instead of Student's. Further out by just that, the
    interval of a mean is that of Student's t.

    Args:
        count: Rounds, at least 2.

    Example:
        >>> round(rounds_tail(10), 4), round(rounds_tail(10_000), 3)
        (0.0086, 0.025)

    Source:
        T. C. Hesterberg, What teachers should know about the bootstrap, 2015: the expanded
        percentile interval.
    """
    return NormalDist().cdf(-_student(count - 1) * math.sqrt(count / (count - 1)))


def _student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, to 0.001 from five degrees of freedom on.

    Source:
        M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf(1 - _TAIL)
    terms: tuple[float, ...] = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum(term / freedom**power for power, term in enumerate(terms))


def _rounds_drawn(count: int, *, seed: int = 0) -> Array | None:
    """Return how often each round is in each draw, ``(replicates, count)``; None: too few.

    It depends on their number alone, so that both sides get the same rounds.
    """
    if count < FEWEST_ROUNDS:
        return None
    random = np.random.default_rng([seed, count])
    return random.multinomial(count, np.full(count, 1 / count), size=_ROUND_REPLICATES)


def _percentiles(rounds: Sequence[Array], share: float, drawn: Array) -> Array:
    """Return the percentile of all samples of the rounds in each draw, ``(replicates,)``.

    Found by halving: of all measured values the smallest that enough samples do not exceed.
    """
    ranked = [np.sort(one) for one in rounds]
    values = np.unique(np.concatenate(ranked))
    ranks = np.ceil(share * (drawn @ [len(one) for one in ranked]) - 1e-9)
    low = np.zeros(len(drawn), dtype=np.int64)
    high = np.full(len(drawn), len(values) - 1)
    while (low < high).any():
        middle = (low + high) // 2
        below = sum(
            drawn[:, number] * np.searchsorted(one, values[middle], side="right")
            for number, one in enumerate(ranked)
        )
        enough = below >= ranks
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle + 1)
    found: Array = values[low]
    return found


def _geometric(first: Array, second: Array) -> float:
    return float(np.exp(np.mean(np.log(second / first))))


def _too_few(rounds: int) -> str:
    return f"{rounds} rounds, {FEWEST_ROUNDS} are needed for an interval"
