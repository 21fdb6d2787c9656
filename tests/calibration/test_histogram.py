from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgedeploy.calibration.histogram import BINS, Histogram

_VALUES = hnp.arrays(
    np.float32,
    st.integers(1, 60),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)


def _of(*arrays: np.ndarray) -> Histogram:
    histogram = Histogram()
    for array in arrays:
        histogram.add(array)
    return histogram


@settings(deadline=None)
@given(values=_VALUES, cut=st.integers(0, 60))
def test_counts_do_not_depend_on_order_or_batching(values: np.ndarray, cut: int) -> None:
    at_once = _of(values)
    parts = [part for part in (values[cut:], values[:cut]) if part.size]
    in_parts = _of(*parts)
    assert in_parts.width == at_once.width
    np.testing.assert_array_equal(in_parts.counts, at_once.counts)


@settings(deadline=None)
@given(values=_VALUES)
def test_every_value_lies_in_the_bin_that_counts_it(values: np.ndarray) -> None:
    histogram = _of(values)
    assert histogram.counts.sum() == values.size
    assert (histogram.min, histogram.max) == (values.min(), values.max())
    for value in values.astype(np.float64):
        bin_index = int(np.floor(value / histogram.width)) + BINS
        assert histogram.counts[bin_index] > 0


@settings(deadline=None)
@given(values=_VALUES.filter(lambda values: bool(np.abs(values).max() > 1e-20)))
def test_at_least_half_of_a_signs_bins_are_in_reach(values: np.ndarray) -> None:
    histogram = _of(values)
    assert BINS / 2 <= np.abs(values.astype(np.float64)).max() / histogram.width < BINS


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    histogram = _of(np.ones(3, np.float32))
    with pytest.raises(ValueError, match="the values lie between"):
        histogram.add(np.array([0.0, value], np.float32))
    assert histogram.counts.sum() == 3


def test_zeros_alone_are_counted() -> None:
    assert _of(np.zeros(5, np.float32)).counts[BINS] == 5


def test_a_range_that_doubles_many_times_keeps_every_count() -> None:
    histogram = _of(*(np.full(3, 2.0**k, np.float32) for k in range(-40, 40)))
    assert histogram.counts.sum() == 240
    assert histogram.width == 2.0**40 / BINS
