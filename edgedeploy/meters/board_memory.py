"""Memory of a Jetson, which CPU and GPU share: what tells the GPU's part of it.

Only root may read nvmap's list of what each process has for GPU and engines. Everybody is told how
much of the board's memory is in use, by ``tegrastats`` and by Linux.

Source: nvmap_dev.c of NVIDIA's kernels (L4T 21 to 36), nvmap_debug_clients_show.
"""

import json
import os
import re
import subprocess
from typing import List, Optional

from . import memory, parent, tegrastats
from .gauges import OTHERS, Gauge
from .sysfs import join, read_text

_CLIENTS = "sys/kernel/debug/nvmap/iovmm/clients"
# "user     python3     4711     123456K"; a process's name may have blanks in it
_CLIENT = re.compile(r"^\S+\s+(.*\S)\s+(\d{1,10})\s+(\d{1,15})K\s*$", re.ASCII | re.MULTILINE)
_MIB = 1 << 20
_PATIENCE_S = 15.0  # a cold start of Python from an SD card, and a first line


class HeldInNvmap(Gauge):
    """What this process holds in nvmap.

    Args:
        root: Where the file system starts.
        pid: This process's number.
    """

    name = "nvmap"
    rule = "what this process holds in nvmap, the part of the board's RAM for GPU and engines"
    is_own = True

    def __init__(self, root: str, pid: int) -> None:
        self._root, self._pid = root, pid
        self._name = read_text(join(root, "proc/self/comm")) or ""

    def read(self) -> Optional[int]:
        """Return the sizes of its clients; 0 where it has none.

        Number and name must both be right, for in a container the numbers are other ones.
        """
        text = read_text(join(self._root, _CLIENTS))
        self.reason = None if text is not None else "its list cannot be read"
        if text is None:
            return None
        return sum(
            int(size) << 10
            for name, pid, size in _CLIENT.findall(text)
            if int(pid) == self._pid and name == self._name
        )


class UsedByTegrastats(Gauge):
    """What is in use of the whole board's RAM, from ``tegrastats``.

    Each reading is a process of its own: ``tegrastats`` must not outlive this one, and only a
    process of one thread can see to that.

    Args:
        root: Where the file system starts.
        patience_s: To wait for an answer, at most.
    """

    name = "tegrastats"
    rule = (
        "the change of the whole board's used RAM since the start, which CPU and GPU share "
        f"(tegrastats, ±1 MB); {OTHERS}"
    )

    def __init__(self, root: str, patience_s: float = _PATIENCE_S) -> None:
        self._root, self._patience_s = root, patience_s

    def read(self) -> Optional[int]:
        """Start ``tegrastats``, wait for a line, and return what it says; some 0.1 s to 1 s."""
        command, environment = parent.program("ram_reader")
        try:
            process = subprocess.Popen(
                [*command, self._root],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env=environment,
            )
        except OSError as error:
            self.reason = f"its reader cannot be started: {error.strerror}"
            return None
        try:
            said, _ = process.communicate(timeout=self._patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
        if process.returncode:
            self.reason = f"its reader ended with {process.returncode}"
            return None
        answer = json.loads(said.decode("utf-8"))
        self.reason, used_mb = answer["reason"], answer["ram_used_mb"]
        return None if used_mb is None else int(used_mb) * _MIB


class UsedByLinux(Gauge):
    """What is in use of the whole board's RAM, from Linux.

    Args:
        root: Where the file system starts.
    """

    name = "/proc/meminfo"
    rule = (
        "the change of the whole board's used RAM since the start, which CPU and GPU share "
        f"(/proc/meminfo, MemTotal less MemAvailable); {OTHERS}"
    )

    def __init__(self, root: str) -> None:
        self._root = root

    def read(self) -> Optional[int]:
        """Return what no new process could get."""
        found = memory.read(self._root)
        self.reason = None if found is not None else "it cannot be read"
        return None if found is None else (found.total_mb - found.available_mb) * _MIB


def gauges(root: str = "/", pid: Optional[int] = None) -> List[Gauge]:
    """Return what tells the memory of this board, the best first.

    Args:
        root: Where the file system starts.
        pid: A process's number; None: this one's.
    """
    found = []  # type: List[Gauge]
    if read_text(join(root, _CLIENTS)) is not None:
        found.append(HeldInNvmap(root, os.getpid() if pid is None else pid))
    if tegrastats.find(root) is not None:
        found.append(UsedByTegrastats(root))
    return [*found, UsedByLinux(root)]
