"""A histogram of one tensor that grows with the values, and needs no second look at the data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgedeploy.types import Array

BINS = 4096
_SMALLEST_EXPONENT = -100


class Histogram:
    """Counts over [-2^k, 2^k), k the smallest power that holds every value seen.

    A value outside doubles the range: each pair of bins becomes one, which moves no count across
    an edge. So the counts do not depend on the order of the values nor on how they were batched.

    Attributes:
        min: Smallest value seen; inf before the first.
        max: Largest value seen; -inf before the first.
        counts: int64, `BINS` for each sign: ``counts[BINS + j]`` holds j·w ≤ x < (j + 1)·w.
    """

    def __init__(self) -> None:
        self.min = math.inf
        self.max = -math.inf
        self.counts: Array = np.zeros(2 * BINS, np.int64)
        self._exponent = _SMALLEST_EXPONENT

    @property
    def width(self) -> float:
        """Width of a bin, w."""
        return math.ldexp(1.0, self._exponent) / BINS

    def add(self, values: Array) -> None:
        """Count float32 ``values`` of any shape, all finite."""
        flat = values.reshape(-1)
        low, high = float(flat.min()), float(flat.max())
        self.min, self.max = min(self.min, low), max(self.max, high)
        self._grow(max(-low, high))
        # a power of two scales exactly, so that only the floor decides the bin
        steps = flat * np.float32(1.0 / self.width)
        if low < 0.0:
            np.floor(steps, out=steps)
        index = steps.astype(np.int32)
        index += BINS
        self.counts += np.bincount(index, minlength=2 * BINS)

    def _grow(self, largest: float) -> None:
        if largest <= 0.0:
            return
        # frexp: largest = m · 2^e with m < 1, so 2^e > largest
        exponent = max(math.frexp(largest)[1], _SMALLEST_EXPONENT)
        if not self.counts.any():
            self._exponent = max(exponent, self._exponent)
        while self._exponent < exponent:
            negative, positive = self.counts[:BINS], self.counts[BINS:]
            grown = np.zeros_like(self.counts)
            grown[BINS // 2 : BINS] = negative.reshape(-1, 2).sum(axis=1)
            grown[BINS : BINS + BINS // 2] = positive.reshape(-1, 2).sum(axis=1)
            self.counts = grown
            self._exponent += 1
