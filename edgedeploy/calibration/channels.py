"""What was seen of each channel of one tensor: extremes and a coarse histogram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.calibration.histogram import SMALLEST_EXPONENT, exponent_of

if TYPE_CHECKING:
    from edgedeploy.types import Array

CHANNEL_BINS = 64
_BLOCK = 1 << 16  # values counted at once: what they need stays in the cache
_EXACT = 1 << 24  # up to here float32 holds every whole number


class Channels:
    """Statistics per channel that do not depend on the order of the pictures.

    The histograms lie over (-2^k, 2^k], one k for all channels, and grow as `Histogram` does. Here
    a bin holds its upper edge: (j - 1)·w < x ≤ j·w, so that behind a ReLU the zeros have a bin of
    their own.

    Attributes:
        min: ``(C,)`` float32, smallest value seen; inf before the first.
        max: ``(C,)`` float32, largest value seen; -inf before the first.
        count: Values seen of each channel.
        counts: ``(C, 2 · CHANNEL_BINS)`` int64.
    """

    def __init__(self, channels: int) -> None:
        self.min: Array = np.full(channels, np.inf, np.float32)
        self.max: Array = np.full(channels, -np.inf, np.float32)
        self.count = 0
        self.counts: Array = np.zeros((channels, 2 * CHANNEL_BINS), np.int64)
        self._exponent = SMALLEST_EXPONENT

    @property
    def width(self) -> float:
        """Width of a bin, w."""
        return math.ldexp(1.0, self._exponent) / CHANNEL_BINS

    def add(self, values: Array) -> None:
        """Count ``(C, n)`` float32 values of one picture, all finite."""
        channels, size = values.shape
        rows = min(max(1, _BLOCK // size), _EXACT // (2 * CHANNEL_BINS))
        low, high = values.min(axis=1), values.max(axis=1)
        np.minimum(self.min, low, out=self.min)
        np.maximum(self.max, high, out=self.max)
        self._grow(max(-float(low.min()), float(high.max())))
        first = CHANNEL_BINS - 1 if float(low.min()) >= 0.0 else 0
        for start in range(0, channels, rows):
            block = slice(start, start + rows)
            self._add_block(block, values[block], first)
        self.count += size

    def weighted(self, weights: Array) -> Array:
        """Return one histogram, ``(2 · CHANNEL_BINS,)`` float64: each channel times its weight.

        Where the tensor has no negative value, its zeros are left out: they cost nothing.

        Args:
            weights: ``(C,)``.
        """
        mass: Array = weights @ self.counts
        if float(self.min.min()) >= 0.0:
            mass[CHANNEL_BINS - 1] = 0.0
        return mass

    def _add_block(self, block: slice, part: Array, first: int) -> None:
        """Count some channels' values, of which none lies below bin ``first``."""
        # a power of two scales exactly, so that only the ceiling decides the bin
        steps = part * np.float32(1.0 / self.width)
        np.ceil(steps, out=steps)
        bins = 2 * CHANNEL_BINS - first
        offset = np.arange(len(part), dtype=np.float32) * np.float32(bins)
        steps += (offset + np.float32(CHANNEL_BINS - 1 - first))[:, None]
        found = np.bincount(steps.astype(np.intp).reshape(-1), minlength=len(part) * bins)
        self.counts[block, first:] += found.reshape(-1, bins)

    def _grow(self, largest: float) -> None:
        exponent = exponent_of(largest)
        if self.count == 0:
            self._exponent = exponent
        while self._exponent < exponent:
            grown = np.zeros_like(self.counts)
            middle = slice(CHANNEL_BINS // 2, CHANNEL_BINS // 2 + CHANNEL_BINS)
            grown[:, middle] = self.counts.reshape(len(self.counts), -1, 2).sum(axis=2)
            self.counts = grown
            self._exponent += 1
