"""How much the processes of a machine wait for it: PSI, swapping, stolen time, CPU quotas.

Source: Linux, Documentation/accounting/psi.rst (from 4.20, where the kernel has it on),
Documentation/admin-guide/cgroup-v2.rst ("cpu.stat") and proc(5).
"""

import os
import re
from typing import Dict, NamedTuple, Optional

from .sysfs import join, read_text

_KINDS = ("cpu", "memory", "io")
_STALL = re.compile(r"^(some|full) .*\btotal=(\d{1,18})$", re.ASCII | re.MULTILINE)
_SWAPPED = re.compile(r"^(pswpin|pswpout) (\d{1,18})$", re.ASCII | re.MULTILINE)
_STAT = re.compile(r"^cpu +(?:\d{1,18} +){7}(\d{1,18})", re.ASCII)
_UNIFIED = re.compile(r"^0::(/\S*)$", re.MULTILINE)
_LEGACY = re.compile(r"^\d{1,9}:(?:[\w=,]+,)?cpu(?:,[\w=,]+)?:(/\S*)$", re.ASCII | re.MULTILINE)
_THROTTLED = re.compile(r"^(throttled_usec|throttled_time) (\d{1,18})$", re.ASCII | re.MULTILINE)


class Pressure(NamedTuple):
    """Totals since the start of the machine; take the difference over a window.

    Attributes:
        stalled_us: Microseconds during which ``"cpu some"`` (a task waited for a CPU),
            ``"memory full"`` (all of them did), …; empty without PSI.
        swapped_in_bytes: Read back from swap.
        swapped_out_bytes: Written to swap.
        stolen_s: CPU seconds that a hypervisor gave to others.
        quota_us: Microseconds that a CPU quota (a container's, for one) stopped this group.
    """

    stalled_us: Dict[str, int]
    swapped_in_bytes: Optional[int]
    swapped_out_bytes: Optional[int]
    stolen_s: Optional[float]
    quota_us: Optional[int]


def read(root: str = "/") -> Pressure:
    """Return the totals so far; what the system does not tell is None or absent.

    Args:
        root: Where the file system starts.
    """
    stalled = {}
    for kind in _KINDS:
        text = read_text(join(root, "proc/pressure", kind)) or ""
        for share, total in _STALL.findall(text):
            stalled[kind + " " + share] = int(total)
    vmstat = dict(_SWAPPED.findall(read_text(join(root, "proc/vmstat")) or ""))
    page = os.sysconf("SC_PAGE_SIZE")
    stolen = _STAT.match(read_text(join(root, "proc/stat")) or "")
    return Pressure(
        stalled,
        int(vmstat["pswpin"]) * page if "pswpin" in vmstat else None,
        int(vmstat["pswpout"]) * page if "pswpout" in vmstat else None,
        int(stolen.group(1)) / float(os.sysconf("SC_CLK_TCK")) if stolen else None,
        _quota_us(root),
    )


def _quota_us(root: str) -> Optional[int]:
    groups = read_text(join(root, "proc/self/cgroup")) or ""
    for pattern, folder in ((_UNIFIED, "sys/fs/cgroup"), (_LEGACY, "sys/fs/cgroup/cpu")):
        group = pattern.search(groups)
        # a container may see its own group as the root, under another name than the kernel's
        for name in (group.group(1), "/") if group else ():
            if ".." in name.split("/"):
                continue
            found = _THROTTLED.search(read_text(join(root, folder, name, "cpu.stat")) or "")
            if found:
                return int(found.group(2)) // (1 if found.group(1) == "throttled_usec" else 1000)
    return None
