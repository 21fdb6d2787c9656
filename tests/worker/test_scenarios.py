from __future__ import annotations

import itertools
import statistics
import threading
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.worker import answers, scenarios
from edgedeploy.worker.answers import Host
from edgedeploy.worker.timing import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedeploy.worker.answers import Taken

MS = 1_000_000


class FakeTime:
    """Nanoseconds that pass only in calls and in sleep; streams take turns, one after the other."""

    def __init__(self, *calls_ns: int) -> None:
        self.now, self.slept = 0, 0
        self._calls_ns = itertools.cycle(calls_ns or (MS,))
        self.host = Host(lambda: self.now, self.sleep, self.in_turns)

    def call(self) -> None:
        self.now += next(self._calls_ns)

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1
        self.now += max(round(seconds * 1e9), 1)
        self.slept += 1

    def in_turns(self, works: Sequence[Callable[[], None]]) -> None:
        for work in works:
            work()


def series(taken: Taken, name: str) -> list[int]:
    return list(taken.series[name])


def test_works_are_done_at_the_same_time_and_their_errors_are_raised() -> None:
    meeting = threading.Barrier(3, timeout=10)

    def meet() -> None:
        meeting.wait()

    answers.in_threads([meet] * 3)

    def fail() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        answers.in_threads([fail, lambda: None])


def test_streams_call_at_the_same_time_until_all_together_have_enough() -> None:
    meeting = threading.Barrier(3, timeout=10)
    ticks = itertools.count(0, MS)
    host = Host(lambda: next(ticks), lambda _: None)

    def stream() -> Callable[[], None]:
        begun = itertools.count()

        def call() -> None:
            if next(begun) == 0:  # all three are in their first call
                meeting.wait()

        return call

    taken = scenarios.multi([stream() for _ in range(3)], 0.05, 40, host)
    assert len(taken.ns) >= 40
    assert set(series(taken, "stream")) == {0, 1, 2}
    assert series(taken, "start") == sorted(series(taken, "start"))
    assert series(taken, "due") == series(taken, "start")
    ends = [start + ns for start, ns in zip(series(taken, "start"), taken.ns, strict=True)]
    assert taken.window_ns == max(ends) >= 50 * MS


def test_when_one_stream_fails_the_others_end_too() -> None:
    def fail() -> None:
        raise RuntimeError("the device is gone")

    ticks = itertools.count(0, 1)  # time hardly passes: without the failure this would not end
    with pytest.raises(RuntimeError, match="the device is gone"):
        scenarios.multi([fail, lambda: None], 3600, 1, Host(lambda: next(ticks)))


