from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy import stats
from edgedeploy.comparing import intervals
from edgedeploy.comparing.intervals import Interval
from tests.comparing.measured import latencies

SERIES = st.lists(st.integers(1, 10**9), min_size=1, max_size=80).map(np.array)


@settings(max_examples=25)
@given(first=SERIES, second=SERIES)
def test_swapping_the_sides_inverts_the_ratio_and_negates_the_difference(
    first: np.ndarray, second: np.ndarray
) -> None:
    one, two = intervals.redrawn(first), intervals.redrawn(second)
    for name in one.keys() & two.keys():
        forth = intervals.ratio(one[name], two[name])
        back = intervals.ratio(two[name], one[name])
        assert (1 / back.high, 1 / back.low) == pytest.approx((forth.low, forth.high))
        there = intervals.difference(one[name], two[name])
        again = intervals.difference(two[name], one[name])
        assert (-again.high, -again.low) == pytest.approx((there.low, there.high))


@settings(max_examples=25)
@given(samples=SERIES, factor=st.integers(2, 1000))
def test_a_series_times_a_factor_gives_that_factor_around_which_the_interval_lies(
    samples: np.ndarray, factor: int
) -> None:
    one, two = intervals.redrawn(samples), intervals.redrawn(samples * factor)
    for name, values in one.items():
        found = intervals.ratio(values, two[name])
        assert found.low <= factor * (1 + 1e-9)
        assert found.high >= factor * (1 - 1e-9)


def test_the_same_series_is_drawn_the_same_way_and_another_seed_draws_another() -> None:
    samples = np.array(latencies(200))
    one, again = intervals.redrawn(samples), intervals.redrawn(samples)
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(one["mean"], intervals.redrawn(samples, seed=1)["mean"])


def test_figures_are_those_of_the_statistics_and_only_with_enough_samples() -> None:
    samples = np.array(latencies(300))
    found = intervals.figures(samples)
    assert set(found) == {"p50", "p90", "p95", "p97", "mean"} == set(intervals.redrawn(samples))
    assert found["p97"] == stats.percentile(samples, 0.97)
    assert "p97" not in intervals.figures(samples[:218])
    assert set(intervals.figures(samples[:1])) == {"mean"}


def test_blocks_of_neighbours_give_a_wider_interval_than_samples_by_themselves_would() -> None:
    slow = np.repeat(np.random.default_rng(0).normal(1000, 10, 40), 20)  # 20 calls at one speed
    shuffled = np.random.default_rng(1).permutation(slow)
    wandering, steady = (
        intervals.between(intervals.redrawn(one)["mean"]) for one in (slow, shuffled)
    )
    assert wandering.high - wandering.low > 2 * (steady.high - steady.low)


def test_a_very_long_series_is_drawn_less_often_but_often_enough() -> None:
    assert len(intervals.redrawn(np.ones(50_000, dtype=np.int64))["mean"]) == 400
    assert len(intervals.redrawn(np.ones(10, dtype=np.int64))["mean"]) == 1000


def test_an_interval_leaves_out_as_many_below_as_above() -> None:
    assert intervals.between(np.arange(1000)) == Interval(25.0, 974.0)


def test_a_sensor_that_may_be_off_makes_the_ratio_less_sure() -> None:
    found = intervals.widened(Interval(0.9, 1.1), {"first": 0.1, "second": 0.2})
    assert (found.low, found.high) == pytest.approx((0.9 * 0.8 / 1.1, 1.1 * 1.2 / 0.9))
