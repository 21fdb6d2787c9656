"""Power and energy of exactly the timed window, and of the same machine doing nothing before it.

Counters are read at both ends. Other sensors are sampled by a process of their own, which is asked
for its samples when the window is over: nothing of it runs in the process that is measured.
"""

import time
from typing import Any, Callable, Dict, NamedTuple, Optional, Union

from ..meters import energy, windows
from ..meters.counters import EnergyReading, monotonic_ns
from ..meters.energy import Counted
from ..meters.integrating import Span
from ..meters.recorder import Order
from ..meters.sampler import Sampler
from ..meters.sources import Source

_IDLE_SHARE = 0.2
_IDLE_MOST_S = 2.0
_STEP_S = 60.0
_NOT_ASKED = "no idle time was measured"


class PowerSeen(NamedTuple):
    """What a `Meter` saw, as JSON values.

    Attributes:
        energy: ``source``, ``joules``, ``window_ns``, ``rails_w`` (mean of each rail), ``rule``
            (what made the total), ``idle_w`` or ``idle_reason``, ``samples``,
            ``uncertainty_pct`` (95 %, of the mean; None where the resolution is not known) and
            ``trace`` (the total in mW by nanoseconds from the window's start, idle time and
            warm-up included; None for counters). None if it was not measured.
        reason: Why there is none.
    """

    energy: Optional[Dict[str, Any]]
    reason: Optional[str]


def idle_seconds(duration_s: float) -> float:
    """Return how long to measure the idle machine before calls that last ``duration_s``."""
    return min(_IDLE_SHARE * duration_s, _IDLE_MOST_S)


class Meter:
    """Measures the energy of a window, by the best sensor here.

    Args:
        runs_on: What does the work: ``"cpu"`` or ``"gpu"``.
        board: The device's name, for the rule that makes a total of its rails.
        root: Where the file system starts.
        choice: In place of the sensor of this machine.
        sleep: Waits for seconds.

    Example:
        >>> with Meter(root="/no/such/folder") as meter:
        ...     meter.idle(1.0)
        ...     meter.open()
        ...     meter.stop()
        ...     seen = meter.close(1000)
        >>> seen.energy is None, seen.reason.startswith("no sensor")
        (True, True)
    """

    def __init__(
        self,
        runs_on: str = "cpu",
        board: str = "local",
        root: str = "/",
        choice: Optional[energy.Choice] = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        found = energy.choose(root, runs_on, board) if choice is None else choice
        self._reason = found.reason
        self._method: Union["_Counting", "_Sampling", None] = None
        if found.counted is not None:
            self._method = _Counting(found.counted, sleep)
        elif found.sampled is not None:
            self._method = _Sampling(found.sampled, board, root, sleep)

    def __enter__(self) -> "Meter":
        """Return the meter."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what was started for it."""
        if self._method is not None:
            self._method.abandon()

    def idle(self, seconds: float) -> None:
        """Measure while nothing runs; waits that long, and not at all where there is no sensor."""
        if self._method is not None:
            self._method.idle(seconds)

    def open(self) -> None:
        """Begin the window."""
        if self._method is not None:
            self._method.open()

    def tick(self, seconds: float) -> None:
        """Look at a counter that starts again every few minutes; cheap, between two calls.

        Args:
            seconds: Since `open`.
        """
        if self._method is not None:
            self._method.tick(seconds)

    def stop(self) -> None:
        """End the window; costs no more than reading a clock or a counter."""
        if self._method is not None:
            self._method.stop()

    def close(self, window_ns: int) -> PowerSeen:
        """Return what was seen; waits for the sensor's first sample after the window.

        Args:
            window_ns: Length of the window, which `stop` ended.
        """
        if self._method is None:
            return PowerSeen(None, self._reason)
        return self._method.close(window_ns)


class _Counting:
    """Counters, read at both ends."""

    def __init__(self, counted: Counted, sleep: Callable[[float], None]) -> None:
        self._source, self._meter = counted.name, counted.meter
        self._period_s = counted.period_s
        self._sleep = sleep
        self._idle_w: Optional[float] = None
        self._idle_reason: Optional[str] = _NOT_ASKED
        self._reading: Optional[EnergyReading] = None
        self._next_s = _STEP_S

    def idle(self, seconds: float) -> None:
        self._meter.start()
        self._sleep(seconds)
        reading = self._meter.stop()
        self._idle_reason = reading.reason
        if reading.joules is not None:
            self._idle_w = reading.joules / (reading.window_ns / 1e9)

    def open(self) -> None:
        self._next_s = _STEP_S
        self._meter.start()

    def tick(self, seconds: float) -> None:
        if seconds >= self._next_s:
            self._next_s = seconds + _STEP_S
            self._meter.step()

    def stop(self) -> None:
        self._reading = self._meter.stop()

    def close(self, _window_ns: int) -> PowerSeen:
        reading = self._reading
        assert reading is not None
        if reading.joules is None:
            return PowerSeen(None, reading.reason)
        seconds = reading.window_ns / 1e9
        return PowerSeen(
            {
                "source": self._source,
                "joules": reading.joules,
                "window_ns": reading.window_ns,
                "rails_w": {rail: joules / seconds for rail, joules in reading.rails.items()},
                "rule": reading.rule,
                "idle_w": self._idle_w,
                "idle_reason": self._idle_reason,
                "samples": 2,
                "uncertainty_pct": 100 * self._period_s / seconds,
                "trace": None,
            },
            None,
        )

    def abandon(self) -> None:
        """Nothing was started."""


class _Sampling:
    """A sensor that another process samples."""

    def __init__(
        self, source: Source, board: str, root: str, sleep: Callable[[float], None]
    ) -> None:
        self._source = source
        self._board = board
        self._sleep = sleep
        self._sampler = Sampler(
            Order(source.name, source.interval_ms, source.gap_s, source.start_s, root)
        )
        self._is_started = False
        self._reason: Optional[str] = None
        self._idle: Optional[Span] = None
        self._end_ns = 0

    def idle(self, seconds: float) -> None:
        self._start()
        if self._reason is None and seconds > 0:
            start_ns = monotonic_ns()
            self._sleep(seconds)
            self._idle = Span(start_ns, monotonic_ns())

    def open(self) -> None:
        self._start()

    def tick(self, _seconds: float) -> None:
        """The sampler needs no reminding."""

    def stop(self) -> None:
        self._end_ns = monotonic_ns()

    def close(self, window_ns: int) -> PowerSeen:
        if self._reason is not None:
            return PowerSeen(None, self._reason)
        recording, reason = self._sampler.stop()
        if recording is None:
            return PowerSeen(None, f"{self._source.name}: {reason}")
        window = Span(self._end_ns - window_ns, self._end_ns)
        return PowerSeen(
            *windows.evaluate(recording, window, self._idle, self._source, self._board)
        )

    def abandon(self) -> None:
        """End the sampler."""
        self._sampler.close()

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            reason = self._sampler.start()
            self._reason = None if reason is None else f"{self._source.name}: {reason}"
