"""From what was observed to the range that is used."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.calibration import entropy, percentile, squared_error
from edgedeploy.calibration_values import QdqStyle, TensorRange
from edgedeploy.errors import UnknownNameError

if TYPE_CHECKING:
    from edgedeploy.calibration.channels import Channels
    from edgedeploy.calibration.histogram import Histogram
    from edgedeploy.types import Array

_log = logging.getLogger(__name__)

AUTO = "auto"
METHODS = (AUTO, "entropy", "minmax", "mse", "percentile")
CANDIDATE_PERCENTILES = (99.9, 99.99, 99.999)
LEAST_GAIN = 0.01


def whole_range(low: float, high: float) -> TensorRange:
    """Return the range of min-max calibration: from the smallest to the largest value, and 0.

    A tensor that is always 0 gets (0, 1): any range holds it, an empty one cannot be encoded.
    """
    below, above = min(low, 0.0), max(high, 0.0)
    if below == above:
        above = 1.0
    return TensorRange(min=low, max=high, low=below, high=above, method="minmax")


def choose_range(histogram: Histogram, method: str) -> TensorRange:
    """Return the range that one method, not ``"auto"``, gives a tensor; it lies in the whole one.

    One cut serves both signs, as a symmetric encoding needs; what lies on one side of 0 stays so.

    Args:
        histogram: Of at least one value.
        method: ``"minmax"``, ``"entropy"``, ``"mse"`` or ``"percentile"``.

    Raises:
        UnknownNameError: There is no such method.
    """
    whole = whole_range(histogram.min, histogram.max)
    if method not in METHODS or method == AUTO:
        raise UnknownNameError("range method", method, [name for name in METHODS if name != AUTO])
    if method == "minmax" or whole.min == whole.max == 0.0:
        return whole
    if method == "entropy":
        kept = entropy.threshold(entropy.magnitudes(histogram.counts)) * histogram.width
    elif method == "mse":
        kept = squared_error.threshold(histogram)
    else:
        kept = percentile.threshold(histogram)
        method = f"percentile {percentile.PERCENTILE:g}"
    return _cut(whole, kept, method)


def best_range(
    histogram: Histogram, channels: Channels, weights: Array, *, name: str = ""
) -> TensorRange:
    """Return, of the ranges that all methods give, the one that harms the tensor's readers least.

    The criterion is the squared error that quantising adds to the outputs of the convolutions and
    matrix products that read the tensor: of channel c, the expected squared error of its own
    values times ``weights[c]``; see `consumers.channel_weights`. One range serves both Q/DQ
    styles, so the errors of both count, each relative to that of the whole range. Cutting has to
    gain `LEAST_GAIN` of them: what is clipped errs all to one side, which the criterion does not
    count, and ReLU6 leaves nothing to cut.

    Args:
        histogram: Of the tensor.
        channels: Of the same tensor and pictures.
        weights: ``(C,)``, not negative.
        name: Of the tensor, for the log.
    """
    found = candidates(histogram)
    density = squared_error.weighted_density_of(channels, weights)
    low = np.array([candidate.low for candidate in found])
    high = np.array([candidate.high for candidate in found])
    harms = squared_error.harm(density, low, high)
    cut = int(np.argmin(harms))
    best = found[cut if harms[cut] < (1.0 - LEAST_GAIN) * harms[0] else 0]
    for style in QdqStyle:
        alone = found[int(np.argmin(squared_error.expected(density, low, high, style)))]
        if alone != best:
            _log.debug("%s: %s alone would take %s", name, style.value, alone.method)
    _log.info("%s: %s, %g to %g", name, best.method, best.low, best.high)
    return best


def candidates(histogram: Histogram) -> list[TensorRange]:
    """Return the ranges that `best_range` weighs, the whole one first."""
    found = [choose_range(histogram, method) for method in ("minmax", "mse", "entropy")]
    if found[0].min == found[0].max == 0.0:
        return found[:1]
    found += [
        _cut(found[0], percentile.threshold(histogram, share), f"percentile {share:g}")
        for share in CANDIDATE_PERCENTILES
    ]
    return found


def _cut(whole: TensorRange, kept: float, method: str) -> TensorRange:
    return replace(whole, low=max(whole.low, -kept), high=min(whole.high, kept), method=method)
