"""Who answered what and when, and what time is: what all scenarios need."""

import threading
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Callable, Dict, NamedTuple, Optional, Sequence

import numpy as np

from .timing import Clock, monotonic_ns

Tick = Callable[[int, float], None]

_TICK_NS = 1000000000
_LONGEST_SLEEP_S = 1.0


def in_threads(works: Sequence[Callable[[], None]]) -> None:
    """Do all of ``works`` at the same time; an error is raised when all have ended."""
    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(work) for work in works]:
            future.result()


class Host(NamedTuple):
    """What time is here, how to wait, and how to do several things at once; tests pass fakes."""

    clock: Clock = monotonic_ns
    sleep: Callable[[float], None] = time.sleep
    together: Callable[[Sequence[Callable[[], None]]], None] = in_threads


HERE = Host()


class Taken(NamedTuple):
    """What a scenario saw; nothing is dropped.

    Attributes:
        ns: Of each answer, in the order in which the calls began.
        window_ns: From the beginning to the last answer.
        series: Beside each sample: ``due`` and ``start``, from the window's beginning, and
            ``stream``, the number of the stream that answered. Empty for `single`.
        facts: What was not answered: ``unanswered`` queries, ``dropped`` frames.
    """

    ns: "array[int]"
    window_ns: int
    series: Dict[str, "array[int]"] = {}
    facts: Dict[str, int] = {}


class Log:
    """Who answered what and when; each stream writes to lists of its own."""

    def __init__(self, streams: int, host: Host, tick: Optional[Tick]) -> None:
        self._host = host
        self._tick = tick
        self._lock = threading.Lock()
        self._due = [array("q") for _ in range(streams)]
        self._start = [array("q") for _ in range(streams)]
        self._end = [array("q") for _ in range(streams)]
        self.has_failed = False
        self.first_ns = host.clock()
        self._tick_ns = self.first_ns + _TICK_NS

    def run(self, stream: Callable[[int], None]) -> None:
        """Let all streams work; when one fails, the others end after their call."""

        def work(number: int) -> None:
            has_ended = False
            try:
                stream(number)
                has_ended = True
            finally:
                self.has_failed = self.has_failed or not has_ended

        self._host.together([partial(work, number) for number in range(len(self._end))])

    def add(self, stream: int, due_ns: int, start_ns: int, end_ns: int) -> None:
        """Note one answer."""
        self._due[stream].append(due_ns)
        self._start[stream].append(start_ns)
        self._end[stream].append(end_ns)
        self._progress(end_ns)

    def count(self) -> int:
        """Return the answers of all streams so far."""
        return sum(map(len, self._end))

    def wait_until(self, moment_ns: int) -> None:
        """Sleep; never so long that nobody hears of the progress."""
        now_ns = self._host.clock()
        while now_ns < moment_ns and not self.has_failed:
            self._progress(now_ns)
            self._host.sleep(min((moment_ns - now_ns) / 1e9, _LONGEST_SLEEP_S))
            now_ns = self._host.clock()

    def taken(self, facts: Dict[str, int]) -> Taken:
        """Return the answers of all streams, in the order in which the calls began."""
        due, start, end = (
            np.concatenate([np.array(part, dtype=np.int64) for part in parts])
            for parts in (self._due, self._start, self._end)
        )
        stream = np.repeat(np.arange(len(self._end)), [len(part) for part in self._end])
        order = np.argsort(start, kind="mergesort")  # stable
        series = {
            "due": due[order] - self.first_ns,
            "start": start[order] - self.first_ns,
            "stream": stream[order],
        }
        return Taken(
            _array((end - due)[order]),
            int(end.max()) - self.first_ns if len(end) else 0,
            {name: _array(values) for name, values in series.items()},
            facts,
        )

    def _progress(self, now_ns: int) -> None:
        if self._tick is None or now_ns < self._tick_ns:
            return
        with self._lock:
            if now_ns >= self._tick_ns:
                self._tick_ns = now_ns + _TICK_NS
                self._tick(self.count(), (now_ns - self.first_ns) / 1e9)


def _array(values: np.ndarray) -> "array[int]":
    found = array("q")
    found.frombytes(values.astype(np.int64).tobytes())
    return found
