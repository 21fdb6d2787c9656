"""What the scheduler did to the threads of a process, from /proc/PID/task.

A process's own ``status`` and ``sched`` tell of its first thread only; a vendor's library works in
others. Source: proc(5); Linux, Documentation/scheduler/sched-stats.rst.
"""

import re
from typing import Dict, List, NamedTuple, Optional

from .sysfs import join, list_folder, read_text

_SWITCHES = re.compile(r"^nonvoluntary_ctxt_switches:\s+(\d{1,18})$", re.ASCII | re.MULTILINE)
_MIGRATIONS = re.compile(r"^(?:se\.)?nr_migrations\s*:\s+(\d{1,18})$", re.ASCII | re.MULTILINE)
_DELAY = re.compile(r"\d{1,20} (\d{1,20}) \d{1,20}", re.ASCII)
_THREAD = re.compile(r"\d{1,10}", re.ASCII)


class Thread(NamedTuple):
    """Counts since a thread started. What the system does not tell is None.

    Attributes:
        waited_ns: It was ready, and another one had the CPU.
        preempted: Times that another one took its CPU.
        migrated: Times that it went on on another CPU.
    """

    waited_ns: Optional[int]
    preempted: Optional[int]
    migrated: Optional[int]


def read(root: str = "/", pid: str = "self") -> Dict[str, Thread]:
    """Return the threads of a process by their numbers.

    Args:
        root: Where the file system starts.
        pid: A process number, or ``"self"``.
    """
    folder = join(root, "proc", pid, "task")
    found = {}
    for name in list_folder(folder):
        if _THREAD.fullmatch(name):
            delay = _DELAY.fullmatch(read_text(join(folder, name, "schedstat")) or "")
            found[name] = Thread(
                int(delay.group(1)) if delay else None,
                _count(_SWITCHES, join(folder, name, "status")),
                _count(_MIGRATIONS, join(folder, name, "sched")),
            )
    return found


def worst(before: Dict[str, Thread], after: Dict[str, Thread]) -> Thread:
    """Return the most of each that happened to one thread in between.

    One thread that waits keeps all others waiting. A thread that was not there before is not
    counted: nobody knows when it began.
    """
    return Thread(
        *[max(_rises(before, after, index), default=None) for index in range(len(Thread._fields))]
    )


def _rises(before: Dict[str, Thread], after: Dict[str, Thread], index: int) -> List[int]:
    pairs = [(before[name][index], last[index]) for name, last in after.items() if name in before]
    return [last - first for first, last in pairs if first is not None and last is not None]


def _count(pattern: "re.Pattern[str]", path: str) -> Optional[int]:
    match = pattern.search(read_text(path) or "")
    return int(match.group(1)) if match else None
