"""The sampler's process: keeps what a sensor says until it is asked for it, or is alone.

``python -m edgedeploy.meters.recorder ORDER`` prints one line of JSON when the first power has
come, waits for a line on stdin, then for a sample after it, and prints what it has. The end of
stdin, which is also that of the process that started it, ends it at once, without a word.
"""

import json
import os
import select
import sys
from typing import IO, Any, Dict, List, NamedTuple, Optional

from . import parent
from .counters import monotonic_ns
from .sampling import Reader, Sample
from .sources import SOURCES

_POWERLESS = 3  # records without power after which none will have it
_SLOWEST_S = 3600.0


class Order(NamedTuple):
    """What to record.

    Attributes:
        source: One of `sources.SOURCES`.
        interval_ms: Between two samples.
        gap_s: To wait for the last sample, at most.
        start_s: To wait for the first one, at most.
        root: Where the file system starts.
    """

    source: str
    interval_ms: int
    gap_s: float
    start_s: float = 3.0
    root: str = "/"


class Recorder:
    """Reads a sensor until the process that started it has enough.

    Args:
        reader: The sensor.
        order: How.
        commands: File that becomes readable when the recording is to end.
    """

    def __init__(self, reader: Reader, order: Order, commands: int = 0) -> None:
        self._reader = reader
        self._order = order
        self._commands = commands
        self._next_ns = monotonic_ns()
        self._powerless = 0
        self.samples: List[Sample] = []

    def begin(self) -> Optional[str]:
        """Wait for the first power; return None, or why none comes.

        Raises:
            EOFError: The other side is gone.
        """
        until_ns = monotonic_ns() + int(self._order.start_s * 1e9)
        while not self.samples:
            if self._reader.ended is not None:
                return f"{self._reader.complaint()}; {self._reader.ended}"
            if monotonic_ns() > until_ns:
                return f"{self._reader.complaint()} for {self._order.start_s:g} s"
            if self._powerless >= _POWERLESS:
                return self._reader.complaint()
            self._wait(until_ns)
        return None

    def record(self) -> None:
        """Sample until asked to end, and then until a sample has come after that.

        Raises:
            EOFError: The other side is gone.
        """
        while not self._wait(None):
            pass
        asked_ns = monotonic_ns()
        until_ns = asked_ns + int(self._order.gap_s * 1e9)
        while (
            self._reader.ended is None
            and self.samples[-1].t_ns < asked_ns
            and monotonic_ns() < until_ns
        ):
            self._wait(until_ns)

    def document(self) -> Dict[str, Any]:
        """Return what was recorded, as JSON values; one column a rail."""
        names = sorted({name for sample in self.samples for name in sample.rails_mw})
        return {
            "t_ns": [sample.t_ns for sample in self.samples],
            "rails_mw": {n: [sample.rails_mw.get(n) for sample in self.samples] for n in names},
            "steps_mw": self._reader.steps_mw(),
            "ended": self._reader.ended,
        }

    def _wait(self, until_ns: Optional[int]) -> bool:
        """Wait for the sensor, a command or the time; take samples; return if a command came."""
        sensor = None if self._reader.ended is not None else self._reader.fileno()
        is_asked = sensor is None and self._reader.ended is None
        now_ns = monotonic_ns()
        limits = [now_ns + int(_SLOWEST_S * 1e9)]
        limits += [until_ns] if until_ns is not None else []
        limits += [self._next_ns] if is_asked else []
        files = [self._commands] + ([] if sensor is None else [sensor])
        ready = select.select(files, [], [], max(min(limits) - now_ns, 0) / 1e9)[0]
        if sensor in ready or (is_asked and monotonic_ns() >= self._next_ns):
            self._next_ns = max(self._next_ns + self._order.interval_ms * 10**6, monotonic_ns())
            self._keep(self._reader.read())
        if self._commands not in ready:
            return False
        if not os.read(self._commands, 64):
            raise EOFError
        return True

    def _keep(self, read: List[Sample]) -> None:
        powers = [sample for sample in read if sample.rails_mw]
        self._powerless += len(read) - len(powers)
        self.samples += powers


def main(arguments: List[str], out: Optional[IO[str]] = None, commands: int = 0) -> int:
    """Record as ``arguments[0]``, an `Order` in JSON, says; return the exit code."""
    order = Order(**json.loads(arguments[0]))
    answer = sys.stdout if out is None else out
    reader, reason = SOURCES[order.source].open(order.root, order.interval_ms)
    if reader is None:
        _say(answer, {"reason": reason})
        return 0
    try:
        recorder = Recorder(reader, order, commands)
        reason = recorder.begin()
        _say(answer, {"reason": reason})
        if reason is None:
            recorder.record()
            _say(answer, recorder.document())
    except EOFError:
        return 1
    finally:
        reader.close()
    return 0


def _say(out: IO[str], document: Dict[str, Any]) -> None:
    out.write(json.dumps(document) + "\n")
    out.flush()


if __name__ == "__main__":
    parent.die_with_parent()
    sys.exit(main(sys.argv[1:]))
