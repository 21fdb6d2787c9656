"""A histogram of one tensor that grows with the values, and needs no second look at the data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgedeploy.types import Array

BINS = 4096
SMALLEST_EXPONENT = -100
_BLOCK = 1 << 16  # values counted at once: what they need stays in the cache


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
        self._exponent = SMALLEST_EXPONENT

    @property
    def width(self) -> float:
        """Width of a bin, w."""
        return math.ldexp(1.0, self._exponent) / BINS

    def add(self, values: Array) -> None:
        """Count float32 ``values`` of any shape.

        Raises:
            ValueError: One of them is not finite; none is counted.
        """
        flat = values.reshape(-1)
        low, high = float(flat.min()), float(flat.max())  # of which a NaN makes a NaN
        if not math.isfinite(high - low):
            raise ValueError(f"the values lie between {low} and {high}")
        self.min, self.max = min(self.min, low), max(self.max, high)
        self._grow(max(-low, high))
        scale = np.float32(1.0 / self.width)
        # a power of two scales exactly, so that only the floor decides the bin; where no value is
        # negative the conversion to integers is the floor
        used = self.counts[BINS:] if low >= 0.0 else self.counts
        for start in range(0, len(flat), _BLOCK):
            steps = flat[start : start + _BLOCK] * scale
            if low < 0.0:
                np.floor(steps, out=steps)
                steps += np.float32(BINS)
            used += np.bincount(steps.astype(np.intp), minlength=len(used))

    def _grow(self, largest: float) -> None:
        exponent = exponent_of(largest)
        if not self.counts.any():
            self._exponent = exponent
        while self._exponent < exponent:
            negative, positive = self.counts[:BINS], self.counts[BINS:]
            grown = np.zeros_like(self.counts)
            grown[BINS // 2 : BINS] = negative.reshape(-1, 2).sum(axis=1)
            grown[BINS : BINS + BINS // 2] = positive.reshape(-1, 2).sum(axis=1)
            self.counts = grown
            self._exponent += 1


def exponent_of(largest: float) -> int:
    """Return the smallest k with 2^k above ``largest``, and no less than `SMALLEST_EXPONENT`."""
    if largest <= 0.0:
        return SMALLEST_EXPONENT
    return max(math.frexp(largest)[1], SMALLEST_EXPONENT)  # largest = m · 2^e with m < 1
