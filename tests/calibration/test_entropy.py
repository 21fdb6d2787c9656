from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgedeploy.calibration.entropy import LEVELS, _divergences, threshold
from edgedeploy.calibration.histogram import Histogram
from edgedeploy.calibration.ranges import choose_range, whole_range


def _plain_divergence(counts: np.ndarray, cut: int, levels: int) -> float:
    """KL(P||Q) as Migacz 2017 writes it down, bin by bin."""
    kept = counts[:cut].astype(np.float64)
    p = kept.copy()
    p[-1] += counts[cut:].sum()
    q = np.zeros(cut)
    edges = cut * np.arange(levels + 1) // levels
    for start, stop in pairwise(edges):
        filled = p[start:stop] > 0
        if filled.any():
            q[start:stop][filled] = kept[start:stop].sum() / filled.sum()
    p, q = p / p.sum(), q / q.sum()
    seen = p > 0
    if (q[seen] == 0).any():
        return float("inf")
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())


@settings(max_examples=50, deadline=None)
@given(counts=hnp.arrays(np.int64, st.integers(20, 120), elements=st.integers(0, 50)))
def test_running_sums_give_the_divergence_of_the_definition(counts: np.ndarray) -> None:
    counts[0] = counts[-1] = 1
    cuts = np.arange(8, len(counts) + 1)
    found = _divergences(counts.astype(np.float64), cuts, 8)
    expected = [_plain_divergence(counts, int(cut), 8) for cut in cuts]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_an_even_distribution_is_kept_whole() -> None:
    counts = np.full(2048, 100)
    assert threshold(counts) == 2048


def test_a_far_outlier_is_cut_off() -> None:
    counts = np.zeros(4096, np.int64)
    counts[:1000] = (1e6 * np.exp(-np.linspace(0, 6, 1000))).astype(np.int64)
    counts[-1] = 1
    assert threshold(counts) < 2000


def test_the_zeros_of_a_relu_do_not_pull_the_cut_down() -> None:
    counts = np.full(2048, 100)
    counts[0] = 10**9
    assert threshold(counts) == 2048


def test_the_spike_that_relu6_leaves_at_the_top_is_kept() -> None:
    counts = (1e6 * np.exp(-np.linspace(0, 12, 3072))).astype(np.int64)
    counts[-1] = counts.sum()
    assert threshold(counts) == 3072


@pytest.mark.parametrize("used", [0, 1, 50, LEVELS])
def test_fewer_bins_than_levels_are_all_kept(used: int) -> None:
    counts = np.zeros(4096, np.int64)
    counts[:used] = 5
    assert threshold(counts) == used


@settings(max_examples=25, deadline=None)
@given(values=hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-1e4, 1e4, width=32)))
def test_the_range_holds_0_and_lies_in_the_whole_one(values: np.ndarray) -> None:
    histogram = Histogram()
    histogram.add(values)
    found = choose_range(histogram, "entropy")
    whole = whole_range(float(values.min()), float(values.max()))
    assert whole.low <= found.low <= 0.0 <= found.high <= whole.high
    assert found.low < found.high
    assert (found.min, found.max) == (whole.min, whole.max)


def test_uniform_values_get_their_whole_range() -> None:
    histogram = Histogram()
    histogram.add(np.random.default_rng(0).uniform(-3, 3, 200_000).astype(np.float32))
    found = choose_range(histogram, "entropy")
    assert found.low == pytest.approx(-3, rel=0.02)
    assert found.high == pytest.approx(3, rel=0.02)


def test_a_relus_range_starts_at_0() -> None:
    histogram = Histogram()
    values = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    histogram.add(np.maximum(values, 0))
    found = choose_range(histogram, "entropy")
    assert found.low == 0.0
    assert 1.5 < found.high <= found.max


def test_a_tensor_that_is_always_0_has_a_range_that_can_be_encoded() -> None:
    assert whole_range(0.0, 0.0).high == 1.0
    histogram = Histogram()
    histogram.add(np.zeros(10, np.float32))
    assert choose_range(histogram, "entropy").high == 1.0


def test_a_range_of_positive_values_is_widened_to_0() -> None:
    assert whole_range(2.0, 5.0).low == 0.0
    assert whole_range(-5.0, -2.0).high == 0.0
