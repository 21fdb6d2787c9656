"""From what was observed to the range that is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.calibration import entropy
from edgedeploy.types import TensorRange

if TYPE_CHECKING:
    from edgedeploy.calibration.histogram import Histogram


def whole_range(low: float, high: float) -> TensorRange:
    """Return the range of min-max calibration: from the smallest to the largest value, and 0.

    A tensor that is always 0 gets (0, 1): any range holds it, an empty one cannot be encoded.
    """
    below, above = min(low, 0.0), max(high, 0.0)
    if below == above:
        above = 1.0
    return TensorRange(min=low, max=high, low=below, high=above)


def entropy_range(histogram: Histogram) -> TensorRange:
    """Return the range that loses least by KL divergence; it lies in the whole one.

    One cut serves both signs, as a symmetric encoding needs; what lies on one side of 0 stays so.
    """
    whole = whole_range(histogram.min, histogram.max)
    if whole.min == whole.max == 0.0:
        return whole
    kept = entropy.threshold(entropy.magnitudes(histogram.counts)) * histogram.width
    return TensorRange(
        min=whole.min, max=whole.max, low=max(whole.low, -kept), high=min(whole.high, kept)
    )
