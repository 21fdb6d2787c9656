"""Memory and scheduling of a process, from /proc. What the system does not tell is None.

Source: proc(5).
"""

import re
from typing import Dict, NamedTuple, Optional

from .sysfs import join, read_text

_KIB = 1024
_FIELD = re.compile(r"^(\w+):\s+(\d{1,18})", re.ASCII | re.MULTILINE)
# After the last ")" of /proc/PID/stat, which ends the process's name: state is field 3.
_MINOR_FAULTS, _MAJOR_FAULTS = 10 - 3, 12 - 3


class Memory(NamedTuple):
    """What a process holds.

    Attributes:
        rss_bytes: Resident now.
        peak_rss_bytes: Resident at most since the process started.
        pss_bytes: Resident, with shared pages divided among their users; None before Linux 4.14
            or without the right to read it.
        swap_bytes: Swapped out.
        uss_bytes: Resident and this process's alone: what its end would free; None as `pss_bytes`.
    """

    rss_bytes: Optional[int]
    peak_rss_bytes: Optional[int]
    pss_bytes: Optional[int]
    swap_bytes: Optional[int]
    uss_bytes: Optional[int]


class Scheduling(NamedTuple):
    """Counts since the process started; take the difference over a window.

    Attributes:
        minor_faults: Pages mapped without reading from disk.
        major_faults: Pages read from disk: the process waited.
        voluntary_switches: The process waited for something.
        involuntary_switches: Another one got its core.
    """

    minor_faults: Optional[int]
    major_faults: Optional[int]
    voluntary_switches: Optional[int]
    involuntary_switches: Optional[int]


def memory(root: str = "/", pid: str = "self") -> Memory:
    """Return what a process holds now.

    Args:
        root: Where the file system starts.
        pid: A process number, or ``"self"``.
    """
    status = _fields(root, pid, "status")
    rollup = _fields(root, pid, "smaps_rollup")
    private = [rollup.get(key) for key in ("Private_Clean", "Private_Dirty")]
    return Memory(
        rss_bytes=_bytes(status.get("VmRSS")),
        peak_rss_bytes=_bytes(status.get("VmHWM")),
        pss_bytes=_bytes(rollup.get("Pss")),
        swap_bytes=_bytes(status.get("VmSwap")),
        uss_bytes=None if None in private else _bytes(sum(size or 0 for size in private)),
    )


def scheduling(root: str = "/", pid: str = "self") -> Scheduling:
    """Return how often a process had to wait so far.

    Args:
        root: Where the file system starts.
        pid: A process number, or ``"self"``.
    """
    status = _fields(root, pid, "status")
    stat = (read_text(join(root, "proc", pid, "stat")) or "").rpartition(")")[2].split()
    faults = [
        int(stat[i]) if len(stat) > i and stat[i].isdigit() else None
        for i in (_MINOR_FAULTS, _MAJOR_FAULTS)
    ]
    return Scheduling(
        minor_faults=faults[0],
        major_faults=faults[1],
        voluntary_switches=status.get("voluntary_ctxt_switches"),
        involuntary_switches=status.get("nonvoluntary_ctxt_switches"),
    )


def _fields(root: str, pid: str, name: str) -> Dict[str, int]:
    text = read_text(join(root, "proc", pid, name)) or ""
    return {key: int(digits) for key, digits in _FIELD.findall(text)}


def _bytes(kibibytes: Optional[int]) -> Optional[int]:
    return None if kibibytes is None else kibibytes * _KIB
