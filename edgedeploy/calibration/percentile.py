"""Range by percentile: a given share of the values lies inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.calibration.entropy import magnitudes

if TYPE_CHECKING:
    from edgedeploy.calibration.histogram import Histogram

PERCENTILE = 99.99


def threshold(histogram: Histogram, percentile: float = PERCENTILE) -> float:
    """Return the magnitude that ``percentile`` % of all values do not exceed, within one bin.

    What ReLU set to 0 counts as a value, as it does in the source.

    Args:
        histogram: Of at least one value.
        percentile: Above 0 and at most 100.

    Source:
        Wu et al. 2020, "Integer Quantization for Deep Learning Inference: Principles and
        Empirical Evaluation", section 5.2: of entropy, maximum and four percentiles, 99.99 % and
        99.999 % serve most networks, and no method serves all.
    """
    mass = np.cumsum(magnitudes(histogram.counts))
    wanted = percentile / 100 * float(mass[-1])
    return (int(np.searchsorted(mass, wanted)) + 1) * histogram.width
