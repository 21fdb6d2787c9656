"""Range by entropy: where to cut a histogram so that its integer form loses least."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.calibration.histogram import BINS

if TYPE_CHECKING:
    from edgedeploy.types import Array

LEVELS = 128
MOST_CLIPPED = 0.01


def threshold(counts: Array, *, levels: int = LEVELS) -> int:
    """Return how many bins to keep, counted from zero, of a histogram of magnitudes.

    For every cut the kept bins, with everything beyond added to the last one, are the
    distribution P; merging them into ``levels`` and spreading each over its non-empty bins gives
    Q. The cut with the least KL(P‖Q) wins, of those that clip at most `MOST_CLIPPED` of the mass:
    the spike that ReLU6 leaves at 6 would otherwise be cut like an outlier. All cuts are weighed
    at once: both distributions follow from running sums, so nothing is looped over.

    Args:
        counts: ``(bins,)``; bin j counts the magnitudes from j·w to (j + 1)·w.
        levels: Integers that a magnitude can take.

    Returns:
        At least ``levels`` bins, at most the last one that is not empty plus one; fewer bins than
        levels in use are all kept.

    Source:
        Migacz 2017, "8-bit Inference with TensorRT", slides 30-38. The zero bin, which holds
        what ReLU cut off, counts as its neighbour does: NVIDIA pytorch-quantization,
        calib/histogram.py, ``_compute_amax_entropy``.
    """
    used = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    if used <= levels:
        return used
    histogram = counts[:used].astype(np.float64)
    histogram[0] = histogram[1]
    least = int(np.searchsorted(np.cumsum(histogram), (1 - MOST_CLIPPED) * histogram.sum())) + 1
    cuts = np.arange(used, max(levels, least) - 1, -2)[::-1]
    divergences = _divergences(histogram, cuts, levels)
    return int(cuts[np.argmin(divergences)])


def _divergences(histogram: Array, cuts: Array, levels: int) -> Array:
    """Return KL(P‖Q) of each cut; inf where Q is empty and P is not."""
    total = histogram.sum()
    mass = _running(histogram)
    filled = _running(histogram > 0)
    surprise = _running(histogram * np.log(np.maximum(histogram, 1.0)))
    kept = mass[cuts]
    last = histogram[cuts - 1]
    clipped = total - kept
    with_clipped = last + clipped

    edges = cuts[:, None] * np.arange(levels + 1) // levels  # (cuts, levels + 1)
    q_mass = np.diff(mass[edges], axis=1)
    q_filled = np.diff(filled[edges], axis=1)
    q_filled[:, -1] += (last == 0) & (clipped > 0)
    p_mass = q_mass.copy()
    p_mass[:, -1] += clipped
    with np.errstate(divide="ignore", invalid="ignore"):
        per_bin = np.log(q_mass / q_filled)
        cross = np.where(p_mass > 0, p_mass * per_bin, 0.0).sum(axis=1)
        own = surprise[cuts] - _entropy(last) + _entropy(with_clipped)
        divergence = (own - cross) / total - np.log(total) + np.log(kept)
    return np.where(np.isfinite(divergence), divergence, np.inf)


def _running(values: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _entropy(values: Array) -> Array:
    return values * np.log(np.maximum(values, 1.0))


def magnitudes(counts: Array) -> Array:
    """Fold the two halves of a `Histogram`'s counts into ``(BINS,)`` counts of magnitudes."""
    return counts[BINS:] + counts[:BINS][::-1]
