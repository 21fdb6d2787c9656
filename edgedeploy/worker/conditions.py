"""What surrounds the samples: versions, and what else the machine does meanwhile."""

import os
import platform
import sys
from typing import Any, Dict, NamedTuple, Optional

import numpy as np

from ..meters import cpu, process
from ..meters.board import BoardFacts
from ..meters.sysfs import join, read_text
from ..runtime.errors import WrongBoardError
from .watching import Watch

_BUSY_COLUMNS = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal; guest is in user


class Seen(NamedTuple):
    """What a `Window` saw, as JSON values.

    Attributes:
        conditions: CPUs of the machine, how many of them others kept busy, load average, how
            often this process had to wait, and what `Watch` saw.
    """

    conditions: Dict[str, Any]


class Window:
    """Watches the machine from `open` to `close`; in between only when `sample` is called.

    Args:
        runs_on: What does the work: ``"cpu"`` or ``"gpu"``, a discrete one.
        root: Where the file system starts.
    """

    def __init__(self, runs_on: str = "cpu", root: str = "/") -> None:
        self._root = root
        self._busy_s = None  # type: Optional[float]
        self._own_s = 0.0
        self._scheduling = process.scheduling(root)
        self._watch = Watch(root, runs_on)

    def open(self) -> None:
        """Begin."""
        self._watch.start()
        self._scheduling = process.scheduling(self._root)
        self._busy_s, self._own_s = _busy_s(self._root), _own_s()

    def sample(self, seconds: float) -> None:
        """Look at clocks and throttling; about once a second, between two timed calls.

        Args:
            seconds: Since `open`.
        """
        self._watch.sample(seconds)

    def close(self, window_ns: int) -> Seen:
        """End.

        Args:
            window_ns: Length of the window in between.
        """
        conditions = {
            "cpus": os.cpu_count() or 1,
            "other_cpus": self._other_cpus(window_ns),
            "load_average": cpu.load_average(self._root),
            "governor": cpu.governor(self._root),
            "waits": self._waits(),
        }
        conditions.update(self._watch.stop(window_ns))
        return Seen(conditions)

    def _other_cpus(self, window_ns: int) -> Optional[float]:
        """Return the CPUs that other processes kept busy, e.g. 0.98; None if that is not known."""
        busy_s = _busy_s(self._root)
        if busy_s is None or self._busy_s is None or window_ns <= 0:
            return None
        others_s = (busy_s - self._busy_s) - (_own_s() - self._own_s)
        # the kernel counts in ticks of 10 ms: short windows would overshoot
        return min(max(others_s, 0.0) / (window_ns / 1e9), float(os.cpu_count() or 1))

    def _waits(self) -> Dict[str, Optional[int]]:
        now = process.scheduling(self._root)
        return {
            name: None if last is None or first is None else last - first
            for name, first, last in zip(now._fields, self._scheduling, now)
        }


def require_board(wanted: Optional[str], facts: BoardFacts) -> None:
    """Refuse to measure on another board than the one asked for.

    Raises:
        WrongBoardError: ``facts`` are not those of ``wanted``.
    """
    if wanted is not None and wanted != facts.name:
        raise WrongBoardError(
            f"--device {wanted} was asked for, this machine is {facts.name!r} ({facts.model})",
            fix=f"run this on the {wanted} itself, or leave --device out to measure this machine",
        )


def environment(root: str = "/") -> Dict[str, str]:
    """Return what a latency depends on, the vendor's library apart."""
    return {
        "python": platform.python_version(),
        "numpy": str(np.__version__),
        "system": platform.platform(),
        "machine": platform.machine(),
        "processor": cpu.read(root).model,
        "executable": sys.executable,
    }


def _own_s() -> float:
    times = os.times()
    return times[0] + times[1]


def _busy_s(root: str) -> Optional[float]:
    """Return the seconds that all CPUs together were busy since boot, from ``/proc/stat``."""
    words = (read_text(join(root, "proc/stat")) or "").split("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:9]):
        return None
    ticks = sum(int(words[1 + column]) for column in _BUSY_COLUMNS)
    return ticks / float(os.sysconf("SC_CLK_TCK"))
