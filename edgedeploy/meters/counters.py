"""Energy from counters that only go up, and the meter that reads them twice."""

from time import perf_counter
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

# No package draws more for minutes on end: a counter cannot pass its range faster than at this.
_MOST_WATTS = 500.0


class Counter(NamedTuple):
    """One energy counter.

    Attributes:
        rail: What it measures, e.g. ``"package-0"``.
        read_uj: Returns microjoules since some start, or None if it cannot be read any more.
        range_uj: The value after which it starts again at 0; None if it never does, so that going
            backwards means that it was reset.
    """

    rail: str
    read_uj: Callable[[], Optional[int]]
    range_uj: Optional[int] = None


class EnergyReading(NamedTuple):
    """Energy over a window. What could not be measured is None with its reason, never 0.

    Attributes:
        joules: Over the window, all rails together; None if it was not measured.
        window_ns: From the end of `start` to the beginning of `stop`.
        rails: Joules by rail; empty if it was not measured.
        rule: What was added, and of what it is the energy.
        reason: Why ``joules`` is None; None if it is not.
    """

    joules: Optional[float]
    window_ns: int
    rails: Dict[str, float]
    rule: str
    reason: Optional[str]


def monotonic_ns() -> int:
    """Return nanoseconds on a clock that never goes backwards (perf_counter_ns is Python 3.7)."""
    return int(perf_counter() * 1e9)


class EnergyMeter:
    """Reads counters before and after a window.

    In between it costs nothing, unless `step` is called. It may be started again.

    Attributes:
        rule: What is added, and of what it is the energy.

    Example:
        >>> values = iter([5_000_000, 7_500_000])
        >>> meter = EnergyMeter([Counter("package-0", lambda: next(values))], "package-0")
        >>> meter.start()
        >>> meter.stop().joules
        2.5
    """

    def __init__(
        self,
        counters: Sequence[Counter],
        rule: str,
        clock_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.rule = rule
        self._counters = list(counters)
        self._clock_ns = clock_ns
        self._last: List[Optional[int]] = []
        self._used_uj: List[int] = []
        self._reason: Optional[str] = None
        self._start_ns = self._last_ns = 0

    def start(self) -> None:
        """Begin the window."""
        self._used_uj = [0] * len(self._counters)
        self._reason = None
        self._last = [counter.read_uj() for counter in self._counters]
        self._start_ns = self._last_ns = self._clock_ns()

    def step(self) -> None:
        """Look at the counters inside the window: none may start again twice between two looks."""
        now_ns = self._clock_ns()
        readings = [counter.read_uj() for counter in self._counters]
        for i, (counter, last) in enumerate(zip(self._counters, self._last)):
            used_uj = _used_uj(counter, last, readings[i])
            reason = _doubt(counter, used_uj, now_ns - self._last_ns)
            self._reason = self._reason or reason
            self._used_uj[i] += used_uj or 0
        self._last, self._last_ns = readings, now_ns

    def stop(self) -> EnergyReading:
        """End the window. Called after `start`."""
        self.step()
        window_ns = self._last_ns - self._start_ns
        rails: Dict[str, float] = {}
        for counter, used_uj in zip(self._counters, self._used_uj):
            if used_uj == 0 and self._reason is None:
                self._reason = (
                    f"the energy counter {counter.rail} did not move in {window_ns / 1e6:.3f} ms: "
                    "the window is shorter than its update period, or it does not count here"
                )
            rails[counter.rail] = used_uj / 1e6
        if self._reason is not None:
            return EnergyReading(None, window_ns, {}, self.rule, self._reason)
        return EnergyReading(sum(rails.values()), window_ns, rails, self.rule, None)


def _used_uj(counter: Counter, first: Optional[int], last: Optional[int]) -> Optional[int]:
    if first is None or last is None:
        return None
    used = last - first
    if used < 0 and counter.range_uj is not None:
        used += counter.range_uj  # it started again at 0, once
    return used


def _doubt(counter: Counter, used_uj: Optional[int], window_ns: int) -> Optional[str]:
    """Return why a counter's difference is no energy; None if it is."""
    seconds = window_ns / 1e9
    if used_uj is None:
        return f"the energy counter {counter.rail} could not be read"
    if used_uj < 0:
        return f"the energy counter {counter.rail} was reset in between"
    if counter.range_uj is not None and seconds * _MOST_WATTS * 1e6 > counter.range_uj:
        return (
            f"the energy counter {counter.rail} starts again after {counter.range_uj / 1e6:.0f} J "
            f"and may have done so more than once in {seconds:.0f} s"
        )
    return None
