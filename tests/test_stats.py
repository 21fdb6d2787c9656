from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edgedeploy import stats
from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from edgedeploy.types import Array

series = npst.arrays(np.int64, st.integers(1, 300), elements=st.integers(1, 10**9))


@given(series, st.floats(0.001, 1), st.floats(0.001, 1))
def test_percentiles_are_measured_values_and_grow_with_the_share(
    samples: Array, first: float, second: float
) -> None:
    low, high = sorted((first, second))
    assert stats.percentile(samples, low) in samples
    assert stats.percentile(samples, low) <= stats.percentile(samples, high)
    assert stats.percentile(samples, 1.0) == samples.max()


@given(series, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_percentile_has_its_share_of_the_samples_at_or_below_it(samples: Array, q: float) -> None:
    value = stats.percentile(samples, q)
    assert np.mean(samples <= value) >= q - 1e-9
    assert np.mean(samples < value) < q


def test_a_rank_does_not_slip_when_the_share_is_not_exact_in_binary() -> None:
    # 0.95 · 20 = 19 exactly, which floats miss on one side or the other
    assert [stats.percentile(np.arange(1, 101), q / 100) for q in range(1, 101)] == list(
        range(1, 101)
    )


def test_required_samples_are_those_of_mlperf() -> None:
    assert [stats.required_samples(q) for q in (0.90, 0.95, 0.97, 0.99)] == [64, 130, 219, 662]


@given(st.floats(0.5, 0.9999))
def test_required_samples_is_the_smallest_count_that_early_stopping_accepts(q: float) -> None:
    def chance(n: int) -> float:
        return float(q**n + n * (1 - q) * q ** (n - 1))

    count = stats.required_samples(q)
    assert chance(count) <= 0.01 + 1e-12
    assert count == 2 or chance(count - 1) > 0.01 - 1e-12


@pytest.mark.parametrize(
    ("field", "needed"), [("p90", 64), ("p95", 130), ("p97", 219), ("p99", 662), ("p99_9", 6636)]
)
def test_a_percentile_is_none_one_sample_too_early(field: str, needed: int) -> None:
    samples = np.arange(1, needed + 1)
    before, after = stats.summarise(samples[:-1]), stats.summarise(samples)
    assert getattr(before, field) is before.bounds[field] is None
    assert getattr(after, field) is not None
    assert after.bounds[field] == needed  # the first bound is the largest sample


def chance(most: int, count: int, q: Fraction) -> Fraction:
    """P(Binomial(count, 1 - q) <= most), exactly."""
    return sum(
        (math.comb(count, k) * (1 - q) ** k * q ** (count - k) for k in range(most + 1)),
        Fraction(0),
    )


@given(st.integers(0, 400), st.sampled_from([50, 90, 95, 97, 99]))
def test_as_many_samples_lie_above_a_bound_as_exact_arithmetic_allows(
    count: int, percent: int
) -> None:
    above = stats.samples_above(count, percent / 100)
    share, limit = Fraction(percent, 100), Fraction(1, 100)
    assert above == 0 or chance(above, count, share) <= limit
    assert chance(above + 1, count, share) > limit


@given(st.integers(1, 5000), st.floats(0.5, 0.9999))
def test_a_bound_begins_where_the_percentile_does(count: int, q: float) -> None:
    assert (stats.samples_above(count, q) > 0) == (count >= stats.required_samples(q))


def test_more_samples_bring_the_bound_down_to_the_percentile() -> None:
    def excess(count: int) -> float:
        bound = stats.upper_bound(np.arange(count), 0.99)
        assert bound is not None
        return bound / stats.percentile(np.arange(count), 0.99) - 1

    gaps = [excess(count) for count in (662, 5_000, 50_000, 1_000_000)]
    assert gaps == sorted(gaps, reverse=True)
    assert 0 < gaps[-1] < 0.001


@given(series, st.sampled_from([0.5, 0.9, 0.95]))
def test_a_bound_is_a_measured_value_at_or_above_the_percentile(samples: Array, q: float) -> None:
    bound = stats.upper_bound(samples, q)
    if bound is not None:
        assert bound in samples
        assert bound >= stats.percentile(samples, q)


def test_the_true_percentile_exceeds_the_bound_in_one_case_of_a_hundred() -> None:
    random = np.random.default_rng(3)
    draws = random.exponential(size=(2000, 300))
    true_p90 = math.log(10)
    missed = sum((stats.upper_bound(draw, 0.9) or 0) < true_p90 for draw in draws)
    assert 0 < missed <= 40  # 20 expected at most


def test_jitter_is_the_mean_change_from_call_to_call() -> None:
    assert stats.summarise(np.array([10, 12, 9, 9])).jitter == pytest.approx(5 / 3)
    assert stats.summarise(np.array([10])).jitter is None


@given(series)
def test_the_interval_holds_measured_values_in_order(samples: Array) -> None:
    low, high = stats.median_interval(samples, replicates=20)
    assert low in samples
    assert high in samples
    assert low <= high


def test_the_interval_is_the_same_for_the_same_samples() -> None:
    samples = np.random.default_rng(1).integers(100, 200, 500)
    assert stats.median_interval(samples) == stats.median_interval(samples)


def test_the_interval_covers_the_true_median_though_neighbours_resemble_each_other() -> None:
    random = np.random.default_rng(7)
    covered = 0
    for trial in range(100):
        noise = random.normal(size=1000)
        walk = np.empty(1000)
        walk[0] = noise[0]
        for i in range(1, 1000):
            walk[i] = 0.8 * walk[i - 1] + noise[i]
        low, high = stats.median_interval(walk, replicates=200, seed=trial)
        covered += low <= 0 <= high
    # 95 in theory; drawing single samples would cover about 50
    assert covered >= 85


@given(series)
def test_a_summary_stays_inside_its_extremes_and_drops_nothing(samples: Array) -> None:
    summary = stats.summarise(samples)
    assert summary.count == len(samples)
    assert summary.min <= summary.p50 <= summary.max
    assert summary.min - 1 <= summary.mean <= summary.max + 1
    assert summary.max == samples.max()


def test_drift_is_the_change_of_the_median_from_the_first_third_to_the_last() -> None:
    assert stats.drift(np.array([100.0] * 10 + [105.0] * 10 + [120.0] * 10)) == pytest.approx(0.2)


def test_spread_ignores_a_single_outlier() -> None:
    samples = np.array([100.0] * 99 + [5000.0])
    assert stats.spread(samples) == 0
    assert stats.spread(np.linspace(100, 200, 101)) == pytest.approx(1 / 3, rel=0.02)


@pytest.mark.parametrize(("samples", "q"), [([], 0.5), ([1], 0.0), ([1], 1.5)])
def test_impossible_percentiles_are_refused(samples: list[int], q: float) -> None:
    with pytest.raises(UsageError, match="at least one sample"):
        stats.percentile(np.array(samples), q)


def test_a_median_of_nothing_has_no_interval() -> None:
    with pytest.raises(UsageError, match="there is no sample"):
        stats.median_interval(np.array([]))


def test_certainty_is_no_percentile() -> None:
    for refuses in (stats.required_samples, lambda q: stats.samples_above(100, q)):
        with pytest.raises(UsageError, match="is no percentile"):
            refuses(1.0)
