"""Timing a callable: warm-up, samples, pairs. Knows no model, backend or file."""

import gc
import time
from array import array
from contextlib import contextmanager
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

Call = Callable[[], object]
Clock = Callable[[], int]

_FIRST_BUFFER = 65536
_PAIRS = (20, 2000)
_TICK_NS = 1000000000


class WarmUp(NamedTuple):
    """When a model counts as warm: the means of the last windows agree.

    Attributes:
        min_s: Seconds of untimed calls, at least.
        max_s: Seconds after which the timed calls start even if the windows disagree.
        window_s: Seconds of calls in a window, at least.
        window_runs: Calls in a window, at least.
        windows: How many consecutive windows must agree.
        tolerance: How far each mean may lie from their average, as a share of it.
    """

    min_s: float = 0.2
    max_s: float = 10.0
    window_s: float = 0.1
    window_runs: int = 5
    windows: int = 3
    tolerance: float = 0.10


class Warmed(NamedTuple):
    """How a warm-up went: whether its last windows agreed, calls made, seconds it took."""

    settled: bool
    runs: int
    seconds: float


class Samples(NamedTuple):
    """Nanoseconds of each call in call order, and of the whole loop around them."""

    ns: "array[int]"
    window_ns: int


def clock_ns() -> int:
    """Return a monotonic time in nanoseconds; Python 3.6 has it in float seconds only."""
    return int(time.perf_counter() * 1e9)


# Python 3.7 has the exact integer clock
monotonic_ns = getattr(time, "perf_counter_ns", clock_ns)  # type: Clock


def timer_cost_ns(clock: Clock = monotonic_ns, calls: int = 1000) -> int:
    """Return the median time between two readings of the clock: what each sample is too long by."""
    costs = sorted(-(clock() - clock()) for _ in range(calls))
    return costs[calls // 2]


def warm_up(call: Call, rule: WarmUp, clock: Clock = monotonic_ns) -> Warmed:
    """Call until the means of consecutive windows agree, or the patience is at its end.

    Source:
        Triton Model Navigator: three windows within 10 % of their average.
    """
    start_ns = clock()
    means = []  # type: List[float]
    runs = 0
    settled = False
    seconds = 0.0
    while not (settled and seconds >= rule.min_s) and seconds < rule.max_s:
        window_runs, window_ns = _window(call, rule, clock)
        runs += window_runs
        means = [*means, window_ns / window_runs][-rule.windows :]
        settled = len(means) == rule.windows and _agree(means, rule.tolerance)
        seconds = (clock() - start_ns) / 1e9
    return Warmed(settled, runs, seconds)


def time_calls(
    call: Call,
    duration_s: float,
    min_runs: int,
    clock: Clock = monotonic_ns,
    tick: Optional[Callable[[int, float], None]] = None,
) -> Samples:
    """Time one call after the other until the loop has lasted long enough and holds enough calls.

    Single-stream rules: a call starts when the last one has returned. Nothing is
    dropped.

    Args:
        call: One inference with its input bound; blocks until the output is in host memory.
        duration_s: Seconds from the start of the first call to the end of the last, at least.
        min_runs: Calls, at least; one call is made in any case.
        clock: Monotonic, in nanoseconds.
        tick: Gets the calls made and the seconds gone, about once a second, between two calls.
    """
    samples = array("q", bytes(8 * _FIRST_BUFFER))
    count = 0
    first_ns = end_ns = clock()
    until_ns = first_ns + int(duration_s * 1e9)
    tick_ns = first_ns + _TICK_NS
    while count < max(min_runs, 1) or end_ns < until_ns:
        if count == len(samples):
            samples.extend(array("q", bytes(8 * count)))
        start_ns = clock()
        call()
        end_ns = clock()
        samples[count] = end_ns - start_ns
        count += 1
        if end_ns >= tick_ns:
            tick_ns = end_ns + _TICK_NS
            if tick is not None:
                tick(count, (end_ns - first_ns) / 1e9)
    return Samples(samples[:count], end_ns - first_ns)


def time_pairs(
    first: Call, second: Call, duration_s: float, clock: Clock = monotonic_ns
) -> Tuple["array[int]", "array[int]"]:
    """Time two calls in turns, A B B A A B …, so that drift meets both alike.

    Args:
        first: A.
        second: B.
        duration_s: Seconds that this takes about; at least 20 pairs, at most 2000.
        clock: Monotonic, in nanoseconds.

    Returns:
        Nanoseconds of each, pair by pair.
    """
    times = (array("q"), array("q"))
    until_ns = clock() + int(duration_s * 1e9)
    while len(times[0]) < _PAIRS[0] or (len(times[0]) < _PAIRS[1] and clock() < until_ns):
        order = (0, 1) if len(times[0]) % 2 == 0 else (1, 0)
        for which in order:
            call = second if which else first
            start_ns = clock()
            call()
            times[which].append(clock() - start_ns)
    return times


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect once, then keep the collector off inside the block."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _window(call: Call, rule: WarmUp, clock: Clock) -> Tuple[int, int]:
    start_ns = end_ns = clock()
    runs = 0
    while runs < rule.window_runs or end_ns - start_ns < rule.window_s * 1e9:
        call()
        runs += 1
        end_ns = clock()
    return runs, end_ns - start_ns


def _agree(means: List[float], tolerance: float) -> bool:
    average = sum(means) / len(means)
    return all(abs(mean - average) <= tolerance * average for mean in means)
