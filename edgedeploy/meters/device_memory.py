"""Memory on the device that computes, phase by phase, and what the numbers are."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from . import board_memory, gpu_memory
from .gauges import Gauge

_MB = 1e6


class DeviceSeen(NamedTuple):
    """What was seen, as JSON values.

    Attributes:
        rule: What the numbers are; None where there are none.
        phases: Bytes by phase, None where that phase has none; a change may be below zero. None
            where there are no numbers.
        reason: Why the last phase has no number that says anything; None if it has.
    """

    rule: Optional[str]
    phases: Optional[Dict[str, Optional[int]]]
    reason: Optional[str]


def gauges(
    *, shares_memory: bool, root: str = "/", library: Any = None, pid: Optional[int] = None
) -> List[Gauge]:
    """Return what tells the memory of the GPU here, the best first.

    Args:
        shares_memory: Whether CPU and GPU have one memory, as on a Jetson.
        root: Where the file system starts.
        library: The module pynvml; None imports it.
        pid: A process's number; None: this one's.
    """
    if shares_memory:
        return board_memory.gauges(root, pid)
    return gpu_memory.gauges(library, pid)


class DeviceMemory:
    """Reads gauges at each phase; which one is believed shows at the end.

    Args:
        gauges: The best first.
    """

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self._readings = [_Readings(gauge) for gauge in gauges]

    def read(self, phase: str) -> None:
        """Read them all; the first phase must be before the device is used."""
        for readings in self._readings:
            readings.take(phase)

    def seen(self) -> DeviceSeen:
        """Return the best one's numbers, or what there is of them and every gauge's reason."""
        found = [readings.judged() for readings in self._readings]
        for one in found:
            if one.reason is None:
                return one
        told = next((one for one in found if one.phases is not None), DeviceSeen(None, None, None))
        reasons = [f"{r.gauge.name}: {one.reason}" for r, one in zip(self._readings, found)]
        return told._replace(reason="; ".join(reasons))


class _Readings:
    """What one gauge said."""

    def __init__(self, gauge: Gauge) -> None:
        self.gauge = gauge
        self._bytes = {}  # type: Dict[str, Optional[int]]
        self._first = None  # type: Optional[int]
        self._reason = None  # type: Optional[str]

    def take(self, phase: str) -> None:
        """Read it; one that gave nothing at first is not asked again."""
        if self._bytes and self._first is None:
            return
        value = self.gauge.read()
        if not self._bytes:
            self._first = value
        self._bytes[phase] = value
        self._reason = self.gauge.reason if value is None else None

    def judged(self) -> DeviceSeen:
        """Say whether the last number can be that of this process."""
        if self._first is None:
            return DeviceSeen(None, None, self._reason)
        last = list(self._bytes.values())[-1]
        if not self.gauge.is_own:
            return self._changed(last)
        if self._first:
            return DeviceSeen(
                None, None, "it lists this process's number before the device was used"
            )
        if last == 0:
            return DeviceSeen(None, None, "it does not list this process (in a container?)")
        return DeviceSeen(self.gauge.rule, dict(self._bytes), self._reason)

    def _changed(self, last: Optional[int]) -> DeviceSeen:
        base = self._first or 0
        phases = {
            phase: None if value is None else value - base for phase, value in self._bytes.items()
        }
        reason = self._reason
        if last is not None and last <= base:
            moved = f"{(last - base) / _MB:+.1f} MB"
            reason = (
                f"it did not grow from start to end ({moved}): what others freed hides the rest"
            )
        return DeviceSeen(self.gauge.rule, phases, reason)