@given(st.floats(1, 1e4), st.floats(0, 1), st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_arrivals_grow_fill_the_time_and_are_enough(
    rate: float, duration_s: float, least: int, seed: int
) -> None:
    due = scenarios.arrivals(rate, duration_s, least, seed)
    assert list(due) == sorted(due)
    assert len(due) >= max(least, 1)
    assert due == scenarios.arrivals(rate, duration_s, least, seed)
    if len(due) > max(least, 1):
        assert due[-1] < duration_s * 1e9


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    due = scenarios.arrivals(100.0, 100.0, 1, seed=5)
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    assert statistics.mean(gaps) == pytest.approx(10 * MS, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(10 * MS, rel=0.05)  # exponential: as the mean
    assert sum(gap > 30 * MS for gap in gaps) / len(gaps) == pytest.approx(0.0498, abs=0.01)


def test_a_query_that_waits_in_the_queue_counts_its_waiting() -> None:
    time = FakeTime(10 * MS)
    taken = scenarios.server([time.call], array("q", [5 * MS, 6 * MS, 40 * MS]), time.host)
    assert list(taken.ns) == [10 * MS, 19 * MS, 10 * MS]
    assert series(taken, "start") == [5 * MS, 15 * MS, 40 * MS]
    assert series(taken, "due") == [5 * MS, 6 * MS, 40 * MS]
    assert taken.window_ns == 50 * MS
    assert taken.facts == {"unanswered": 0}


def test_a_server_that_is_far_too_slow_gives_up_and_counts_what_is_left() -> None:
    time = FakeTime(500 * MS)
    taken = scenarios.server([time.call], array("q", range(0, 100 * MS, MS)), time.host)
    assert taken.facts == {"unanswered": 100 - len(taken.ns)}
    assert len(taken.ns) == 3  # begun at 0, 0.5 and 1 s; the patience ends at 1.198 s
    assert list(taken.ns) == [500 * MS, 999 * MS, 1498 * MS]


@given(
    st.lists(st.integers(0, 50 * MS), min_size=1, max_size=40).map(sorted),
    st.integers(1, 4),
    st.integers(1, 3 * MS),
)
def test_every_query_is_answered_once_by_some_stream(
    due: list[int], streams: int, call_ns: int
) -> None:
    time = FakeTime(call_ns)
    taken = scenarios.server([time.call] * streams, array("q", due), time.host)
    assert sorted(series(taken, "due")) == due
    waits = [
        begun - came
        for begun, came in zip(series(taken, "start"), series(taken, "due"), strict=True)
    ]
    assert min(waits) >= 0
    assert list(taken.ns) == [wait + call_ns for wait in waits]


def test_streams_in_real_threads_answer_every_query_once() -> None:
    ticks = itertools.count(0, MS // 10)
    host = Host(lambda: next(ticks), lambda _: None)
    due = array("q", range(0, 2000 * MS, MS))
    taken = scenarios.server([lambda: None] * 4, due, host)
    assert sorted(series(taken, "due")) == list(due)


def test_a_camera_that_is_kept_up_with_drops_nothing_and_waits_for_each_frame() -> None:
    time = FakeTime(4 * MS)
    taken = scenarios.camera(time.call, 100, 1.0, 1, host=time.host)
    assert len(taken.ns) == 101  # the one that comes at 1 s ends the second
    assert set(taken.ns) == {4 * MS}
    assert series(taken, "due") == [frame * 10 * MS for frame in range(101)]
    assert taken.facts == {"dropped": 0}


def test_a_camera_that_is_too_fast_gets_its_newest_frame_worked_on() -> None:
    # frames at 0, 10, 20, … ms and 25 ms of work: 0–25 frame 0, 25–50 frame 2 (of 20 ms), …
    time = FakeTime(25 * MS)
    taken = scenarios.camera(time.call, 100, 0.1, 1, host=time.host)
    assert series(taken, "due") == [0, 20 * MS, 50 * MS, 70 * MS]
    assert list(taken.ns) == [25 * MS, 30 * MS, 25 * MS, 30 * MS]
    assert taken.facts == {"dropped": 8 - 4}


@given(
    fps=st.floats(1, 1000),
    calls_ms=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    least=st.integers(1, 20),
)
def test_frames_are_worked_on_in_order_and_each_is_the_newest(
    fps: float, calls_ms: list[int], least: int
) -> None:
    time = FakeTime(*(call * MS for call in calls_ms))
    taken = scenarios.camera(time.call, fps, 0.2, least, host=time.host)
    due, start = series(taken, "due"), series(taken, "start")
    assert len(taken.ns) >= least
    assert due == sorted(set(due))
    for came, begun in zip(due, start, strict=True):
        assert 0 <= begun - came <= 1e9 / fps + 2  # an older frame would lie further back
    frames = round(due[-1] * fps / 1e9) + 1
    assert taken.facts["dropped"] == frames - len(due)


def test_waiting_long_is_told_about_once_a_second() -> None:
    time = FakeTime(MS)
    told: list[tuple[int, float]] = []
    due = array("q", [2500 * MS, 2600 * MS])
    scenarios.server([time.call], due, time.host, lambda runs, s: told.append((runs, s)))
    assert told == [(0, 1.0), (0, 2.0)]


def steps(rates: dict[int, float], *, to_the_end: bool = False) -> list[int]:
    def measure(batch: int) -> Samples:
        return Samples(array("q", [1] * 10), round(batch * 10 * 1e9 / rates[batch]))

    return [s.batch for s in scenarios.search(measure, rates, to_the_end=to_the_end)]


@pytest.mark.parametrize(
    ("rates", "measured"),
    [
        ({1: 100, 2: 150, 4: 200, 8: 204, 16: 206, 32: 900}, [1, 2, 4, 8, 16]),
        ({1: 100, 2: 90, 4: 95, 8: 900}, [1, 2, 4]),
        ({1: 100, 2: 101, 4: 150, 8: 151, 16: 152, 32: 900}, [1, 2, 4, 8, 16]),
        ({1: 100, 2: 200}, [1, 2]),
    ],
)
def test_the_search_ends_behind_two_steps_that_gain_too_little(
    rates: dict[int, float], measured: list[int]
) -> None:
    assert steps(rates) == measured
    assert steps(rates, to_the_end=True) == list(rates)
