from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.calibration.histogram import Histogram
from edgedeploy.calibration.percentile import threshold


@given(seed=st.integers(0, 1000), percentile=st.floats(50.0, 100.0))
def test_that_share_of_the_values_lies_inside_and_no_more_than_a_bin_beyond(
    seed: int, percentile: float
) -> None:
    values = np.random.default_rng(seed).laplace(size=3000).astype(np.float32)
    histogram = Histogram()
    histogram.add(values)
    cut = threshold(histogram, percentile)
    magnitudes = np.abs(values)
    assert 100 * np.mean(magnitudes <= cut) >= percentile - 1e-9
    assert 100 * np.mean(magnitudes < cut - 2 * histogram.width) <= percentile


def test_all_values_lie_inside_100_percent() -> None:
    histogram = Histogram()
    histogram.add(np.array([0.1, -5.0, 2.0], np.float32))
    assert threshold(histogram, 100.0) == pytest.approx(5.0, rel=1e-3)
