"""What the runtime needs to know of the processor: its physical cores and its byte arithmetic."""

import os
import platform
from typing import FrozenSet, Iterable, Set

_CPUS = "/sys/devices/system/cpu"
# x86: any of these multiplies uint8 by int8 into int32 without a 16-bit sum on the way.
_EXACT_X86 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


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


def flags(path: str = "/proc/cpuinfo") -> FrozenSet[str]:
    """Return the features that the kernel lists for the first processor; empty if it lists none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return frozenset(value.split())
    except OSError:
        pass
    return frozenset()


def multiplies_bytes_exactly() -> bool:
    """Return whether uint8 × int8 products keep every bit on this processor.

    x86 without VNNI or AMX adds pairs of products in 16 bits, which saturates
    (``vpmaddubsw``); ARM and the others widen first.
    """
    if platform.machine().lower() not in ("x86_64", "amd64", "i686", "i386"):
        return True
    return bool(flags() & _EXACT_X86)
