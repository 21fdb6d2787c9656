"""The clocks of the CPUs and of a Jetson's GPU: what they run at, and whether they may change.

Source: Linux, Documentation/admin-guide/pm/cpufreq.rst and
Documentation/ABI/testing/sysfs-class-devfreq; the GPU's names are those of L4T 21 to 39.
"""

import os
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from .sysfs import join, list_folder, read_int, read_text

_CPUS = "sys/devices/system/cpu"
_DEVFREQ = "sys/class/devfreq"
_CPU = re.compile(r"cpu\d{1,6}", re.ASCII)
# "57000000.gpu", "17000000.gv11b", "17000000.ga10b", "gpu-gpc-0" of Thor
_GPU = re.compile(r"[0-9a-f]{1,16}\.(gpu|gm20b|gp10b|gv11b|ga10b)|gpu-gpc-\d", re.ASCII)
_READ_AT_ONCE = 2
_NUMBER = re.compile(r"\d{1,6}", re.ASCII)
_CURRENT_CPU = 39 - 3  # of /proc/…/stat, behind the name's bracket: see proc(5)
_FIXED = frozenset({"performance", "userspace"})
# No processor of today passes 20 GHz: what a file says beyond it is nonsense.
_FASTEST_MHZ = 20000.0


class Clock(NamedTuple):
    """What sets one clock. What the system does not tell is None.

    Attributes:
        governor: E.g. ``"schedutil"``.
        min_mhz: The slowest that the governor may choose now.
        max_mhz: The fastest that it may choose now; nvpmodel sets it on a Jetson.
        current_mhz: What it runs at.
    """

    governor: Optional[str]
    min_mhz: Optional[float]
    max_mhz: Optional[float]
    current_mhz: Optional[float]

    @property
    def locked(self) -> Optional[bool]:
        """Whether it stays as it is: its limits meet, or its governor never changes it."""
        if self.min_mhz is not None and self.min_mhz == self.max_mhz:
            return True
        if self.governor in _FIXED:
            return True
        told = self.governor is not None or None not in (self.min_mhz, self.max_mhz)
        return False if told else None


def cpus(root: str = "/") -> Dict[str, Clock]:
    """Return the clock of each CPU by its name; CPUs that share one are named once, by the first.

    Empty where the system does not tell, as in virtual machines.

    Args:
        root: Where the file system starts.
    """
    folder = join(root, _CPUS)
    names = [name for name in list_folder(folder) if _CPU.fullmatch(name)]
    seen = set()
    found = {}
    for name in sorted(names, key=lambda name: int(name[3:])):
        path = os.path.realpath(join(folder, name, "cpufreq"))
        if path in seen:
            continue
        seen.add(path)
        clock = Clock(
            _word(join(path, "scaling_governor")),
            _mhz(join(path, "scaling_min_freq"), 1e3),
            _mhz(join(path, "scaling_max_freq"), 1e3),
            _mhz(join(path, "scaling_cur_freq"), 1e3),
        )
        if clock != (None, None, None, None):
            found[name] = clock
    return found


def gpu(root: str = "/") -> Optional[Tuple[str, Clock]]:
    """Return the name and the clock of a Jetson's GPU; None where there is none.

    Args:
        root: Where the file system starts.
    """
    folder = join(root, _DEVFREQ)
    for name in list_folder(folder):
        if not _GPU.fullmatch(name):
            continue
        clock = Clock(
            _word(join(folder, name, "governor")),
            _mhz(join(folder, name, "min_freq"), 1e6),
            _mhz(join(folder, name, "max_freq"), 1e6),
            _mhz(join(folder, name, "cur_freq"), 1e6),
        )
        if clock != (None, None, None, None):
            return name, clock
    return None


def working_cpu_mhz(root: str = "/") -> Optional[float]:
    """Return the clock of the faster of two CPUs that run threads of this process now.

    The other CPUs may idle at a slower one, which says nothing about the work. No more than two
    are read: older kernels on x86 sleep for 10 ms in between (arch/x86/kernel/cpu/aperfmperf.c).

    Args:
        root: Where the file system starts.
    """
    tasks = join(root, "proc/self/task")
    working = []  # type: List[str]
    for name in list_folder(tasks):
        words = (read_text(join(tasks, name, "stat")) or "").rpartition(")")[2].split()
        if len(words) > _CURRENT_CPU and words[0] == "R" and _NUMBER.fullmatch(words[_CURRENT_CPU]):
            working.append(words[_CURRENT_CPU])
            if len(working) == _READ_AT_ONCE:
                break
    paths = [join(root, _CPUS, "cpu" + cpu, "cpufreq/scaling_cur_freq") for cpu in working]
    clocks = [mhz for mhz in (_mhz(path, 1e3) for path in paths) if mhz is not None]
    return max(clocks, default=None)


def all_locked(clocks: List[Clock]) -> Optional[bool]:
    """Return whether every clock is locked; None if that is not known of any."""
    known = [clock.locked for clock in clocks if clock.locked is not None]
    return all(known) if known else None


def _mhz(path: str, units: float) -> Optional[float]:
    """Return a file's frequency, of which ``units`` are one megahertz."""
    value = read_int(path)
    if value is None or not 0 < value / units <= _FASTEST_MHZ:
        return None
    return value / units


def _word(path: str) -> Optional[str]:
    text = read_text(path, limit=64)
    return text if text and re.fullmatch(r"[\w.-]+", text, re.ASCII) else None
