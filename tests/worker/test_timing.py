from __future__ import annotations

import gc
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.worker import timing
from edgedeploy.worker.timing import WarmUp


class FakeClock:
    """Nanoseconds that pass only when `run` is called: each call takes the next of ``calls_ns``."""

    def __init__(self, *calls_ns: int) -> None:
        self.now, self.calls = 0, 0
        self._calls_ns = itertools.cycle(calls_ns)

    def __call__(self) -> int:
        return self.now

    def run(self) -> None:
        self.calls += 1
        self.now += next(self._calls_ns)


@given(
    call_ns=st.integers(10**5, 10**9),
    duration_s=st.floats(0, 0.01),
    min_runs=st.integers(1, 50),
)
def test_both_floors_are_met_and_not_by_more_than_one_call(
    call_ns: int, duration_s: float, min_runs: int
) -> None:
    clock = FakeClock(call_ns)
    samples = timing.time_calls(clock.run, duration_s, min_runs, clock)
    assert set(samples.ns) == {call_ns}
    assert len(samples.ns) >= min_runs
    assert samples.window_ns >= int(duration_s * 1e9)
    fewer = len(samples.ns) - 1
    assert fewer < min_runs or fewer * call_ns < int(duration_s * 1e9)


def test_samples_keep_the_order_of_the_calls_and_their_outliers() -> None:
    clock = FakeClock(5, 900_000, 7)
    assert list(timing.time_calls(clock.run, 0, 6, clock).ns) == [5, 900_000, 7, 5, 900_000, 7]


def test_the_buffer_grows_without_losing_a_sample() -> None:
    clock = FakeClock(1, 2, 3)
    count = timing._FIRST_BUFFER * 2 + 5
    samples = timing.time_calls(clock.run, 0, count, clock)
    assert len(samples.ns) == count
    assert sum(samples.ns) == samples.window_ns == clock.now


def test_progress_is_told_about_once_a_second_between_calls() -> None:
    clock = FakeClock(300_000_000)
    told: list[tuple[int, float]] = []
    timing.time_calls(clock.run, 3.0, 1, clock, lambda runs, s: told.append((runs, s)))
    assert told == [(4, 1.2), (8, 2.4)]


def test_warm_up_ends_when_three_windows_agree() -> None:
    # five slow calls make the first window, then all is steady
    clock = FakeClock(*[400_000_000] * 5, *[10_000_000] * 1000)
    warmed = timing.warm_up(clock.run, WarmUp(), clock)
    assert warmed.settled
    assert warmed.runs == clock.calls == 5 + 3 * 10
    assert warmed.seconds == pytest.approx(2.3)


def test_warm_up_gives_up_and_says_so_when_windows_never_agree() -> None:
    slow_then_fast = [*[60_000_000] * 5, *[20_000_000] * 5]
    clock = FakeClock(*slow_then_fast)
    warmed = timing.warm_up(clock.run, WarmUp(max_s=3.0), clock)
    assert not warmed.settled
    assert 3.0 <= warmed.seconds < 3.5


def test_warm_up_lasts_as_long_as_asked_even_when_all_is_steady() -> None:
    clock = FakeClock(1_000_000)
    warmed = timing.warm_up(clock.run, WarmUp(min_s=2.0), clock)
    assert warmed.settled
    assert 2.0 <= warmed.seconds < 2.2


@given(st.integers(10**6, 10**9))
def test_a_window_holds_enough_calls_and_enough_time(call_ns: int) -> None:
    clock = FakeClock(call_ns)
    runs, window_ns = timing._window(clock.run, WarmUp(), clock)
    assert runs >= 5
    assert window_ns >= 100_000_000


def test_pairs_take_turns_and_stay_pairs() -> None:
    clock = FakeClock(1_000_000)
    order: list[str] = []

    def call(name: str) -> None:
        order.append(name)
        clock.now += 1_000_000 if name == "a" else 3_000_000

    first, second = timing.time_pairs(lambda: call("a"), lambda: call("b"), 1.0, clock)
    assert "".join(order).startswith("abbaabba")
    assert set(first) == {1_000_000}
    assert set(second) == {3_000_000}
    assert len(first) == len(second) == 250


@pytest.mark.parametrize(("duration_s", "pairs"), [(0.0, 20), (1e6, 2000)])
def test_pairs_are_at_least_20_and_at_most_2000(duration_s: float, pairs: int) -> None:
    clock = FakeClock(1_000)
    assert len(timing.time_pairs(clock.run, clock.run, duration_s, clock)[0]) == pairs


def test_the_timer_cost_is_the_median_between_two_readings() -> None:
    readings = itertools.count(0, 40)
    assert timing.timer_cost_ns(lambda: next(readings)) == 40


@pytest.mark.parametrize("was_on", [True, False])
def test_the_garbage_collector_is_off_inside_and_as_before_after(*, was_on: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        with timing.no_garbage_collection():
            assert not gc.isenabled()
        assert gc.isenabled() == was_on
    finally:
        (gc.enable if before else gc.disable)()


def test_the_clock_of_python_36_agrees_with_the_exact_one() -> None:
    exact = timing.monotonic_ns()
    assert abs(timing.clock_ns() - exact) < 10**9
