"""What the runtime needs to know of the processor."""

import os
from typing import Iterable, Set

_CPUS = "/sys/devices/system/cpu"


def physical_cores(root: str = _CPUS) -> int:
    """Return how many physical cores this process may use, at least 1.

    Two hyper-threads of a core count once; cores outside the process's affinity do not count.
    """
    try:
        allowed: Iterable[int] = os.sched_getaffinity(0)
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
    cores: Set[str] = set()
    for cpu in allowed:
        try:
            with open(f"{root}/cpu{cpu}/topology/thread_siblings_list", encoding="ascii") as file:
                cores.add(file.read().strip())
        except OSError:  # a container or an old kernel hides it
            cores.add(str(cpu))
    return max(len(cores), 1)
