"""Statistics of latencies: pure functions on arrays.

Percentiles are nearest-rank, ``sorted[ceil(n * q) - 1]``: always a value that was measured, never
one between two. A percentile is worth printing from `required_samples` samples on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedeploy.types import Array

CONFIDENCE = 0.99
PERCENTILES = {"p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99, "p99_9": 0.999}
"""The tail: the names of the percentiles that need enough samples, and their shares."""

_MOST_DRAWS = 100_000_000
# What a measurement may show and still be believed, as shares of the median.
_DRIFT = 0.10
_SPREAD = 0.25
_INTERVAL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is said of a series, in the unit of its samples.

    Attributes:
        p50: Median.
        p90: None while there are fewer than 64 samples.
        p95: None below 130.
        p97: None below 219.
        p99: None below 662.
        p99_9: None below 6 636.
        mean: Average.
        std: Sample standard deviation (n − 1); 0 for one sample.
        min: Smallest.
        max: Largest.
        count: Samples.
        p50_ci95: 95 % interval of the median, see `median_interval`.
        jitter: Mean change from one sample to the next; None for one sample.
        bounds: By the names of `PERCENTILES`, what the true percentile does not exceed with 99 %
            confidence, see `upper_bound`; None with too few samples.
    """

    p50: float
    p90: float | None
    p95: float | None
    p97: float | None
    p99: float | None
    p99_9: float | None
    mean: float
    std: float
    min: float
    max: float
    count: int
    p50_ci95: tuple[float, float]
    jitter: float | None
    bounds: Mapping[str, float | None] = field(default_factory=dict)


def percentile(samples: Array, q: float) -> float:
    """Return the nearest-rank percentile: the smallest sample that ``q`` of all do not exceed.

    Args:
        samples: ``(n,)``, in any order, n ≥ 1.
        q: Share in (0, 1], e.g. 0.99.

    Raises:
        UsageError: There is no sample, or ``q`` is out of range.

    Example:
        >>> percentile(np.array([4, 1, 3, 2]), 0.5)
        2.0
    """
    if not len(samples) or not 0 < q <= 1:
        raise UsageError(
            f"cannot take the {q} quantile of {len(samples)} samples",
            fix="pass at least one sample and a share above 0 and at most 1",
        )
    # n·q of 0.95 · 20 is 18.999…: the guard keeps the rank that exact arithmetic gives
    rank = math.ceil(len(samples) * q - 1e-9) - 1
    return float(np.partition(samples, rank)[rank])


def required_samples(q: float) -> int:
    """Return how many samples a percentile needs before it means something.

    It is the smallest n for which MLPerf's early stopping gives any bound: if more than ``1 - q``
    of all calls were above the largest sample, at most one of n would be seen there with a chance
    of 1 % or less, ``P(Binomial(n, 1 - q) <= 1) <= 0.01``.

    Example:
        >>> [required_samples(q) for q in (0.90, 0.95, 0.97, 0.99, 0.999)]
        [64, 130, 219, 662, 6636]

    Source:
        MLPerf Inference, loadgen/early_stopping.cc with t = 1, tolerance 0, confidence 0.99.
    """
    _require_share(q)
    low, high = 1, 2
    while _chance(high, q) > 1 - CONFIDENCE:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if _chance(middle, q) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def samples_above(count: int, q: float) -> int:
    """Return how many of ``count`` samples may lie above a bound of the true percentile.

    It is the largest t with ``P(Binomial(count, 1 - q) <= t) <= 0.01``: were more than ``1 - q``
    of all calls above a limit, then seeing t of ``count`` there, or fewer, would have a chance of
    1 % at most. That probability is the regularised incomplete beta function that MLPerf uses.

    Args:
        count: Samples.
        q: Share in (0, 1), e.g. 0.99.

    Returns:
        0 below `required_samples`, where there is no bound.

    Example:
        >>> [samples_above(n, 0.99) for n in (661, 662, 10_000, 1_000_000)]
        [0, 1, 77, 9768]

    Source:
        MLPerf Inference, loadgen/early_stopping.cc with tolerance 0, confidence 0.99.
    """
    _require_share(q)
    low, high = 0, int(count * (1 - q)) + 1  # above the mean, where the chance is one half
    while high - low > 1:
        middle = (low + high) // 2
        if _chance_of(middle, count, 1 - q) <= 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return low


def upper_bound(samples: Array, q: float) -> float | None:
    """Return what the true percentile does not exceed, with 99 % confidence.

    With t as `samples_above` gives it, the t − 1 largest samples are put aside and the next one
    is the bound. It lies above the plain percentile, and comes nearer with more samples.

    Args:
        samples: ``(n,)``, in any order.
        q: Share in (0, 1), e.g. 0.99.

    Returns:
        A measured value; None with fewer samples than `required_samples`.

    Example:
        >>> upper_bound(np.arange(1, 1001), 0.90), percentile(np.arange(1, 1001), 0.90)
        (923.0, 900.0)

    Source:
        MLPerf Inference, loadgen/early_stopping.cc and loadgen/results.cc.
    """
    above = samples_above(len(samples), q)
    if not above:
        return None
    rank = len(samples) - above
    return float(np.partition(samples, rank)[rank])


