"""How calls arrive: in streams, at random, or as the frames of a camera. Knows no model.

Times are nanoseconds. A sample is the time from when an answer was due to be worked on (`multi`:
from the call's start, `server`: from the arrival, `camera`: from the frame) to when it was there.
"""

import random
from array import array
from typing import Callable, Iterable, List, NamedTuple, Optional, Sequence

from .answers import HERE, Host, Log, Taken, Tick
from .timing import Call, Samples

FLAT_STEPS = 2
LEAST_GAIN = 0.05


class Step(NamedTuple):
    """What a batch of one size took."""

    batch: int
    samples: Samples

    @property
    def images_per_s(self) -> float:
        """Throughput of the whole loop."""
        return self.batch * len(self.samples.ns) * 1e9 / self.samples.window_ns


def multi(
    calls: Sequence[Call],
    duration_s: float,
    min_runs: int,
    host: Host = HERE,
    tick: Optional[Tick] = None,
) -> Taken:
    """Let every stream call again and again, all at the same time.

    Args:
        calls: One for each stream, with memory of its own.
        duration_s: Seconds, at least.
        min_runs: Calls of all streams together, at least.
        host: Time and threads.
        tick: Gets the calls made and the seconds gone, about once a second.
    """
    log = Log(len(calls), host, tick)
    until_ns = log.first_ns + int(duration_s * 1e9)

    def stream(number: int) -> None:
        call, clock = calls[number], host.clock
        while clock() < until_ns or log.count() < min_runs:
            start_ns = clock()
            call()
            log.add(number, start_ns, start_ns, clock())
            if log.has_failed:
                return

    log.run(stream)
    return log.taken({})


def arrivals(rate: float, duration_s: float, least: int, seed: int) -> "array[int]":
    """Return when queries arrive at random, in nanoseconds from the beginning: a Poisson process.

    Args:
        rate: Queries a second, on average.
        duration_s: Seconds in which they arrive.
        least: Queries; where there are fewer, they go on arriving after ``duration_s``.
        seed: The same seed gives the same arrivals, whatever the Python.

    Example:
        >>> len(arrivals(100.0, 0.0, 7, seed=0))
        7
    """
    draw = random.Random(seed)
    found = array("q")
    at_s = draw.expovariate(rate)
    while at_s < duration_s or len(found) < max(least, 1):
        found.append(int(at_s * 1e9))
        at_s += draw.expovariate(rate)
    return found


def server(
    calls: Sequence[Call],
    due: "array[int]",
    host: Host = HERE,
    tick: Optional[Tick] = None,
) -> Taken:
    """Answer queries in the order of their arrival, each by the first stream that is free.

    The latency counts from the arrival, so waiting in the queue is inside, and a server that is
    too slow cannot hide it. What is not begun when the queue has had as long again as the
    arrivals took, and a second more, stays ``unanswered``.

    Args:
        calls: One for each stream.
        due: See `arrivals`.
        host: Time and threads.
        tick: As `multi`.

    Source:
        MLPerf Inference, Server scenario.
    """
    log = Log(len(calls), host, tick)
    patience_ns = 2 * due[-1] + 1000000000
    queue = iter(due)  # next() is one step of the interpreter: no query is taken twice

    def stream(number: int) -> None:
        call, clock = calls[number], host.clock
        for offset_ns in queue:
            log.wait_until(log.first_ns + offset_ns)
            start_ns = clock()
            if log.has_failed or start_ns - log.first_ns > patience_ns:
                return
            call()
            log.add(number, log.first_ns + offset_ns, start_ns, clock())

    log.run(stream)
    return log.taken({"unanswered": len(due) - log.count()})


def camera(
    call: Call,
    fps: float,
    duration_s: float,
    min_runs: int,
    *,
    host: Host = HERE,
    tick: Optional[Tick] = None,
) -> Taken:
    """Work on the newest frame, again and again; those that came meanwhile are dropped.

    Args:
        call: Works on one frame, from the picture to the answer.
        fps: Frames a second. They come on time, whatever the work does.
        duration_s: Seconds, at least.
        min_runs: Frames worked on, at least.
        host: Time.
        tick: As `multi`.
    """
    log = Log(1, host, tick)
    clock, first_ns = host.clock, log.first_ns
    until_ns = first_ns + int(duration_s * 1e9)
    period_ns = 1e9 / fps
    frame, end_ns = -1, first_ns
    while log.count() < max(min_runs, 1) or end_ns < until_ns:
        log.wait_until(first_ns + int((frame + 1) * period_ns))
        frame = max(frame + 1, int((clock() - first_ns) / period_ns))
        start_ns = clock()
        call()
        end_ns = clock()
        log.add(0, first_ns + int(frame * period_ns), start_ns, end_ns)
    return log.taken({"dropped": frame + 1 - log.count()})


def search(
    measure: Callable[[int], Samples], batches: Iterable[int], *, to_the_end: bool
) -> List[Step]:
    """Measure one batch size after the other while larger ones still gain.

    Args:
        measure: Times calls of so many images.
        batches: Sizes to try, in their order.
        to_the_end: Measure all of them.

    Returns:
        What was measured; the search ends behind the second step in a row that gains less than
        5 % over the best one before.

    Source:
        Triton Model Navigator: throughput_cutoff with a back-off of 2.
    """
    steps = []  # type: List[Step]
    best = 0.0
    flat = 0
    for batch in batches:
        step = Step(batch, measure(batch))
        flat = flat + 1 if step.images_per_s < best * (1 + LEAST_GAIN) else 0
        best = max(best, step.images_per_s)
        steps.append(step)
        if flat == FLAT_STEPS and not to_the_end:
            break
    return steps
