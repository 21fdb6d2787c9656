"""What a sensor that is asked again and again gives: samples with their own times.

A sensor is a `Reader`. The times are those of `counters.monotonic_ns`, a clock that on Linux all
processes share, so that the samples of one process can be laid on the window of another.
"""

import abc
from typing import Dict, List, NamedTuple, Optional


class Sample(NamedTuple):
    """The power of every rail at one moment, and the memory in use if that is told.

    Attributes:
        t_ns: When it was read, or when the line that says it arrived.
        rails_mw: Milliwatts by rail; empty where a record says nothing about power.
        ram_used_mb: MiB of RAM in use; None where the sensor does not tell.
    """

    t_ns: int
    rails_mw: Dict[str, int]
    ram_used_mb: Optional[int] = None


class Reader(abc.ABC):
    """A sensor that is open.

    Attributes:
        ended: Why nothing will come any more; None as long as something may.
    """

    ended: Optional[str] = None

    @abc.abstractmethod
    def read(self) -> List[Sample]:
        """Return what has come since the last time; never waits."""

    def fileno(self) -> Optional[int]:
        """Return the file that becomes readable when something comes; None: ask at an interval."""
        return None

    def complaint(self) -> str:
        """Return what to say if no power has come: what was seen instead, and what to do."""
        return "it gives no power"

    def steps_mw(self) -> Dict[str, float]:
        """Return the resolution by rail, as far as the sensor tells it."""
        return {}

    def close(self) -> None:  # noqa: B027 -- most sensors hold nothing
        """Let go of the sensor, and end what was started for it."""