def median_interval(
    samples: Array, *, replicates: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return a 95 % interval of the median by a moving-block bootstrap.

    Latencies are autocorrelated (clocks drift, caches stay warm), so single samples drawn anew
    would give an interval that is too narrow. Whole blocks of ``ceil(sqrt(n))`` neighbours are
    drawn instead, and the interval lies between the 2.5 % and 97.5 % quantile of their medians.

    Args:
        samples: ``(n,)`` in the order they were taken, n ≥ 1.
        replicates: Series drawn; fewer for very long series (10⁸ draws in all, but at least 100).
        seed: Of the draw: the same samples give the same interval.

    Returns:
        Lower and upper end, both measured values.

    Raises:
        UsageError: There is no sample.

    Source:
        H. R. Künsch, The jackknife and the bootstrap for general stationary observations, 1989.
    """
    count = len(samples)
    if not count:
        raise UsageError("there is no sample", fix="pass at least one sample")
    block = math.isqrt(count - 1) + 1
    blocks = -(-count // block)
    offsets = np.arange(block)
    random = np.random.default_rng(seed)
    rank = math.ceil(count / 2) - 1
    replicates = max(min(replicates, _MOST_DRAWS // count), 100)
    medians = np.empty(replicates)
    for replicate in range(replicates):
        starts = random.integers(0, count - block + 1, size=blocks)
        drawn = samples[(starts[:, None] + offsets).ravel()[:count]]
        medians[replicate] = np.partition(drawn, rank)[rank]
    return percentile(medians, 0.025), percentile(medians, 0.975)


def summarise(samples: Array) -> Summary:
    """Describe a series; percentiles with too few samples behind them are None.

    Args:
        samples: ``(n,)`` in the order they were taken, n ≥ 1; nothing is dropped.

    Raises:
        UsageError: There is no sample.
    """
    return Summary(
        p50=percentile(samples, 0.5),
        p90=_supported(samples, 0.90),
        p95=_supported(samples, 0.95),
        p97=_supported(samples, 0.97),
        p99=_supported(samples, 0.99),
        p99_9=_supported(samples, 0.999),
        mean=float(np.mean(samples)),
        std=float(np.std(samples, ddof=1)) if len(samples) > 1 else 0.0,
        min=float(np.min(samples)),
        max=float(np.max(samples)),
        count=len(samples),
        p50_ci95=median_interval(samples),
        jitter=float(np.mean(np.abs(np.diff(samples)))) if len(samples) > 1 else None,
        bounds={name: upper_bound(samples, q) for name, q in PERCENTILES.items()},
    )


def drift(samples: Array) -> float:
    """Return by how much the median of the last third exceeds that of the first, as a share.

    Args:
        samples: ``(n,)`` in the order they were taken, n ≥ 3, all positive.

    Example:
        >>> round(drift(np.array([10, 10, 10, 11, 11, 11])), 9)
        0.1
    """
    third = len(samples) // 3
    return percentile(samples[-third:], 0.5) / percentile(samples[:third], 0.5) - 1


def spread(samples: Array) -> float:
    """Return the width of the middle half over the median; single outliers do not move it.

    Args:
        samples: ``(n,)``, n ≥ 1, all positive.
    """
    width = percentile(samples, 0.75) - percentile(samples, 0.25)
    return width / percentile(samples, 0.5)


def doubts(samples: Array, summary: Summary) -> Iterator[str]:
    """Say what in a series makes it doubtful, one phrase each.

    Args:
        samples: ``(n,)`` in the order they were taken, n ≥ 1, all positive.
        summary: Of the same samples, in any unit.
    """
    fewest = required_samples(0.90)
    if len(samples) < fewest:
        yield f"only {in_words(len(samples))}, {fewest} are the fewest that tell of the tail"
    moved = drift(samples) if len(samples) >= 3 else 0.0
    if abs(moved) > _DRIFT:
        yield f"drift of {moved:+.0%} from the first third of the calls to the last"
    width = spread(samples)
    if width > _SPREAD:
        yield f"unsteady: the middle half of the calls spans {width:.0%} of the median"
    low, high = summary.p50_ci95
    if (high - low) / 2 > _INTERVAL * summary.p50:
        yield f"the median is known to ±{(high - low) / 2 / summary.p50:.0%} only"


def in_words(samples: int) -> str:
    """Return a number of samples in words.

    Example:
        >>> in_words(1), in_words(2)
        ('1 sample', '2 samples')
    """
    return f"{samples} sample" if samples == 1 else f"{samples} samples"


def _supported(samples: Array, q: float) -> float | None:
    return percentile(samples, q) if len(samples) >= required_samples(q) else None


def _require_share(q: float) -> None:
    if not 0 < q < 1:
        raise UsageError(f"{q} is no percentile", fix="pass a share above 0 and below 1")


def _chance_of(most: int, count: int, share: float) -> float:
    """P(Binomial(count, share) <= most), for ``most`` up to about the mean.

    The largest term comes from lgamma; those below it follow by their ratio, until they no longer
    count.
    """
    if most >= count:
        return 1.0
    others = count - most
    term = total = 1.0
    for k in range(most, 0, -1):
        term *= k * (1 - share) / ((count - k + 1) * share)
        total += term
        if term < 1e-17 * total:
            break
    log_chance = math.lgamma(count + 1) - math.lgamma(most + 1) - math.lgamma(others + 1)
    log_chance += most * math.log(share) + others * math.log1p(-share)
    return math.exp(log_chance) * total


def _chance(count: int, q: float) -> float:
    """P(Binomial(count, 1 - q) <= 1)."""
    return q**count + count * (1 - q) * q ** (count - 1)
